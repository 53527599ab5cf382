import json
import sys
from pathlib import Path

import pytest
import torch

from contract.errors import DeviceFailed, PhonebookError
from contract.networks import published
from contract.results import SearchResult
from contract.spaces import space
from search.dnas.selection import derive, window
from search.files import write_document
from search.measuring.network import (
    Measured,
    MeasurementFailed,
    Subject,
    measure_here,
    parse_measurement,
)
from search.supernet.supernet import Supernet
from tests.search.conftest import found_by, supernet_of, table_of

SMALL = space("fbnet-32-0.35")
ANSWER = {
    **{"latency_us": 812.5, "low_us": 810, "high_us": 815, "grade": "A", "median_us": 820},
    **{"p90_us": 900, "min_us": 800, "samples": 30, "calm": 20, "rounds": 3},
}

# An agent that knows one command, and answers as the real one does.
AGENT = """
import json, sys
runtime = sys.argv[sys.argv.index("--runtime") + 1]
of_device = ["--device", "test-phone", "--runtime", runtime]
if sys.argv[1:] != [*of_device, "--network", "fbnet-a", "--json"]:
    print(f"not told: {sys.argv[1:]}", file=sys.stderr)
    sys.exit(2)
print("exporting")
print(json.dumps({**%r, "program": "/tmp/fbnet-a.pte"}))
"""


TABLE = table_of(SMALL)


def certain() -> Supernet:
    """Theta nearly made up its mind, for the first eight blocks in turn."""
    supernet = supernet_of(SMALL, TABLE)
    for number, slot in enumerate(supernet.mixed_slots()):
        slot.theta_K.data[number % 8] = 5.0
    return supernet


def result() -> SearchResult:
    return found_by(certain(), SMALL, TABLE, samples=4)


def test_the_most_probable_network_follows_theta() -> None:
    says = result()
    by_number = ["k3_e1", "k3_e1_g2", "k3_e3", "k3_e6", "k5_e1", "k5_e1_g2", "k5_e3", "k5_e6"]
    assert list(says.architecture) == [by_number[number % 8] for number in range(22)]
    assert all(layer.probability > 0.9 for layer in says.layers)


@pytest.mark.parametrize("share", [0.8, 1.05])
def test_with_a_target_the_network_and_all_samples_meet_it(share: float) -> None:
    supernet = certain()
    target_us = share * result().predicted_us
    says = derive(
        supernet,
        SMALL,
        TABLE,
        within=window(supernet, target_us),
        samples=4,
        generator=torch.Generator().manual_seed(0),
    )
    for predicted_us in (says.predicted_us, *(one.predicted_us for one in says.samples)):
        assert 0.97 * target_us <= predicted_us <= target_us
    assert sum(layer.probability > 0.9 for layer in says.layers) > 11


def test_a_target_that_the_space_cannot_meet_is_refused() -> None:
    with pytest.raises(PhonebookError, match=r"--target-ms 0\.1 is out of reach: the networks"):
        window(certain(), 100.0)


def test_the_prediction_is_the_sum_of_rows_with_stem_and_head() -> None:
    says = result()
    fixed_us = sum(table_of(SMALL).latencies_us((SMALL.stem, SMALL.head)))
    layers_us = sum(layer.latency_us for layer in says.layers)
    assert says.predicted_us == pytest.approx(fixed_us + layers_us)


def test_samples_follow_the_generator_and_have_their_own_latency() -> None:
    says = result()
    assert says.samples == result().samples
    assert len(says.samples) == 4
    assert len({sampled.architecture for sampled in says.samples}) > 1


def test_a_result_survives_its_file(tmp_path: Path) -> None:
    says = result()
    write_document(tmp_path / "result.json", says)
    assert SearchResult.read(tmp_path / "result.json") == says
    assert says.network().params() == says.params
    written = json.loads((tmp_path / "result.json").read_text())
    assert set(written) >= {
        "device",
        "runtime",
        "space",
        "seed",
        "architecture",
        "predicted_us",
        "measured_us",
        "macs",
        "params",
        "accuracy",
        "table_snapshot",
    }
    assert written["measured_us"] is None
    assert written["runtime"]["threads"] == 1


@pytest.mark.parametrize("content", ["", "{}", "[1]", "no json"])
def test_another_file_is_no_result(tmp_path: Path, content: str) -> None:
    path = tmp_path / "result.json"
    path.write_text(content)
    with pytest.raises(PhonebookError, match="is no result of a search"):
        SearchResult.read(path)


def test_a_missing_result_is_said_to_be_missing(tmp_path: Path) -> None:
    with pytest.raises(PhonebookError, match=r"cannot read .*gone\.json: No such file"):
        SearchResult.read(tmp_path / "gone.json")


def subject(device: str) -> Subject:
    return Subject(
        network=published("fbnet-a"),
        device=device,
        runtime=result().runtime,
        words=("--network", "fbnet-a"),
    )


def test_the_agent_s_last_line_is_the_measurement(tmp_path: Path) -> None:
    agent = tmp_path / "agent.py"
    agent.write_text(AGENT % ANSWER)
    command = (sys.executable, str(agent))
    measured = measure_here(subject("test-phone"), agent=command)
    assert measured == Measured(
        latency_us=812.5, low_us=810, high_us=815, by="this computer, /tmp/fbnet-a.pte"
    )
    with pytest.raises(MeasurementFailed, match="ended with 2; its message is above") as caught:
        measure_here(subject("other"), agent=command)
    assert caught.value.exit_code == 2


@pytest.mark.parametrize("output", ["", "Segmentation fault\n", "{}\n", '[1]\n{"median_us": 0}'])
def test_an_unreadable_measurement_is_shown(output: str) -> None:
    with pytest.raises(
        DeviceFailed, match=r"^expected a measurement in the agent's last line, got"
    ):
        parse_measurement(output)


def test_a_killed_agent_is_told_apart(tmp_path: Path) -> None:
    agent = tmp_path / "agent.py"
    agent.write_text("import os, signal; os.kill(os.getpid(), signal.SIGKILL)")
    with pytest.raises(DeviceFailed, match="was killed by signal 9"):
        measure_here(subject("test-phone"), agent=(sys.executable, str(agent)))
