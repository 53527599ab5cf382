"""Visits that a server or a proxy does not take: told, kept, and no timing waits for them."""

import json
from collections.abc import Callable
from pathlib import Path

import pytest

from contract.derivation import derive
from contract.problems import Problem
from device_agent import screen
from device_agent.measuring.profile import profile
from device_agent.measuring.upload import send
from device_agent.measuring.upload_visits import MOST_BYTES
from device_agent.outbox import listing
from tests.device_agent import raw_visits
from tests.device_agent.raw_visits import (
    OPERATORS_US,
    SPACE,
    VISITS,
    At,
    derived_again,
    must_tell_the_same,
    posted,
    visit_posts,
)
from tests.device_agent.servers import HTML, Answer, before, serving, stored_operators

# Fixtures.
at, cache, device = raw_visits.at, raw_visits.cache, raw_visits.device


def older(path: str, body: bytes) -> Answer | None:
    """As a server does that knows neither visits nor derivations."""
    if path.endswith("/visits"):
        return _problem(404)
    if path == "/sessions" and "derivation" in json.loads(body):
        return _problem(422)
    return None


def _problem(status: int) -> Answer:
    told = Problem(type="about:blank", title="No", status=status, detail="no")
    return status, "application/problem+json", told.model_dump_json().encode()


@pytest.mark.slow
@pytest.mark.parametrize(
    ("instead", "words"),
    [
        (older, "takes no visits, as an older version does not"),
        (
            lambda path, _: (405, HTML, b"not allowed") if path.endswith("/visits") else None,
            "something that is not Phonebook's (status 405)",
        ),
    ],
    ids=["an older server", "a proxy"],
)
def test_a_server_without_a_place_for_visits_gets_the_timings_and_later_the_visits(
    at: At, tmp_path: Path, instead: Callable[[str, bytes], Answer | None], words: str
) -> None:
    with (
        serving(tmp_path / "server.db") as address,
        before(address) as (proxy, through),
        at(through) as bench,
    ):
        proxy.instead = instead
        with screen.console.capture() as said:
            profile(bench, SPACE)
        assert len(stored_operators(tmp_path / "server.db")) == len(OPERATORS_US)
        assert words in " ".join(said.get().split())
        assert visit_posts(proxy) == 1
        (session,) = bench.journal.sessions_with_visits(through)
        (line,) = [line for line in listing(bench.journal, through) if "to send" in line]
        assert line.startswith(f"of session {session}: ")
        assert bench.journal.waiting(through) == 0

        proxy.instead = lambda path, body: None
        bench.send()
        assert bench.journal.sessions_with_visits(through) == []
        found = bench.client.visits(str(session))
        derived = derive(found.layouts, found.visits)
        assert derived is not None
        must_tell_the_same(derived, posted(bench.journal, through)[1])


@pytest.mark.slow
def test_visits_that_are_refused_are_told_and_kept_and_hold_up_no_timing(
    at: At, tmp_path: Path
) -> None:
    with (
        serving(tmp_path / "server.db") as address,
        before(address) as (proxy, through),
        at(through) as bench,
    ):
        proxy.instead = lambda path, _: _problem(409) if path.endswith("/visits") else None
        with screen.console.capture() as said:
            profile(bench, SPACE)
        assert len(stored_operators(tmp_path / "server.db")) == len(OPERATORS_US)
        assert "were refused for good" in " ".join(said.get().split())
        assert visit_posts(proxy) == 1
        assert bench.journal.sessions_with_visits(through) == []
        (held,) = bench.journal.held_visits(through)
        assert held.refused >= VISITS
        assert any(
            line.startswith("refused of session") for line in listing(bench.journal, through)
        )
        proxy.instead = lambda path, body: None
        session, timings = posted(bench.journal, through)
        assert send(bench.journal, bench.client).lines == ()
        must_tell_the_same(derived_again(bench.client, session), timings)


@pytest.mark.slow
def test_batches_that_are_too_large_are_halved(at: At, tmp_path: Path) -> None:
    with (
        serving(tmp_path / "server.db") as address,
        before(address) as (proxy, through),
        at(through) as bench,
    ):

        def small(path: str, body: bytes) -> Answer | None:
            is_large = path.endswith("/visits") and len(body) > MOST_BYTES // 4
            return (413, HTML, b"Request Entity Too Large") if is_large else None

        proxy.instead = small
        profile(bench, SPACE)
        sizes = [size for path, size in proxy.posts if path.endswith("/visits")]
        assert max(sizes) > MOST_BYTES // 4
        session, timings = posted(bench.journal, through)
        must_tell_the_same(derived_again(bench.client, session), timings)

        proxy.instead = lambda path, _: (413, HTML, b"") if path.endswith("/visits") else None
        sent = send(bench.journal, bench.client)
        assert sent.accepted == len(timings)
        (line,) = sent.lines
        assert "PHONEBOOK_MAX_BODY_BYTES" in line


@pytest.mark.slow
def test_a_damaged_visit_holds_up_no_timing(at: At, tmp_path: Path) -> None:
    with (
        serving(tmp_path / "server.db") as address,
        before(address) as (proxy, through),
        at(through) as bench,
    ):
        proxy.instead = older
        profile(bench, SPACE)
        proxy.instead = lambda path, body: None
        bench.journal.put_back(through)
        bench.journal._execute("UPDATE visits SET body = substr(body, 1, 40) WHERE rowid = 1")
        sent = send(bench.journal, bench.client)
        assert sent.accepted == len(OPERATORS_US)
        (line,) = sent.lines
        assert "were refused for good: cannot be read" in line
