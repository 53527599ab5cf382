"""What was measured reaches the server as it was measured, and nothing waits for that."""

import json
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import replace
from pathlib import Path
from uuid import UUID

import pytest

from contract.client import TableClient, table_client
from contract.derivation import Derived, derive
from contract.errors import DeviceFailed, ServerUnreachable
from contract.problems import Problem
from contract.spaces import space
from contract.timings import Timing
from contract.visits import MOST_VISITS_IN_BATCH, Layout, VisitBatch
from device_agent import screen
from device_agent.device import Device, Plan, ProgramFailed, ProgramFile, ProgramTiming
from device_agent.measuring.audit import audit, networks_to_audit
from device_agent.measuring.journal import TABLE, Journal
from device_agent.measuring.profile import profile
from device_agent.measuring.protocols.in_situ import design_networks
from device_agent.measuring.protocols.protocol import EFFORTS, whole
from device_agent.measuring.protocols.registry import PROTOCOLS
from device_agent.measuring.station import Station
from device_agent.measuring.upload import send
from device_agent.measuring.upload_visits import MOST_BYTES, visit_batches
from device_agent.measuring.visit_journal import VisitEntry
from device_agent.outbox import listing
from device_agent.patience import PatienceOptions
from device_agent.programs.cache import ProgramCache
from tests.device_agent.servers import HTML, Answer, Proxy, before, serving, stored_operators
from tests.device_agent.simulated import SimulatedDevice
from tests.device_agent.test_journal import old_journal
from tests.fakes import FakeDevice, fake_export

SPACE = space("fbnet-32")
OPERATORS_US = {
    operator.key: 60.0 + 7.0 * number for number, operator in enumerate(SPACE.operators)
}
DESIGN = design_networks(SPACE)
AUDITED = networks_to_audit(SPACE, 1, 0)
RUNTIME = SimulatedDevice.runtime
VISITS = EFFORTS["quick"].rounds * len(DESIGN)

At = Callable[[str], AbstractContextManager[Station]]


@pytest.fixture(scope="module")
def cache(tmp_path_factory: pytest.TempPathFactory) -> ProgramCache:
    """With every program that is measured here."""
    cache = ProgramCache(tmp_path_factory.mktemp("programs"))
    designed = PROTOCOLS["in_situ"].plan(
        SPACE.operators, space=SPACE, runtime=RUNTIME, effort="quick"
    )
    for planned in (*designed, *(whole(each, RUNTIME) for each in AUDITED)):
        fake_export(planned.program, cache.file(planned.program))
    return cache


@pytest.fixture
def device() -> SimulatedDevice:
    networks = {network.name: network for network in (*DESIGN, *AUDITED)}
    return SimulatedDevice(OPERATORS_US, networks, seed=5, calm_share=0.9, noise=0.002)


@pytest.fixture
def at(tmp_path: Path, cache: ProgramCache, device: SimulatedDevice) -> At:
    """The simulated device's station of the server at that address, over a journal that stays."""
    return lambda address: station(device, address, tmp_path / "journal.db", cache)


@contextmanager
def station(device: Device, address: str, journal: Path, cache: ProgramCache) -> Iterator[Station]:
    with table_client(address) as client, Journal(journal) as opened:
        yield Station(
            device=device,
            name="bench",
            client=client,
            journal=opened,
            cache=cache,
            exporter=fake_export,
            effort="quick",
            waiting=PatienceOptions(patience=0),
            server_patience_s=0.3,
        )


def derived_again(client: TableClient, session: UUID) -> Derived:
    """What the server has of the session makes this."""
    found = client.visits(str(session))
    told = client.session_report(str(session)).session.derivation
    assert told is not None
    derived = derive(found.layouts, found.visits, usual=told.usual)
    assert derived is not None
    assert derived.derivation == told
    return derived


