import json
import math
import re
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from statistics import fmean
from typing import Any, Literal

import pytest
import torch
from rich.console import Console
from safetensors.torch import load_file

from contract.errors import Collapsed, Diverged, IncompleteTable, PhonebookError
from contract.results import SearchResult
from contract.spaces import space
from contract.stopping import Stop
from contract.tables import LatencyTable
from search import run
from search.config import DataConfig, MachineConfig, SearchConfig, TrainConfig
from search.data import load
from search.files import write_document
from search.measuring.network import Measure, MeasurementFailed, measure_here
from search.processes import Processes, Stopped
from search.runs.context import RunContext
from search.runs.folder import RunFolder, fresh_path
from search.runs.record import Record
from search.runs.search import RunSpec, search_and_measure
from tests.search.conftest import Serve, write_idx_folder
from tests.tables import table_of

SMALL = space("fbnet-32-0.35")
TABLE = table_of(SMALL)
TINY_SEARCH = SearchConfig(
    epochs=2, warmup_share=0.5, batch_size=8, paths="1", theta_paths=2, weight_lr=0.01
)
TINY_TRAINING = TrainConfig(epochs=2, batch_size=8, lr=0.01)
STEPS_OF_SEARCH = 2 * (2 + 1)  # 20 images: 15 for the weights, 5 for theta
STEPS = STEPS_OF_SEARCH + 2 * 3

# An agent that measures every result at 5 ms, or refuses with the code it was given.
SERVER = "http://127.0.0.1:8420"
AGENT = """
import json, sys
result = json.load(open(sys.argv[sys.argv.index("--result") + 1]))
assert result["measured_us"] is None
print("a phone was unplugged", file=sys.stderr)
print(json.dumps(dict(latency_us=5000.0, low_us=4990, high_us=5010, grade="A", median_us=5050,
                      p90_us=5100, min_us=4900, samples=30, calm=20, rounds=3,
                      program="searched.pte", at_level=None,
                      footprint=dict(load_ms=3.0, first_run_ms=9.0))))
sys.exit(%d)
"""


class StopAfter(Stop):
    """Somebody presses Ctrl-C after so many steps of the run."""

    def __init__(self, steps: float) -> None:
        self.left = steps
        super().__init__()

    @property
    def asked(self) -> bool:
        self.left -= 1
        return self.left <= 0

    @asked.setter
    def asked(self, asked: bool) -> None:
        assert not asked


@dataclass(frozen=True, kw_only=True)
class Press:
    """How a job is to be run."""

    resume: bool = False
    stop_after: float = math.inf
    logger: Literal["tensorboard"] | None = None
    table: LatencyTable = TABLE


def job(folder: Path, data: Path, press: Press = Press(), **options: Any) -> RunSpec:
    return RunSpec(
        target=press.table.device,
        space=SMALL,
        table=press.table,
        images=load(str(data), resolution=SMALL.resolution, most_classes=SMALL.classes),
        data=DataConfig(data=str(data)),
        search=replace(TINY_SEARCH, **options),
        final=TINY_TRAINING,
        folder=RunFolder(folder, resume=press.resume),
        context=RunContext(
            machine=MachineConfig(threads=1, logger=press.logger),
            processes=Processes(),
            console=Console(quiet=True),
            stop=StopAfter(press.stop_after),
        ),
    )


def lines(folder: Path) -> list[dict[str, Any]]:
    """The lines of metrics.jsonl without what differs from run to run."""
    return [
        {name: value for name, value in json.loads(line).items() if name != "seconds"}
        for line in (folder / "metrics.jsonl").read_text().splitlines()
    ]


def agent(folder: Path, exit_code: int) -> Measure:
    script = folder / "agent.py"
    script.write_text(AGENT % exit_code)
    return partial(measure_here, server=SERVER, agent=(sys.executable, str(script)))


