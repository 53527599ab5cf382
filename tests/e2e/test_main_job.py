"""The whole of what Phonebook is for, on this computer, with real parts and real faults.

In a small space of somebody's own, and, where there is time, in one that ships.
"""

import json
import re
import signal
import sqlite3
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path

import pytest

from contract.client import table_client
from contract.networks import Network
from contract.spaces import SearchSpace, find_space, space
from device_agent.measuring.protocols.in_situ import design_networks
from device_agent.measuring.protocols.protocol import EFFORTS
from device_agent.measuring.references import MOST_BESIDE
from tests.e2e.conftest import LIMIT_S, World, opened

SHIPPED = "fbnet-32-0.35"
OWN = """
name: main-job
resolution: 16
classes: 10
stem: {block: {kind: conv, kernel_size: 3, activation: relu}, channels: 8, stride: 2}
stages:
  - channels: 16
    depth: [1, 2]
    stride: 2
    candidates:
      - {kind: mbconv, kernel_size: 5, expansion: 3}
      - {kind: fused_mbconv, kernel_size: 3, expansion: 2}
heads: [{kind: head, channels: 32}]
"""
EFFORT = EFFORTS["quick"]

pytestmark = pytest.mark.timeout(LIMIT_S)


@dataclass(frozen=True)
class Story:
    """A space, a world in which nothing was measured yet, and how a network of it is named.

    Attributes:
        named: the space, as `--space` takes it.
        predicted: a network, as `search.predict` takes it.
        measured: the same, as `device_agent.network` takes it.
    """

    world: World
    space: SearchSpace
    named: str
    predicted: tuple[str, ...]
    measured: tuple[str, ...]

    @property
    def networks(self) -> tuple[Network, ...]:
        return design_networks(self.space)

    @property
    def operators(self) -> set[str]:
        return {operator.key for operator in self.space.operators}

    @property
    def profile(self) -> tuple[str, ...]:
        return ("device_agent.run --device host", "--space", self.named, "--effort", "quick")

    @property
    def found(self) -> Path:
        """The folder of its search."""
        return self.world.folder / "found"


@pytest.fixture(scope="module", params=["own", pytest.param(SHIPPED, marks=pytest.mark.slow)])
def story(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Story]:
    with opened(tmp_path_factory.mktemp("story")) as world:
        if request.param == SHIPPED:
            published = ("--network", "fbnet-a", "--space", SHIPPED)
            yield Story(world, space(SHIPPED), SHIPPED, published, published)
        else:
            file, result = world.folder / "own.yaml", str(world.folder / "found" / "result.json")
            file.write_text(OWN)
            yield Story(
                world,
                find_space(str(file)),
                str(file),
                predicted=("--network", result),
                measured=("--result", result),
            )


def visits(world: World) -> list[tuple[str, int, str]]:
    if not world.journal.exists():
        return []
    with closing(sqlite3.connect(world.journal)) as journal:
        if not journal.execute("SELECT 1 FROM sqlite_master WHERE name = 'visits'").fetchall():
            return []
        return journal.execute("SELECT session, round, program FROM visits").fetchall()


def wait_for_visits(world: World, agent: subprocess.Popen[str], count: int) -> None:
    until = time.monotonic() + LIMIT_S
    while len(visits(world)) < count:
        assert agent.poll() is None, agent.communicate()
        assert time.monotonic() < until
        time.sleep(0.05)


def test_a_search_refuses_a_device_that_nobody_measured(story: Story) -> None:
    refused = story.world.run("search.run --device host", "--space", SHIPPED, "--epochs", "1")
    assert refused.code == 3
    assert "no device 'host'" in refused.errors