def must_tell_the_same(derived: Derived, timings: list[Timing]) -> None:
    for timing in timings:
        rounds = derived.operators[timing.operator.key]
        assert timing.rounds_us == tuple(map(tuple, rounds.us))
        assert timing.drift == tuple(map(tuple, rounds.drift))
        assert timing.measured_at == rounds.at


def posted(journal: Journal, address: str) -> tuple[UUID, list[Timing]]:
    """The only session that was sent there, with its timings."""
    journal.put_back(address)
    (session,) = journal.waiting_sessions(address)
    results = [journal.result(entry) for entry in journal.entries(session)]
    return session, [each for each in results if isinstance(each, Timing)]


def visit_posts(proxy: Proxy) -> int:
    return sum(path.endswith("/visits") for path, _ in proxy.posts)


def test_a_session_comes_with_its_visits_of_which_the_server_can_make_its_timings(
    at: At, tmp_path: Path
) -> None:
    with (
        serving(tmp_path / "server.db") as address,
        before(address) as (proxy, through),
        at(through) as bench,
    ):
        profile(bench, SPACE)
        ends = [path.rpartition("/")[2] for path, _ in proxy.posts]
        in_turn = [end for end in ends if end in ("sessions", "visits", "batch")]
        assert list(dict.fromkeys(in_turn)) == ["sessions", "visits", "batch"]
        assert in_turn == sorted(in_turn, key=["sessions", "visits", "batch"].index)
        assert max(size for path, size in proxy.posts if path.endswith("visits")) < 2 * MOST_BYTES
        session, timings = posted(bench.journal, through)
        assert len(timings) == len(OPERATORS_US)
        must_tell_the_same(derived_again(bench.client, session), timings)
        assert len(bench.client.visits(str(session)).visits) >= VISITS

        # Everything once more, as to a server that was restored: nothing is stored twice.
        count = len(bench.client.visits(str(session)).visits)
        sent = send(bench.journal, bench.client)
        assert (sent.accepted, sent.lines) == (len(timings), ())
        assert len(bench.client.visits(str(session)).visits) == count
        before_that = visit_posts(proxy)
        bench.send()
        assert visit_posts(proxy) == before_that


@pytest.mark.slow
def test_a_session_that_was_cut_off_twice_sends_every_visit_once_that_counts(
    at: At, device: SimulatedDevice, tmp_path: Path
) -> None:
    """While it measures, and while it sends, with an answer that is lost."""
    with (
        serving(tmp_path / "server.db") as address,
        before(address) as (proxy, through),
    ):
        device.gone_after = 101
        with at(through) as bench, pytest.raises(DeviceFailed):
            profile(bench, SPACE)
        device.gone_after = None
        stored: Counter[tuple[int, str]] = Counter()

        def loses_answers(path: str, body: bytes) -> Answer | None:
            if not path.endswith("/visits"):
                return None
            if stored:
                return 503, HTML, b"away"
            batch = VisitBatch.model_validate_json(body)
            stored.update((visit.round, visit.program) for visit in batch.visits)
            with table_client(address) as client:
                client.add_visits(path.split("/")[2], batch)
            return 503, HTML, b"the answer is lost"

        proxy.instead = loses_answers
        with at(through) as bench, pytest.raises(ServerUnreachable):
            profile(bench, SPACE)
        assert stored
        assert stored_operators(tmp_path / "server.db") == []
        proxy.instead = lambda path, body: None
        with at(through) as bench:
            bench.send()
            session, timings = posted(bench.journal, through)
            must_tell_the_same(derived_again(bench.client, session), timings)
            assert len(timings) == len(OPERATORS_US)
            visits = bench.client.visits(str(session)).visits
    assert len({(visit.round, visit.program) for visit in visits}) == len(visits) >= VISITS


