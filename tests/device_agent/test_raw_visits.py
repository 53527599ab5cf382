"""What was measured reaches the server as it was measured."""

from collections import Counter
from dataclasses import replace
from pathlib import Path

import pytest

from contract.client import table_client
from contract.errors import DeviceFailed, ServerUnreachable
from contract.visits import MOST_VISITS_IN_BATCH, Layout, VisitBatch
from device_agent import screen
from device_agent.device import Plan, ProgramFailed, ProgramFile, ProgramTiming
from device_agent.measuring.audit import audit
from device_agent.measuring.journal import TABLE
from device_agent.measuring.profile import profile
from device_agent.measuring.protocols.protocol import whole
from device_agent.measuring.upload import send
from device_agent.measuring.upload_visits import MOST_BYTES, visit_batches
from device_agent.measuring.visit_journal import VisitEntry
from device_agent.programs.cache import ProgramCache
from tests.device_agent import raw_visits
from tests.device_agent.raw_visits import (
    AUDITED,
    DESIGN,
    OPERATORS_US,
    RUNTIME,
    SPACE,
    VISITS,
    At,
    derived_again,
    must_tell_the_same,
    posted,
    station,
    visit_posts,
)
from tests.device_agent.servers import HTML, Answer, before, serving, stored_operators
from tests.device_agent.simulated import SimulatedDevice
from tests.device_agent.test_journal import old_journal
from tests.fakes import FakeDevice

# Fixtures.
at, cache, device = raw_visits.at, raw_visits.cache, raw_visits.device


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
