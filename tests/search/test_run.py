import json
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import replace
from datetime import datetime
from pathlib import Path
from typing import Any

import pytest
import torch
from rich.console import Console
from safetensors.torch import load_file

from contract.errors import IncompleteTable, PhonebookError
from contract.spaces import space
from contract.tables import LatencyTable
from search import predict, run
from search.config import SearchConfig
from search.folder import RunFolder
from search.measure import MeasurementFailed
from search.result import SearchResult
from search.run import Job, search_and_measure
from tests.search.conftest import Serve, table_of

SMALL = space("fbnet-32-0.35")
TINY_RUN = SearchConfig(
    epochs=2,
    warmup_share=0.5,
    batch_size=8,
    paths=1,
    weight_lr=0.01,
    final_epochs=1,
    final_lr=0.01,
    threads=1,
)

# An agent that measures every result at 5 ms, or refuses with the code it was given.
AGENT = """
import json, sys
result = json.load(open(sys.argv[sys.argv.index("--result") + 1]))
assert result["measured_us"] is None
print("a phone was unplugged", file=sys.stderr)
print(json.dumps(dict(latency_us=5000.0, low_us=4990, high_us=5010, grade="A", median_us=5050,
                      p90_us=5100, min_us=4900, samples=30, calm=20, rounds=3,
                      program="searched.pte")))
sys.exit(%d)
"""


def job(folder: Path, data: Path, **options: Any) -> Job:
    return Job(
        space=SMALL,
        table=table_of(SMALL),
        config=replace(TINY_RUN, **options),
        data=str(data),
        folder=RunFolder(folder),
        console=Console(quiet=True),
    )


def agent(folder: Path, exit_code: int) -> tuple[str, str]:
    script = folder / "agent.py"
    script.write_text(AGENT % exit_code)
    return sys.executable, str(script)


def test_a_run_leaves_everything_and_the_same_seed_finds_the_same(
    tmp_path: Path, idx_folder: Path
) -> None:
    measuring = agent(tmp_path, 0)
    first = search_and_measure(job(tmp_path / "first", idx_folder), agent=measuring)
    again = search_and_measure(job(tmp_path / "again", idx_folder), agent=measuring)
    assert first == again
    assert first.measured_us == 5000
    assert SearchResult.read(tmp_path / "first" / "result.json") == first
    losses = [
        [
            {name: value for name, value in json.loads(line).items() if name != "seconds"}
            for line in (tmp_path / name / "metrics.jsonl").read_text().splitlines()
        ]
        for name in ("first", "again")
    ]
    assert losses[0] == losses[1]
    assert [line["phase"] for line in losses[0]] == ["search", "search", "final"]
    assert [len(share) for share in losses[0][1]["theta"]] == [
        len(SMALL.candidates(slot)) for slot in SMALL.slots
    ]
    assert all(sum(share) == pytest.approx(1) for share in losses[0][1]["theta"])
    weights = [load_file(tmp_path / name / "weights.safetensors") for name in ("first", "again")]
    assert weights[0].keys() == weights[1].keys()
    assert all(torch.equal(tensor, weights[1][name]) for name, tensor in weights[0].items())

    table = LatencyTable.model_validate_json((tmp_path / "first" / "lut.json").read_bytes())
    assert table == table_of(SMALL)
    assert json.loads((tmp_path / "first" / "config.json").read_text())["paths"] == 1
    report = (tmp_path / "first" / "report.html").read_text()
    assert "5.00 ms" in report
    assert all(layer.operator in report for layer in first.layers)
    assert "http" not in report


def test_a_measurement_that_fails_keeps_everything_else(tmp_path: Path, idx_folder: Path) -> None:
    with pytest.raises(MeasurementFailed, match="its message is above") as caught:
        search_and_measure(job(tmp_path / "run", idx_folder), agent=agent(tmp_path, 5))
    assert caught.value.exit_code == 5
    assert SearchResult.read(tmp_path / "run" / "result.json").measured_us is None
    assert "not yet" in (tmp_path / "run" / "report.html").read_text()
    assert (tmp_path / "run" / "weights.safetensors").exists()


class Interrupted(Console):
    """Ctrl-C when the second epoch is told."""

    def print(self, *objects: Any, **options: Any) -> None:
        if objects and str(objects[0]).startswith("epoch 2/"):
            raise KeyboardInterrupt
        super().print(*objects, **options)


def test_an_interrupted_run_keeps_its_epochs(tmp_path: Path, idx_folder: Path) -> None:
    interrupted = replace(job(tmp_path / "run", idx_folder), console=Interrupted(quiet=True))
    with pytest.raises(KeyboardInterrupt):
        search_and_measure(interrupted, agent=None)
    metrics = (tmp_path / "run" / "metrics.jsonl").read_text().splitlines()
    assert [json.loads(line)["epoch"] for line in metrics] == [1, 2]
    assert not (tmp_path / "run" / "result.json").exists()
    RunFolder(tmp_path / "run")  # unfinished, so it may be used again


