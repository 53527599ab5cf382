"""What follows the fleet: its stream of events, and that no stream holds the server up."""

import asyncio
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from pathlib import Path

import httpx
import pytest
from fastapi.testclient import TestClient
from sqlalchemy import Engine

from contract.jobs import LEASE
from server.database.engine import reading
from server.database.transactions import Database
from server.errors import NotReady
from server.pages.fleet.events import MOST_LISTENERS, Listeners
from server.store.fleet import digest, units
from server.store.jobs import MOST_JOBS
from tests.server.fleet import MEASURE, Clock, Fleet, a_job, an_agent
from tests.server.test_access import shared
from tests.server.test_queue_page import text


def told(engine: Engine, clock: Clock) -> str:
    with reading(engine)() as session:
        return digest(session, clock())


def test_the_digest_changes_with_what_the_page_shows_and_not_with_a_heartbeat(
    engine: Engine, fleet: Fleet, clock: Clock
) -> None:
    agent = fleet.joined("lab", "s1")
    seen = [told(engine, clock)]
    clock.advance(LEASE / 4)
    fleet.announce(agent, an_agent("lab", "s1"))
    assert told(engine, clock) == seen[-1]
    job = fleet.filed()
    seen.append(told(engine, clock))
    fleet.leased(agent)
    seen.append(told(engine, clock))
    fleet.done(job, agent)
    seen.append(told(engine, clock))
    fleet.announce(agent, an_agent("lab"))
    seen.append(told(engine, clock))
    clock.advance(LEASE * 2)  # nobody has heard of the agent since
    seen.append(told(engine, clock))
    assert len(set(seen)) == len(seen)


@pytest.mark.slow
def test_the_digest_changes_with_a_job_older_than_those_listed(
    engine: Engine, fleet: Fleet, clock: Clock
) -> None:
    agent = fleet.joined("lab", "s1")
    oldest = fleet.filed()
    for _ in range(MOST_JOBS):
        clock.advance(timedelta(seconds=1))
        fleet.filed()
    fleet.announce(agent, an_agent("lab", "s1"))
    seen = [told(engine, clock)]
    clock.advance(timedelta(seconds=1))
    assert fleet.leased(agent).job.id == oldest
    seen.append(told(engine, clock))
    clock.advance(timedelta(seconds=1))
    fleet.done(oldest, agent)
    seen.append(told(engine, clock))
    assert len(set(seen)) == len(seen)


def test_each_unit_says_what_it_is_at(engine: Engine, fleet: Fleet, clock: Clock) -> None:
    agent = fleet.joined("lab", "s1", "s2", "s3")
    fleet.filed()
    fleet.leased(agent, "s1")
    fleet.announce(agent, an_agent("lab", "s1", "s2"))
    lost_at = clock()

    def states() -> list[tuple[str, str]]:
        with reading(engine)() as session:
            return [(unit.serial, unit.state) for unit in units(session, clock())]

    assert states() == [("s1", "measuring"), ("s2", "free"), ("s3", "lost")]
    with reading(engine)() as session:
        assert units(session, clock())[2].since == lost_at
    clock.advance(LEASE * 2)
    assert states() == [("s1", "agent away"), ("s2", "agent away"), ("s3", "lost")]


def test_the_queue_is_filtered_by_state_device_and_work(fleet: Fleet, client: TestClient) -> None:
    fleet.filed(a_job(work=MEASURE))
    fleet.filed()
    page = text(client.get("/fleet?kind=measure").text)
    assert "measure a network of fbnet-32" in page
    assert "profile fbnet-32" not in page
    assert "No job is of that state" in text(client.get("/fleet?state=done").text)
    moved = client.get("/queue?kind=measure", follow_redirects=False)
    assert (moved.status_code, moved.headers["location"]) == (307, "/fleet?kind=measure")


def test_too_many_listeners_are_refused_and_readers_alone_may_listen(
    engine: Engine, clock: Clock
) -> None:
    async def listen() -> None:
        listeners = Listeners(Database(engine), clock)
        streams = [listeners.stream() for _ in range(MOST_LISTENERS)]
        for stream in streams:
            assert str(await anext(aiter(stream.body_iterator))).startswith("event: fleet")
        with pytest.raises(NotReady, match="follow the fleet already"):
            listeners.stream()
        listeners.leave()  # who leaves makes room
        assert str(await anext(aiter(listeners.stream().body_iterator))).startswith("event: fleet")

    with ThreadPoolExecutor(1) as thread:  # this one may have a browser's event loop
        thread.submit(lambda: asyncio.run(listen())).result()
    with shared(engine) as stranger:
        assert stranger.get("/fleet/events").status_code == 401


@pytest.fixture
def server(database_url: str, tmp_path: Path) -> Iterator[tuple[subprocess.Popen[str], str]]:
    """The real program on a migrated database, and its address."""
    process = subprocess.Popen(
        [sys.executable, "-m", "server", "--port", "0", "--database-url", database_url],
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
        env=os.environ | {"PHONEBOOK_HOME": str(tmp_path)},
    )
    assert process.stdout is not None
    address = next(word for word in process.stdout.readline().split() if "http" in word)
    yield process, address
    process.kill()
    process.wait()
    process.stdout.close()


@pytest.mark.slow
def test_a_listener_hears_of_changes_and_does_not_hold_up_the_end_of_the_server(
    server: tuple[subprocess.Popen[str], str],
) -> None:
    process, address = server
    with httpx.stream("GET", f"{address}/fleet/events", timeout=60) as stream:
        lines = stream.iter_lines()
        first = [next(lines) for _ in range(3)]
        assert (first[0], first[2]) == ("event: fleet", "")
        httpx.put(
            f"{address}/agents/7d0d2f5e-3a52-4b3e-9d5e-6f2a4f8b9c01",
            json=an_agent("lab", "s1").model_dump(mode="json"),
        ).raise_for_status()
        second = [next(lines) for _ in range(3)]
        assert second[0] == "event: fleet"
        assert second[1] != first[1]
        process.send_signal(signal.SIGTERM)
        assert list(lines) == []  # the server ends the stream, and so itself
    assert process.wait(timeout=60) in (0, -signal.SIGTERM)