def test_profiling_survives_kill_and_interrupt_and_measures_each_operator_once(
    story: Story,
) -> None:
    world, networks = story.world, story.networks
    least = EFFORT.rounds * len(networks)  # visits
    killed = world.start(*story.profile)
    wait_for_visits(world, killed, least // 5)
    killed.kill()
    killed.communicate()
    assert killed.returncode == -signal.SIGKILL
    assert len(visits(world)) < least

    interrupted = world.start(*story.profile)
    wait_for_visits(world, interrupted, 2 * least // 3)
    interrupted.send_signal(signal.SIGINT)
    _, errors = interrupted.communicate(timeout=60)
    assert interrupted.returncode == 130, errors

    finished = world.run(*story.profile)
    assert finished.code == 0, finished.errors
    assert "resuming the session" in finished.errors
    assert f"{len(story.operators)} results stored" in finished.errors

    made = visits(world)
    assert len({session for session, _, _ in made}) == 1
    assert Counter(made).most_common(1)[0][1] == 1
    visited = Counter(program.rsplit("-", 1)[0] for _, _, program in made)
    assert visited.keys() == {network.name for network in networks}
    assert set(visited.values()) <= set(
        range(EFFORT.rounds, EFFORT.rounds + EFFORT.more_rounds + 1)
    )
    with table_client(world.server) as client:
        table = client.table("host", space=story.space.name)
    assert table.complete
    assert {row.operator for row in table.entries} == story.operators
    for row in table.entries:
        holding = [net for net in networks if row.operator in {op.key for op in net.operators}]
        visits_to_it = sum(visited[network.name] for network in holding)
        assert (row.rounds, row.origin) == (visits_to_it, "measured")
        assert row.low_us <= row.latency_us <= row.high_us


def test_a_complete_table_is_left_alone(story: Story) -> None:
    again = story.world.run(*story.profile)
    assert again.code == 0
    assert "is complete, nothing to measure" in again.errors


def test_an_incomplete_table_is_refused_with_the_command_that_fills_it(story: Story) -> None:
    refused = story.world.run("search.run --device host", "--space", "fbnet-32", "--epochs", "1")
    assert refused.code == 4
    assert "python -m device_agent.run --device host --space fbnet-32" in refused.errors


def test_the_search_closes_the_loop(story: Story) -> None:
    out = story.found
    found = story.world.run(
        *("search.run --device host --preset glimpse", "--space", story.named),
        *("--out", str(out), "--epochs", "1", "--final.epochs", "1"),
    )
    assert found.code == 0, found.errors
    result = json.loads((out / "result.json").read_text())
    assert set(result) >= {
        *("device", "runtime", "space", "seed", "architecture", "predicted_us", "measured_us"),
        *("macs", "params", "accuracy", "table_snapshot"),
    }
    assert len(result["architecture"]) == len(story.space.slots)
    # Noise of a busy machine apart, these differ by a few percent; certainly not by half.
    assert 0.5 < result["predicted_us"] / result["measured_us"] < 2
    at_level = result["measured_at_level"]
    assert at_level["level"]["references"] == min(MOST_BESIDE, len(story.networks))
    assert at_level["latency_us"] == pytest.approx(
        result["measured_us"] / at_level["level"]["factor"], rel=1e-3
    )
    for name in ("config.json", "metrics.jsonl", "lut.json", "report.html", "network.pte"):
        assert (out / name).stat().st_size > 0
    assert (out / "weights.safetensors").stat().st_size > 4 * result["params"]


def test_a_network_is_predicted_and_measured(story: Story) -> None:
    asked = ("search.predict --device host", *story.predicted)
    answer = story.world.run(*asked, "--measure", "here", "--json")
    assert answer.code == 0, answer.errors
    prediction = json.loads(answer.output)
    assert 0.5 < prediction["predicted_us"] / prediction["measured_us"] < 2
    at_level_us = prediction["measured_at_level"]["latency_us"]
    assert prediction["difference_percent"] == pytest.approx(
        100 * (at_level_us / prediction["predicted_us"] - 1)
    )
    footprint = prediction["footprint"]
    assert footprint["load_ms"] > 0
    assert footprint["first_run_ms"] * 1e3 > prediction["measured_us"] / 2
    operators = {operator.key: operator for operator in story.space.operators}
    weights = 4 * sum(
        operators[each["operator"]].params()
        for each in prediction["operators"]
        if each["operator"] in operators  # a skip has no row
    )
    if sys.platform == "linux":
        besides = 1 << 20  # what even the smallest program may take
        assert weights < footprint["peak_bytes"] < 20 * weights + besides

    asked = ("device_agent.network --device host", *story.measured)
    answer = story.world.run(*asked, "--runtime", prediction["runtime"])
    assert answer.code == 0, answer.errors
    told = " ".join(answer.errors.split())
    assert re.search(r"visits; loaded in [0-9.]+ ms, first run [0-9.]+ ms", told)
    assert ("MiB of memory" in told) == (sys.platform == "linux")