def test_a_run_leaves_everything_and_the_same_seed_finds_the_same(
    tmp_path: Path, idx_folder: Path
) -> None:
    measuring = agent(tmp_path, 0)
    first = search_and_measure(job(tmp_path / "first", idx_folder), measure=measuring)
    again = search_and_measure(job(tmp_path / "again", idx_folder), measure=measuring)
    assert first == again
    assert first.measured_us == 5000
    assert SearchResult.read(tmp_path / "first" / "result.json") == first
    losses = [lines(tmp_path / name) for name in ("first", "again")]
    assert losses[0] == losses[1]
    assert [line["phase"] for line in losses[0]] == ["search", "search", "final", "final"]
    assert [len(share) for share in losses[0][1]["theta"]] == [
        len(choice.candidates) for choice in SMALL.choices
    ]
    assert all(sum(share) == pytest.approx(1) for share in losses[0][1]["theta"])
    weights = [load_file(tmp_path / name / "weights.safetensors") for name in ("first", "again")]
    assert weights[0].keys() == weights[1].keys()
    assert all(torch.equal(tensor, weights[1][name]) for name, tensor in weights[0].items())

    table = LatencyTable.model_validate_json((tmp_path / "first" / "lut.json").read_bytes())
    assert table == TABLE
    options = json.loads((tmp_path / "first" / "config.json").read_text())
    assert (options["paths"], options["final.lr"]) == ("1", 0.01)
    assert options["versions"]["torch"] == torch.__version__
    report = (tmp_path / "first" / "report.html").read_text()
    assert "5.00 ms" in report
    assert all(layer.operator in report for layer in first.layers)
    assert "http" not in report


def test_a_measurement_that_fails_keeps_everything_else(tmp_path: Path, idx_folder: Path) -> None:
    with pytest.raises(MeasurementFailed, match="its message is above") as caught:
        search_and_measure(job(tmp_path / "run", idx_folder), measure=agent(tmp_path, 5))
    assert caught.value.exit_code == 5
    assert SearchResult.read(tmp_path / "run" / "result.json").measured_us is None
    assert "not yet" in (tmp_path / "run" / "report.html").read_text()
    assert (tmp_path / "run" / "weights.safetensors").exists()


@pytest.fixture(scope="module")
def images(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("data") / "images"
    return write_idx_folder(folder, labels=[0, 1, 2, 0, 1] * 4, test_labels=[0, 1, 2] * 2)


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory, images: Path) -> Path:
    """A run that nobody stopped."""
    folder = tmp_path_factory.mktemp("whole") / "run"
    search_and_measure(job(folder, images), measure=None)
    return folder


@pytest.mark.slow
@pytest.mark.parametrize("after", [1, 3, STEPS_OF_SEARCH, STEPS_OF_SEARCH + 2, STEPS])
def test_a_stopped_run_goes_on_as_if_it_had_not_been(
    tmp_path: Path, images: Path, whole: Path, after: int
) -> None:
    parts = tmp_path / "parts"
    with pytest.raises(Stopped):
        search_and_measure(job(parts, images, Press(stop_after=after)), measure=None)
    assert not (parts / "result.json").exists()
    with pytest.raises(PhonebookError, match="holds an unfinished run"):
        RunFolder(parts)
    search_and_measure(job(parts, images, Press(resume=True)), measure=None)
    assert lines(parts) == lines(whole)
    for name in ("result.json", "config.json", "lut.json"):
        assert (parts / name).read_bytes() == (whole / name).read_bytes(), name
    weights = [load_file(folder / "weights.safetensors") for folder in (parts, whole)]
    assert weights[0].keys() == weights[1].keys()
    assert all(torch.equal(tensor, weights[1][name]) for name, tensor in weights[0].items())


def test_a_finished_run_that_is_resumed_is_measured_and_no_more(
    tmp_path: Path, idx_folder: Path
) -> None:
    found = search_and_measure(job(tmp_path / "run", idx_folder), measure=None)
    measuring = agent(tmp_path, 0)
    press = Press(resume=True, stop_after=2)  # any step would stop it, before it measures
    again = search_and_measure(job(tmp_path / "run", idx_folder, press), measure=measuring)
    assert again == found.evolve(
        measured_us=5000,
        measured_low_us=4990,
        measured_high_us=5010,
        measured_by="this computer, searched.pte",
    )


