"""A space that somebody wrote goes all the way: measured, searched in, measured again, audited."""

import json
from pathlib import Path

import pytest

from contract.client import table_client
from contract.derivation import derive
from contract.spaces import find_space
from tests.e2e.conftest import LIMIT_S, World

pytestmark = [pytest.mark.slow, pytest.mark.timeout(LIMIT_S)]

OWN = """
name: own
resolution: 16
classes: 10
stem: {block: {kind: conv, kernel_size: 3, activation: hswish}, channels: 8, stride: 2}
stages:
  - channels: 16
    depth: [1, 2]
    stride: 2
    candidates:
      - {kind: mbconv, kernel_size: 7, expansion: 2.5, activation: hswish,
         squeeze: {ratio: 0.25, divisor: 8, gate: hsigmoid}}
      - {kind: mbconv, kernel_size: 3, expansion: 3}
  - channels: 24
    depth: 1
    candidates: [{kind: fused_mbconv, kernel_size: 3, expansion: 2, activation: silu}]
heads:
  - {kind: head, channels: 32, hidden: 48, activation: hswish}
"""


@pytest.fixture(scope="module")
def own(world: World) -> Path:
    path = world.folder / "own.yaml"
    path.write_text(OWN)
    return path


def test_a_space_of_a_file_is_profiled_and_its_visits_give_its_rows(
    world: World, own: Path
) -> None:
    profile = ("device_agent.run --device host", "--space", str(own), "--effort", "quick")
    done = world.run(*profile)
    assert done.code == 0, done.errors
    space = find_space(str(own))
    with table_client(world.server) as client:
        assert client.space("own") == space
        table = client.table("host", space="own")
        assert table.complete
        (session,) = [each for each in client.sessions("host") if each.space == "own"]
        visits = client.visits(str(session.id))
        told = session.derivation
        assert told is not None
        derived = derive(visits.layouts, visits.visits, usual=told.usual)
        assert derived is not None
        assert told == derived.derivation
        rows = {row.operator: row.latency_us for row in table.entries}
        assert rows == {
            key: rounds.estimate().latency_us for key, rounds in derived.operators.items()
        }


def test_by_its_name_the_server_tells_what_it_is(world: World) -> None:
    again = world.run("device_agent.run --device host", "--space", "own", "--effort", "quick")
    assert again.code == 0, again.errors
    assert "nothing to measure" in again.errors


def test_a_network_of_it_is_found_measured_and_predicted(world: World, own: Path) -> None:
    out = world.folder / "own-run"
    found = world.run(
        *("search.run --device host --preset glimpse --data digits", "--space", str(own)),
        *("--out", str(out), "--epochs", "2", "--final.epochs", "1"),
    )
    assert found.code == 0, found.errors
    result = json.loads((out / "result.json").read_text())
    assert result["measured_us"] > 0
    assert result["space"]["name"] == "own"
    assert (out / "report.html").exists()
    predicted = world.run(
        "search.predict --device host --json", "--network", str(out / "result.json")
    )
    assert predicted.code == 0, predicted.errors


def test_its_table_is_audited(world: World, own: Path) -> None:
    audited = world.run(
        *("device_agent.audit --device host --networks 10 --effort quick --json",),
        *("--space", str(own)),
    )
    assert audited.code == 0, audited.errors
    assert json.loads(audited.output)["space"] == "own"
    with table_client(world.server) as client:
        table = client.table("host", space="own")
    assert table.audit is not None


def test_other_content_under_its_name_is_refused(world: World, own: Path) -> None:
    other = own.with_name("other.yaml")
    other.write_text(OWN.replace("channels: 24", "channels: 32"))
    refused = world.run("device_agent.run --device host", "--space", str(other))
    assert refused.code == 3
    assert "knows another space by the name own" in refused.errors