class Failing(SimulatedDevice):
    """After a few visits to them it crashes at the first design, and runs other kernels than
    before in the second."""

    def time_program(self, file: ProgramFile, plan: Plan) -> ProgramTiming:
        name = file.path.read_text()
        made = self.visits.count(name)
        if name == DESIGN[0].name and made == 6:
            raise ProgramFailed("crashed", "killed by signal 11")
        timing = super().time_program(file, plan)
        if name != DESIGN[1].name or made < 6:
            return timing
        events = tuple(
            replace(event, name=event.name.replace("IGEMM", "GEMM")) for event in timing.events
        )
        return replace(timing, events=events)


@pytest.mark.slow
def test_visits_to_a_program_that_failed_later_are_not_sent(
    tmp_path: Path, cache: ProgramCache
) -> None:
    networks = {network.name: network for network in DESIGN}
    failing = Failing(OPERATORS_US, networks, seed=6, calm_share=0.9, noise=0.002)
    with (
        serving(tmp_path / "server.db") as address,
        station(failing, address, tmp_path / "journal.db", cache) as bench,
    ):
        profile(bench, SPACE)
        session, timings = posted(bench.journal, address)
        found = bench.client.visits(str(session))
        failed = bench.journal.failures(session)
        assert sorted(failure.code for failure, _ in failed.values()) == [
            "crashed",
            "wrong_events",
        ]
        assert {layout.program for layout in found.layouts}.isdisjoint(failed)
        assert len(found.layouts) == len(DESIGN) - 2
        measured = [timing for timing in timings if timing.failure is None]
        assert len(measured) >= 0.9 * len(timings)
        must_tell_the_same(derived_again(bench.client, session), measured)


@pytest.mark.slow
def test_an_audit_comes_with_its_session_and_visits(at: At, tmp_path: Path) -> None:
    with serving(tmp_path / "server.db") as address, at(address) as bench:
        profile(bench, SPACE)
        done = audit(bench, SPACE, networks=1, seed=0)
        bench.send([done.id])
        newest = bench.client.sessions("bench")[0]
        derived = derived_again(bench.client, newest.id)
        programs = [bench.cache.file(whole(network, RUNTIME).program).name for network in AUDITED]
        assert [derived.networks[program].estimate() for program in programs] == [
            each.measured for each in done.networks
        ]
        assert bench.client.session_report(str(newest.id)).timings == ()
        assert not bench.journal.sessions_with_visits(address)


# Servers and proxies that get in the way.


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


def test_a_batch_holds_what_a_post_may_with_the_layouts_of_its_programs() -> None:
    layouts = {name: Layout(program=name, operators=("k" * 90,)) for name in ("a", "b")}

    def sizes(*of_visits: tuple[str, int]) -> list[int]:
        entries = [VisitEntry(row, *each) for row, each in enumerate(of_visits)]
        return [len(batch) for batch in visit_batches(entries, layouts)]

    assert sizes(*[("a", 1)] * 450) == [MOST_VISITS_IN_BATCH, MOST_VISITS_IN_BATCH, 50]
    half = MOST_BYTES // 2
    assert sizes(("a", half), ("a", half), ("b", 1)) == [1, 2]
    assert sizes(("a", 3 * half), ("a", 1)) == [1, 1]
    assert sizes() == []


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


def test_an_unfinished_session_with_corrected_visits_is_given_up_and_begun_anew(
    tmp_path: Path, cache: ProgramCache
) -> None:
    with serving(tmp_path / "server.db") as address:
        old_journal(tmp_path / "journal.db", address)
        us = {operator.key: 10.0 for operator in SPACE.operators}
        with station(FakeDevice(us), address, tmp_path / "journal.db", cache) as bench:
            with screen.console.capture() as said:
                assert bench.unfinished(SPACE, TABLE) is None
            assert "is given up" in said.get()
            assert "measured anew" in " ".join(said.get().split())
            with screen.console.capture() as said:
                assert bench.unfinished(SPACE, TABLE) is None
            assert said.get() == ""
            assert bench.journal.waiting(address) == 7