@pytest.mark.slow
def test_another_run_s_folder_is_not_gone_on_with(tmp_path: Path, idx_folder: Path) -> None:
    search_and_measure(job(tmp_path / "run", idx_folder), measure=None)
    other = job(tmp_path / "run", idx_folder, Press(resume=True), paths="2", theta_lr=0.5)
    with pytest.raises(PhonebookError, match=r"paths 1, now 2; theta_lr 0\.01, now 0\.5"):
        search_and_measure(other, measure=None)


@pytest.mark.slow
def test_another_device_s_run_is_not_gone_on_with(tmp_path: Path, idx_folder: Path) -> None:
    search_and_measure(job(tmp_path / "run", idx_folder), measure=None)
    other = replace(job(tmp_path / "run", idx_folder, Press(resume=True)), target="other-phone")
    with pytest.raises(PhonebookError, match=r"device test-phone, now other-phone"):
        search_and_measure(other, measure=None)


@pytest.mark.slow
def test_a_result_that_cannot_be_written_leaves_the_one_before(
    tmp_path: Path, idx_folder: Path
) -> None:
    found = search_and_measure(job(tmp_path / "run", idx_folder), measure=None)
    path = tmp_path / "run" / "result.json"
    path.with_name("result.json.partial").mkdir()
    with pytest.raises(PhonebookError, match=r"cannot write .*result\.json \(Is a directory\)"):
        write_document(path, found.evolve(measured_us=5000.0))
    assert SearchResult.read(path) == found


@pytest.mark.slow
def test_a_collapsed_search_leaves_its_checkpoint_and_its_figures(
    tmp_path: Path, idx_folder: Path
) -> None:
    folder = tmp_path / "run"
    with pytest.raises(Stopped):
        search_and_measure(job(folder, idx_folder, Press(stop_after=2)), measure=None)
    collapsing = job(folder, idx_folder, Press(resume=True))
    record = Record.read(folder / "checkpoint.pt", identity=collapsing.identity())
    assert record.search is not None
    for name, value in record.search["supernet"].items():
        if name.endswith("theta_K") and len(value) == 9:
            value[8] = 20.0
    record.write(folder / "checkpoint.pt")
    with pytest.raises(Collapsed, match=r"after epoch 1 theta skips 100%"):
        search_and_measure(collapsing, measure=None)
    record = Record.read(folder / "checkpoint.pt", identity=collapsing.identity())
    assert len(record.epochs) == len(lines(folder)) == 1
    with pytest.raises(Collapsed, match=r"after epoch 1 theta skips 100%"):
        search_and_measure(job(folder, idx_folder, Press(resume=True)), measure=None)
    assert not (folder / "result.json").exists()


def test_a_diverged_search_leaves_the_checkpoint_of_the_epoch_before(
    tmp_path: Path, idx_folder: Path
) -> None:
    diverging = job(tmp_path / "run", idx_folder, weight_lr=30.0, epochs=4)
    with pytest.raises(Diverged, match="lower --weight-lr"):
        search_and_measure(diverging, measure=None)
    record = Record.read(tmp_path / "run" / "checkpoint.pt", identity=diverging.identity())
    assert len(record.epochs) == len(lines(tmp_path / "run")) >= 1


def test_a_target_is_met(tmp_path: Path, idx_folder: Path) -> None:
    least, most = (pick(TABLE) for pick in (fastest_us, slowest_us))
    target_us = round((least + most) / 2)
    found = search_and_measure(
        job(tmp_path / "run", idx_folder, target_ms=target_us / 1000), measure=None
    )
    assert found.target_us == target_us
    for predicted_us in (found.predicted_us, *(one.predicted_us for one in found.samples)):
        assert 0.97 * target_us <= predicted_us <= target_us
    assert "target" in (tmp_path / "run" / "report.html").read_text()