def test_a_finished_run_is_refused_unless_it_may_be_overwritten(tmp_path: Path) -> None:
    (tmp_path / "result.json").write_text("{}")
    with pytest.raises(PhonebookError, match=r"holds a finished run.*--overwrite"):
        RunFolder(tmp_path)
    RunFolder(tmp_path, overwrite=True).begin({}, table_of(SMALL))
    assert not (tmp_path / "result.json").exists()
    with pytest.raises(PhonebookError, match="is a file; name a folder"):
        RunFolder(tmp_path / "lut.json")


def test_a_fresh_folder_tells_time_and_device() -> None:
    fresh = RunFolder.fresh("pixel-8", now=datetime(2026, 1, 31, 23, 59, 59))
    assert str(fresh.path) == "runs/2026-01-31-235959-pixel-8"


def test_the_command_searches_against_a_server(
    tmp_path: Path, idx_folder: Path, serve: Serve, capsys: pytest.CaptureFixture[str]
) -> None:
    server = serve(table_of(SMALL))
    arguments = ["--device", "test-phone", "--space", SMALL.name, "--server", server]
    arguments += ["--data", str(idx_folder), "--out", str(tmp_path / "run"), "--no-measure"]
    arguments += ["--epochs", "1", "--batch-size", "32", "--paths", "1", "--final-epochs", "1"]
    arguments += ["--weight-lr", "0.01", "--threads", "1", "--seed", "3", "--samples", "1"]
    run.app(arguments)
    result = SearchResult.read(tmp_path / "run" / "result.json")
    assert (result.seed, result.device, len(result.samples)) == (3, "test-phone", 1)
    assert "found: predicted" in capsys.readouterr().out
    with pytest.raises(PhonebookError, match="holds a finished run"):
        run.app(arguments)


def test_an_incomplete_table_is_refused_before_anything_is_written(
    tmp_path: Path, serve: Serve
) -> None:
    key = SMALL.candidates(SMALL.slots[3])[2].key
    server = serve(table_of(SMALL, without=(key,)))
    arguments = ["--device", "test-phone", "--space", SMALL.name, "--server", server]
    with pytest.raises(IncompleteTable) as caught:
        run.app([*arguments, "--out", str(tmp_path / "run")])
    assert caught.value.missing == (key,)
    command = f"python -m device_agent.run --device test-phone --space {SMALL.name}"
    assert command in str(caught.value)
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize(
    ("arguments", "code", "message"),
    [
        (["--device", "x", "--space", "fbnet-33"], 2, "no space 'fbnet-33'; did you mean"),
        (["--device", "x", "--paths", "0"], 2, "--paths is 0, but must be at least 1"),
        (["--device", "x", "--server", "http://127.0.0.1:9"], 3, "no answer from"),
    ],
)
def test_a_wrong_search_is_explained(arguments: list[str], code: int, message: str) -> None:
    with pytest.raises(PhonebookError, match=message) as caught:
        run.app(arguments)
    assert caught.value.exit_code == code


def test_the_networks_are_listed_with_their_exact_counts(
    capsys: pytest.CaptureFixture[str],
) -> None:
    predict.app(["--list", "--json"])
    listed = {network["name"]: network for network in json.loads(capsys.readouterr().out)}
    assert (listed["fbnet-a"]["params"], listed["fbnet-a"]["macs"]) == (4_286_480, 249_921_848)
    small = listed["fbnet-96-0.35-1"]
    assert (small["params"], small["head"], small["space"]) == (1_833_968, 1416, "fbnet-96-0.35")
    assert all(len(network["blocks"]) == 22 for network in listed.values())
    predict.app(["--list"])
    assert "fbnet-iphonex in fbnet-224: 321.8 M MACs" in capsys.readouterr().out


def test_a_prediction_is_the_sum_of_its_operators(
    serve: Serve, capsys: pytest.CaptureFixture[str]
) -> None:
    arguments = ["--device", "test-phone", "--network", "fbnet-a", "--space", SMALL.name]
    arguments += ["--server", serve(table_of(SMALL))]
    predict.app([*arguments, "--json"])
    document = json.loads(capsys.readouterr().out)
    rows = document["operators"]
    assert len(rows) == 24
    assert document["predicted_us"] == pytest.approx(sum(row["latency_us"] for row in rows))
    assert (document["measured_us"], document["space"]) == (None, SMALL.name)
    predict.app(arguments)
    assert "predicted" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ([], "give --device and --network"),
        (["--device", "x", "--network", "fbnet-d"], "no network 'fbnet-d'; did you mean"),
        (["--list", "--space", "fbnet"], "no space 'fbnet'"),
        (["--device", "x", "--network", "gone.json"], r"cannot read gone\.json"),
    ],
)
def test_a_wrong_prediction_is_explained(arguments: list[str], message: str) -> None:
    with pytest.raises(PhonebookError, match=message):
        predict.app(arguments)


def test_as_a_program_an_error_is_one_line_and_one_code() -> None:
    command = [sys.executable, "-m", "search.predict", "--device", "x", "--network", "fbnet-d"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr.startswith("error: no network 'fbnet-d'; did you mean")


@pytest.fixture(autouse=True)
def _threads_as_before() -> Iterator[None]:
    before = torch.get_num_threads()
    yield
    torch.set_num_threads(before)
