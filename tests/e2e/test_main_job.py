"""The whole of what Phonebook is for, on this computer, with real parts and real faults."""

import json
import re
import signal
import sqlite3
import subprocess
import sys
import time
from collections import Counter
from contextlib import closing

import pytest

from contract.client import table_client
from contract.networks import published
from contract.spaces import space
from device_agent.measuring.protocols.in_situ import design_networks
from device_agent.measuring.protocols.protocol import EFFORTS
from tests.e2e.conftest import LIMIT_S, World

SPACE = "fbnet-32-0.35"
OPERATORS = {operator.key for operator in space(SPACE).operators}
EFFORT = EFFORTS["quick"]
NETWORKS = design_networks(space(SPACE))
PROFILE = ("device_agent.run --device host", "--space", SPACE, "--effort", "quick")

pytestmark = pytest.mark.timeout(LIMIT_S)


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
        time.sleep(0.2)


def test_a_search_refuses_a_device_that_nobody_measured(world: World) -> None:
    refused = world.run("search.run --device host", "--space", SPACE, "--epochs", "1")
    assert refused.code == 3
    assert "no device 'host'" in refused.errors


def test_profiling_survives_kill_and_interrupt_and_measures_each_operator_once(
    world: World,
) -> None:
    killed = world.start(*PROFILE)
    wait_for_visits(world, killed, 40)
    killed.kill()
    killed.communicate()

    interrupted = world.start(*PROFILE)
    wait_for_visits(world, interrupted, 150)
    interrupted.send_signal(signal.SIGINT)
    _, errors = interrupted.communicate(timeout=60)
    assert interrupted.returncode == 130, errors

    finished = world.run(*PROFILE)
    assert finished.code == 0, finished.errors
    assert "resuming the session" in finished.errors
    assert f"{len(OPERATORS)} results stored" in finished.errors

    made = visits(world)
    assert len({session for session, _, _ in made}) == 1
    assert Counter(made).most_common(1)[0][1] == 1
    visited = Counter(program.rsplit("-", 1)[0] for _, _, program in made)
    assert visited.keys() == {network.name for network in NETWORKS}
    assert set(visited.values()) <= set(
        range(EFFORT.rounds, EFFORT.rounds + EFFORT.more_rounds + 1)
    )
    with table_client(world.server) as client:
        table = client.table("host", space=SPACE)
    assert table.complete
    assert {row.operator for row in table.entries} == OPERATORS
    for row in table.entries:
        holding = [net for net in NETWORKS if row.operator in {op.key for op in net.operators}]
        visits_to_it = sum(visited[network.name] for network in holding)
        assert (row.rounds, row.origin) == (visits_to_it, "measured")
        assert row.low_us <= row.latency_us <= row.high_us


def test_a_complete_table_is_left_alone(world: World) -> None:
    again = world.run(*PROFILE)
    assert again.code == 0
    assert "is complete, nothing to measure" in again.errors


def test_an_incomplete_table_is_refused_with_the_command_that_fills_it(world: World) -> None:
    refused = world.run("search.run --device host", "--space", "fbnet-32", "--epochs", "1")
    assert refused.code == 4
    assert "python -m device_agent.run --device host --space fbnet-32" in refused.errors


def test_the_search_closes_the_loop(world: World) -> None:
    out = world.folder / "found"
    found = world.run(
        *("search.run --device host --preset glimpse", "--space", SPACE, "--out", str(out)),
        *("--epochs", "1", "--final.epochs", "1"),
    )
    assert found.code == 0, found.errors
    result = json.loads((out / "result.json").read_text())
    assert set(result) >= {
        *("device", "runtime", "space", "seed", "architecture", "predicted_us", "measured_us"),
        *("macs", "params", "accuracy", "table_snapshot"),
    }
    assert len(result["architecture"]) == 22
    # Noise of a busy machine apart, these differ by a few percent; certainly not by half.
    assert 0.5 < result["predicted_us"] / result["measured_us"] < 2
    at_level = result["measured_at_level"]
    assert at_level["level"]["references"] == 6
    assert at_level["latency_us"] == pytest.approx(
        result["measured_us"] / at_level["level"]["factor"], rel=1e-3
    )
    for name in ("config.json", "metrics.jsonl", "lut.json", "report.html", "network.pte"):
        assert (out / name).stat().st_size > 0
    assert (out / "weights.safetensors").stat().st_size > 10_000


def test_a_published_network_is_predicted_and_measured(world: World) -> None:
    asked = ("search.predict --device host", "--network", "fbnet-a", "--space", SPACE)
    answer = world.run(*asked, "--measure", "here", "--json")
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
    weights = published("fbnet-a", in_space=space(SPACE)).params() * 4
    if sys.platform == "linux":
        assert weights < footprint["peak_bytes"] < 20 * weights

    asked = ("device_agent.network --device host", "--network", "fbnet-a", "--space", SPACE)
    answer = world.run(*asked, "--runtime", prediction["runtime"])
    assert answer.code == 0, answer.errors
    told = " ".join(answer.errors.split())
    assert re.search(r"visits; loaded in [0-9.]+ ms, first run [0-9.]+ ms", told)
    assert ("MiB of memory" in told) == (sys.platform == "linux")