def test_a_target_out_of_reach_is_refused_before_anything_is_written(
    tmp_path: Path, idx_folder: Path
) -> None:
    with pytest.raises(PhonebookError, match="out of reach"):
        search_and_measure(job(tmp_path / "run", idx_folder, target_ms=1e6), measure=None)
    assert not (tmp_path / "run").exists()


def fastest_us(table: LatencyTable) -> float:
    return _extreme_us(table, min)


def slowest_us(table: LatencyTable) -> float:
    return _extreme_us(table, max)


def _extreme_us(table: LatencyTable, pick: Callable[[Sequence[float]], float]) -> float:
    fixed = table.latencies_us((SMALL.stem, SMALL.head))
    slots = [table.latencies_us(choice.candidates) for choice in SMALL.choices]
    return sum(fixed) + sum(map(pick, slots))


@pytest.mark.parametrize("paths", [pytest.param("all", marks=pytest.mark.slow), "1"])
def test_each_epoch_tells_all_its_figures(tmp_path: Path, idx_folder: Path, paths: str) -> None:
    search_and_measure(job(tmp_path / "run", idx_folder, paths=paths), measure=None)
    written = lines(tmp_path / "run")
    for line in written[:2]:
        assert line["theta_loss"] == pytest.approx(
            line["theta_cross_entropy"] * line["latency_term"], rel=0.01
        )
        term = 0.2 * math.log(line["expected_latency_us"]) ** 0.6
        assert line["latency_term"] == pytest.approx(term, rel=0.02)
        entropies = [-sum(p * math.log(p) for p in share) for share in line["theta"]]
        assert line["theta_entropy"] == pytest.approx(fmean(entropies), rel=1e-4)
        assert 0 <= line["theta_accuracy"] <= 1
    if paths == "all":
        assert written[0]["temperature"] > written[1]["temperature"]
    else:
        assert [line["temperature"] for line in written[:2]] == [None, None]
    assert [line["trains_theta"] for line in written[:2]] == [False, True]
    assert [line["epoch"] for line in written[2:]] == [1, 2]


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore::DeprecationWarning")
def test_tensorboard_reads_the_same_figures_once(tmp_path: Path, idx_folder: Path) -> None:
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    press = Press(stop_after=STEPS_OF_SEARCH, logger="tensorboard")
    with pytest.raises(Stopped):
        search_and_measure(job(tmp_path / "run", idx_folder, press), measure=None)
    press = Press(resume=True, logger="tensorboard")
    search_and_measure(job(tmp_path / "run", idx_folder, press), measure=None)
    events = EventAccumulator(str(tmp_path / "run" / "tensorboard"))
    events.Reload()
    written = lines(tmp_path / "run")
    for name in ("theta_entropy", "expected_latency_us", "latency_term", "theta_loss"):
        told = [(event.step, event.value) for event in events.Scalars(f"search/{name}")]
        expected = [(line["epoch"], pytest.approx(line[name], rel=1e-5)) for line in written[:2]]
        assert told == expected
    assert len(events.Scalars("final/cross_entropy")) == 2


def test_a_fresh_folder_tells_time_and_device() -> None:
    path = str(fresh_path("pixel-8"))
    assert re.fullmatch(r"runs/\d{4}-\d\d-\d\d-\d{6}-pixel-8", path)


def test_an_incomplete_table_is_refused_before_anything_is_written(
    tmp_path: Path, serve: Serve
) -> None:
    key = SMALL.choices[3].candidates[2].key
    server = serve(table_of(SMALL, without=(key,)))
    arguments = ["--device", "test-phone", "--space", SMALL.name, "--server", server]
    with pytest.raises(IncompleteTable) as caught:
        run.app([*arguments, "--out", str(tmp_path / "run")])
    assert caught.value.missing == (key,)
    command = f"python -m device_agent.run --device test-phone --space {SMALL.name}"
    assert command in str(caught.value)
    assert not (tmp_path / "run").exists()
