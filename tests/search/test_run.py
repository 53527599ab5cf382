import json
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
import torch

from contract.cli import INTERRUPTED
from contract.errors import IncompleteTable, PhonebookError
from contract.results import SearchResult
from contract.spaces import space
from search import run
from tests.search.conftest import Serve, TableServer
from tests.small_disk import on_small_disk
from tests.tables import table_of

SMALL = space("fbnet-32-0.35")
TABLE = table_of(SMALL)


def test_the_command_searches_against_a_server(
    tmp_path: Path, idx_folder: Path, serve: Serve, capsys: pytest.CaptureFixture[str]
) -> None:
    server = serve(table_of(SMALL))
    arguments = ["--device", "test-phone", "--space", SMALL.name, "--server", server]
    arguments += ["--data", str(idx_folder), "--out", str(tmp_path / "run"), "--measure", "no"]
    arguments += ["--epochs", "1", "--batch-size", "32", "--paths", "1", "--final.epochs", "1"]
    arguments += ["--weight-lr", "0.01", "--threads", "1", "--seed", "3", "--samples", "1"]
    run.app(arguments)
    result = SearchResult.read(tmp_path / "run" / "result.json")
    assert (result.seed, result.device, len(result.samples)) == (3, "test-phone", 1)
    assert "found: predicted" in capsys.readouterr().out
    with pytest.raises(PhonebookError, match="holds a finished run"):
        run.app(arguments)


def test_a_folder_without_a_run_is_not_resumed(tmp_path: Path) -> None:
    arguments = ["--device", "x", "--out", str(tmp_path / "run"), "--resume"]
    with pytest.raises(PhonebookError, match="holds no run to resume; leave --resume out"):
        run.app(arguments)
    with pytest.raises(PhonebookError, match="either --overwrite or --resume, not both"):
        run.app([*arguments, "--overwrite"])
    assert not (tmp_path / "run").exists()


@pytest.mark.slow
def test_the_command_resumes_without_the_server(
    tmp_path: Path, idx_folder: Path, serve: Serve, servers: list[TableServer]
) -> None:
    """The table may have changed since; the run goes on with the one it began with."""
    arguments = ["--device", "test-phone", "--space", SMALL.name, "--server", serve(TABLE)]
    arguments += ["--data", str(idx_folder), "--out", str(tmp_path / "run"), "--measure", "no"]
    arguments += ["--epochs", "1", "--warmup-share", "0", "--batch-size", "32", "--paths", "1"]
    arguments += ["--final.epochs", "1", "--weight-lr", "0.01", "--threads", "1"]
    run.app(arguments)
    (tmp_path / "run" / "result.json").rename(tmp_path / "first.json")
    asked = len(servers[0].asked)
    run.app([*arguments, "--resume"])
    assert len(servers[0].asked) == asked
    again = (tmp_path / "run" / "result.json").read_bytes()
    assert again == (tmp_path / "first.json").read_bytes()


@pytest.mark.slow
def test_ctrl_c_stops_after_the_step_and_the_run_goes_on_later(
    tmp_path: Path, idx_folder: Path, serve: Serve
) -> None:
    out = tmp_path / "run"
    arguments = ["--device", "test-phone", "--space", SMALL.name, "--server", serve(TABLE)]
    arguments += [
        "--data",
        str(idx_folder),
        "--out",
        str(out),
        "--measure",
        "no",
        "--threads",
        "1",
    ]
    arguments += ["--epochs", "10000", "--batch-size", "8", "--paths", "1"]
    arguments += ["--weight-lr", "0.001"]
    command = [sys.executable, "-m", "search.run", *arguments]
    with subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    ) as process:
        assert process.stdout is not None
        told = next(line for line in process.stdout if line.startswith("epoch 1/"))
        process.send_signal(signal.SIGINT)
        output, errors = process.communicate(timeout=60)
    assert (process.returncode, errors) == (INTERRUPTED, "interrupted\n")
    assert f"the same command goes on with --out {out} --resume" in output
    assert told.startswith("epoch 1/10000 (weights only): cross entropy")
    with pytest.raises(PhonebookError, match=r"is of another run \(epochs 10000, now 3\)"):
        run.app(["--resume", *("3" if one == "10000" else one for one in arguments)])


