"""What the server learns of a run, and that no run waits for it or fails by it."""

import json
import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from io import StringIO
from pathlib import Path
from typing import Any

import pytest
import uvicorn
from rich.console import Console

from contract.client import TableClient, table_client
from contract.devices import DeviceDescription
from contract.spaces import space
from search import run
from search.dnas.figures import EpochResult
from search.processes import Stopped
from search.runs.posting import Posting
from search.runs.search import RunSpec, search_and_measure
from server.app import create_app
from server.database.engine import open_database
from server.database.schema import upgrade
from server.settings import Settings
from tests.search.conftest import Serve
from tests.search.runs.test_search import STEPS_OF_SEARCH, TABLE, Press, agent, job
from tests.server.making import an_epoch
from tests.tables import table_of

SMALL = space("fbnet-32-0.35")
PHONE = DeviceDescription(model="M", soc="S", cores=8, memory_bytes=2**32, os="O")
Serving = Callable[[], AbstractContextManager[TableClient]]


@pytest.fixture
def listener() -> Iterator[socket.socket]:
    """An address where nobody answers before a server is started on it."""
    with socket.socket() as reserved:
        reserved.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        reserved.bind(("127.0.0.1", 0))
        yield reserved


@pytest.fixture
def address(listener: socket.socket) -> str:
    return f"http://127.0.0.1:{listener.getsockname()[1]}"


@pytest.fixture
def serving(tmp_path: Path, listener: socket.socket, address: str) -> Serving:
    """A Phonebook server at the address that knows the test's phone, for as long as wished."""

    @contextmanager
    def started() -> Iterator[TableClient]:
        engine = open_database(f"sqlite:///{tmp_path}/phonebook.db")
        upgrade(engine)
        app = create_app(engine, Settings(rate=0), local=True)
        server = uvicorn.Server(uvicorn.Config(app, log_config=None, lifespan="off"))
        listener.listen()
        thread = threading.Thread(target=server.run, kwargs={"sockets": [listener.dup()]})
        thread.start()
        with table_client(address) as client:
            client.register("test-phone", PHONE)
            yield client
        server.should_exit = True
        thread.join()
        engine.dispose()

    return started


def told(of: RunSpec, address: str) -> tuple[RunSpec, Console]:
    """The job, which tells the server; and the screen that says how that goes."""
    screen = Console(record=True, width=500, file=StringIO())
    posting = Posting(server=address, console=screen)
    return RunSpec(**{**vars(of), "posting": posting, "preset": "glimpse"}), screen


def test_the_server_learns_of_each_epoch_and_of_what_was_found(
    tmp_path: Path, idx_folder: Path, serving: Serving, address: str
) -> None:
    work, screen = told(job(tmp_path / "run", idx_folder), address)
    with serving() as client:
        result = search_and_measure(work, measure=agent(tmp_path, 0))
        (summary,) = client.searches("test-phone")
        report = client.search(summary.id)
    assert (report.run.state, report.run.reason, report.run.plan.preset) == (
        "finished",
        None,
        "glimpse",
    )
    found = report.run.result
    assert found is not None
    assert (found.architecture, found.accuracy, found.measured_us) == (
        result.architecture,
        result.accuracy,
        5000,
    )
    assert (found.measured_low_us, found.measured_high_us) == (4990, 5010)
    costs = [found.stem_us, *(layer.latency_us for layer in found.layers), found.head_us]
    assert sum(costs) == pytest.approx(result.predicted_us)
    lines = (tmp_path / "run/metrics.jsonl").read_text()
    written = [json.loads(line) for line in lines.splitlines()]
    of_search = [line for line in written if line["phase"] == "search"]
    assert [epoch.model_dump(mode="json") for epoch in report.epochs] == [
        {name: value for name, value in line.items() if name != "phase"} for line in of_search
    ]
    assert f"to be seen at {address}/searches/{summary.id}" in screen.export_text()


@pytest.mark.slow
def test_a_server_that_is_away_costs_nothing_but_a_word_and_resume_tells_it_all(
    tmp_path: Path, idx_folder: Path, serving: Serving, address: str
) -> None:
    work, screen = told(job(tmp_path / "run", idx_folder), address)
    alone = search_and_measure(work, measure=None)
    words = screen.export_text()
    assert words.count("no answer from") == 1
    assert "--resume tells it the rest" in words
    with serving() as client:
        again, _ = told(job(tmp_path / "run", idx_folder, Press(resume=True)), address)
        assert search_and_measure(again, measure=None) == alone
        (summary,) = client.searches()
        assert (summary.state, summary.epochs) == ("finished", 2)
        assert str(summary.id) in (tmp_path / "run/search.json").read_text()
        # Resumed once more it is the same search still.
        third, _ = told(job(tmp_path / "run", idx_folder, Press(resume=True)), address)
        search_and_measure(third, measure=None)
        assert [each.id for each in client.searches()] == [summary.id]


@pytest.mark.slow
def test_a_run_that_was_stopped_says_so_and_goes_on_as_the_same_search(
    tmp_path: Path, idx_folder: Path, serving: Serving, address: str
) -> None:
    with serving() as client:
        press = Press(stop_after=STEPS_OF_SEARCH - 1)
        work, _ = told(job(tmp_path / "run", idx_folder, press), address)
        with pytest.raises(Stopped):
            search_and_measure(work, measure=None)
        (summary,) = client.searches()
        assert (summary.state, summary.reason) == ("stopped", "stopped by whoever ran it")
        assert (summary.epochs, summary.result) == (1, None)
        again, _ = told(job(tmp_path / "run", idx_folder, Press(resume=True)), address)
        search_and_measure(again, measure=None)
        (after,) = client.searches()
        assert (after.id, after.state, after.epochs) == (summary.id, "finished", 2)


@pytest.mark.slow
def test_a_measurement_that_fails_leaves_the_network_and_the_reason(
    tmp_path: Path, idx_folder: Path, serving: Serving, address: str
) -> None:
    work, _ = told(job(tmp_path / "run", idx_folder), address)
    with serving() as client:
        with pytest.raises(Exception, match="its message is above"):
            search_and_measure(work, measure=agent(tmp_path, 5))
        (summary,) = client.searches()
    assert summary.state == "stopped"
    assert "the network was not measured" in (summary.reason or "")
    assert summary.result is not None


def test_what_the_server_refuses_is_said_once_and_not_tried_again(
    tmp_path: Path, idx_folder: Path, serving: Serving, address: str
) -> None:
    elsewhere = Press(table=TABLE.evolve(device="unknown-phone"))
    work, screen = told(job(tmp_path / "run", idx_folder, elsewhere), address)
    with serving() as client:
        search_and_measure(work, measure=None)
        assert client.searches() == []
    assert screen.export_text().count("no device 'unknown-phone'") == 1


def test_the_next_epoch_brings_what_was_missed(
    tmp_path: Path, idx_folder: Path, serving: Serving, address: str
) -> None:
    plan = job(tmp_path / "run", idx_folder).plan
    posting = Posting(server=address, console=Console(quiet=True))
    first, second = (shown(number) for number in (1, 2))
    posting.begin(tmp_path / "search.json", plan, [])
    posting.add_epoch(first)
    with serving() as client:
        posting.add_epoch(second)
        posting.end(why=Stopped())
        (summary,) = client.searches()
        assert [epoch.epoch for epoch in client.search(summary.id).epochs] == [1, 2]


def shown(number: int) -> EpochResult:
    """An epoch of the small space, whose slots have as many candidates as the usual one's."""
    figures: dict[str, Any] = an_epoch(number).model_dump()
    return EpochResult(**figures)


@pytest.mark.slow
def test_several_devices_are_one_group_with_the_cross_table(
    tmp_path: Path,
    idx_folder: Path,
    serve: Serve,
    serving: Serving,
    address: str,
) -> None:
    tables = serve(table_of(SMALL), table_of(SMALL, device="tablet"))
    arguments = ["--device", "test-phone", "--device", "tablet", "--space", SMALL.name]
    arguments += ["--data", str(idx_folder), "--measure", "no", "--threads", "1"]
    arguments += ["--epochs", "1", "--warmup-share", "0", "--batch-size", "32", "--paths", "1"]
    arguments += ["--final.epochs", "1", "--weight-lr", "0.01"]
    run.app([*arguments, "--server", tables, "--out", str(tmp_path / "kept")])
    with serving() as client:
        client.register("tablet", PHONE)
        offline = [*arguments, "--offline", "--server", tables]
        run.app([*offline, "--out", str(tmp_path / "offline")])
        assert client.searches() == []
        again = [*arguments, "--resume", "--server", address, "--out", str(tmp_path / "kept")]
        (told,) = (tmp_path / "kept").glob("*phone*/search.json")
        told.unlink()  # as if it had never begun while the other was told
        run.app(again)
        tablet, phone = sorted(
            client.searches(), key=lambda each: each.plan.device == "test-phone"
        )
    assert phone.plan.group == tablet.plan.group
    assert phone.plan.group is not None
    cross = json.loads((tmp_path / "kept/cross.json").read_text())
    ((on_tablet,), (on_phone,)) = phone.elsewhere, tablet.elsewhere
    assert (on_tablet.target, on_phone.target) == ("tablet", "test-phone")
    assert on_tablet.predicted_us == cross["networks"][0]["predicted_us"][1]
    assert on_phone.predicted_us == cross["networks"][1]["predicted_us"][0]