@pytest.mark.slow
def test_several_devices_get_a_network_each_and_a_cross_table(
    tmp_path: Path, idx_folder: Path, serve: Serve, capsys: pytest.CaptureFixture[str]
) -> None:
    tables = {
        "a": table_of(SMALL, device="a"),
        "b": table_of(SMALL, lambda operator: 20 + operator.macs() / 1000, device="b"),
    }
    out = tmp_path / "run"
    arguments = ["--device", "a", "--device", "b", "--server", serve(*tables.values())]
    arguments += ["--space", SMALL.name, "--data", str(idx_folder), "--out", str(out)]
    arguments += ["--epochs", "2", "--warmup-share", "0", "--batch-size", "32", "--paths", "1"]
    arguments += ["--final.epochs", "1", "--theta-lr", "1", "--threads", "1", "--measure", "no"]
    run.app(arguments)
    cross = json.loads((out / "cross.json").read_text())
    assert cross["targets"] == ["a", "b"]
    for row, name in enumerate("ab"):
        result = SearchResult.read(out / name / "result.json")
        network = cross["networks"][row]
        assert network["predicted_us"][row] == result.predicted_us
        assert network["predicted_us"] == [
            sum(tables[other].latencies_us(result.network().operators)) for other in "ab"
        ]
        assert (network["target"], network["measured_us"]) == (name, None)
        assert network["accuracy"] == result.accuracy
    printed = capsys.readouterr().out
    assert "predicted latency of each network on each device" in printed
    for rival in cross["rivals"]:
        told = f"on {rival['target']} the network searched for {rival['searched_for']} "
        assert (told + "beats its own" in printed) is rival["beats"]
    faster = [
        (own["target"], other["target"])
        for place, own in enumerate(cross["networks"])
        for other in cross["networks"]
        if other["predicted_us"][place] < own["predicted_us"][place]
    ]
    assert faster == [(each["target"], each["searched_for"]) for each in cross["rivals"]]


def test_several_devices_are_refused_together_where_one_lacks_a_row(
    tmp_path: Path, idx_folder: Path, serve: Serve
) -> None:
    key = SMALL.choices[3].candidates[2].key
    server = serve(table_of(SMALL, device="a"), table_of(SMALL, device="b", without=(key,)))
    arguments = ["--device", "a", "--device", "b", "--space", SMALL.name, "--server", server]
    with pytest.raises(IncompleteTable, match=r"device_agent\.run --device b"):
        run.app([*arguments, "--data", str(idx_folder), "--out", str(tmp_path / "run")])
    assert not (tmp_path / "run").exists()


def test_several_devices_are_refused_together_where_a_target_is_out_of_ones_reach(
    tmp_path: Path, idx_folder: Path, serve: Serve
) -> None:
    slow = table_of(SMALL, lambda operator: 1e6, device="b")
    arguments = ["--device", "a", "--device", "b", "--space", SMALL.name]
    arguments += ["--server", serve(table_of(SMALL, device="a"), slow), "--target-ms"]
    of_a = table_of(SMALL, device="a").latencies_us(SMALL.operators)
    arguments += [f"{sum(of_a) / 1000 / 4:g}", "--threads", "1"]
    with pytest.raises(PhonebookError, match="is out of reach: the networks of the space take"):
        run.app([*arguments, "--data", str(idx_folder), "--out", str(tmp_path / "run")])
    assert not (tmp_path / "run").exists()


def test_several_devices_are_refused_together_before_an_agent_completes_ones_table(
    tmp_path: Path, idx_folder: Path, serve: Serve
) -> None:
    key = SMALL.choices[3].candidates[2].key
    server = serve(table_of(SMALL, device="a", without=(key,)))
    arguments = ["--device", "a", "--device", "b", "--space", SMALL.name, "--server", server]
    arguments += ["--data", str(idx_folder), "--out", str(tmp_path / "run"), "--profile-missing"]
    with pytest.raises(PhonebookError, match=r"/lut/b.* --profile-missing needs to know"):
        run.app(arguments)


@pytest.mark.slow
@pytest.mark.parametrize("size", ["4k", "64k", "600k", "2m"])
def test_a_disk_that_fills_up_is_told_in_one_line(
    tmp_path: Path, idx_folder: Path, serve: Serve, size: str
) -> None:
    disk = tmp_path / "disk"
    disk.mkdir()
    arguments = ["--device", "test-phone", "--space", SMALL.name, "--server", serve(TABLE)]
    arguments += ["--data", str(idx_folder), "--out", str(disk / "run"), "--measure", "no"]
    arguments += ["--epochs", "1", "--warmup-share", "0", "--batch-size", "32", "--paths", "1"]
    arguments += ["--final.epochs", "1", "--weight-lr", "0.01", "--threads", "1"]
    command = [sys.executable, "-m", "search.run", *arguments]
    done = on_small_disk(disk, command, size=size)
    assert (done.returncode, done.stderr.count("\n")) == (2, 1), done.stderr
    assert done.stderr.startswith("error: ")
    assert str(disk / "run") in done.stderr


@pytest.mark.parametrize(
    ("arguments", "code", "message"),
    [
        (["--device", "x", "--space", "fbnet-33"], 2, "no space 'fbnet-33'; did you mean"),
        (["--device", "x", "--theta-paths", "1"], 2, "--theta-paths is 1, but must be at least 2"),
        (["--device", "x", "--device", "x"], 2, "--device x x: the same twice; name each once"),
        (["--device", "x", "--resume"], 2, "--resume needs --out: the folder of the run"),
        (["--device", "x", "--server", "http://127.0.0.1:9"], 3, "no answer from"),
    ],
)
def test_a_wrong_search_is_explained(arguments: list[str], code: int, message: str) -> None:
    with pytest.raises(PhonebookError, match=message) as caught:
        run.app(arguments)
    assert caught.value.exit_code == code


@pytest.fixture(autouse=True)
def _threads_as_before() -> Iterator[None]:
    before = torch.get_num_threads()
    yield
    torch.set_num_threads(before)
