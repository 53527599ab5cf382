"""Rows of several sessions: what each adds, and that an odd one carries nothing away."""

import math
import random
from datetime import UTC, datetime, timedelta
from uuid import UUID

import pytest

from contract.derivation import Calm
from contract.estimates import Grade
from server.store.pooling import MOST_SESSIONS, Pool, SessionFigures, newest, pooled

NOON = datetime(2026, 3, 1, 12, tzinfo=UTC)


def figures(
    us: float, day: int = 0, *, half: float = 0.005, grade: Grade = "A", calm: Calm | None = None
) -> SessionFigures:
    return SessionFigures(
        session=UUID(int=day),
        measured_at=NOON + timedelta(days=day),
        latency_us=us,
        low_us=us * math.exp(-half),
        high_us=us * math.exp(half),
        grade=grade,
        calm=calm,
    )


def row(*us: float) -> Pool:
    """Of one session a day, the oldest first."""
    return pooled(newest([figures(each, day) for day, each in enumerate(us)]))


def half_width(pool: Pool) -> float:
    return math.log(pool.high_us / pool.low_us) / 2


def test_one_session_keeps_its_latency_and_knows_of_other_days() -> None:
    found = row(100)
    assert (found.latency_us, found.sessions, found.grade) == (100, 1, "B")
    assert half_width(found) == pytest.approx(math.hypot(0.005, 1.96 * 0.012), rel=1e-3)


def test_a_session_that_cannot_tell_how_sure_it_is_stays_grade_c() -> None:
    assert pooled([figures(100, grade="C")]).grade == "C"


def test_sessions_that_agree_make_a_row_sure() -> None:
    found = row(100, 100.4, 99.8)
    assert found.latency_us == pytest.approx(100.1, abs=0.1)
    assert (found.sessions, found.grade) == (3, "A")
    assert half_width(row(100, 100.4, 99.8, 100, 100.1)) < half_width(found)


def test_of_two_that_disagree_the_newer_counts_and_nobody_is_sure() -> None:
    found = row(100, 110)
    assert found.latency_us == pytest.approx(110, rel=0.01)
    assert found.grade == "C"
    assert half_width(found) > 0.05


@pytest.mark.parametrize("bad", [0, 1, 2], ids=["the oldest", "between", "the newest"])
def test_a_bad_session_among_others_changes_little(bad: int) -> None:
    us = [100.0, 100.5, 99.7]
    us[bad] = 130.0
    found = row(*us)
    assert found.latency_us == pytest.approx(100, rel=0.01)
    assert found.low_us < 100 < found.high_us


def test_what_was_before_a_step_counts_no_more() -> None:
    found = row(100, 100.5, 99.7, 130, 130.5, 129.8)
    assert found.latency_us == pytest.approx(130.1, rel=0.003)
    assert found.sessions == 3


def test_sessions_are_brought_to_the_calm_device_of_the_newest() -> None:
    """The older one took a device for calm on which everything takes a tenth longer."""
    slow, fast = Calm(probe_ns=1100), Calm(probe_ns=1000)
    found = pooled([figures(100, 1, calm=fast), figures(110, 0, calm=slow)])
    assert found.latency_us == pytest.approx(100, rel=1e-4)
    assert found.grade in ("A", "B")


def test_a_row_rests_on_the_newest_sessions_each_once() -> None:
    many = [figures(100 + day, day) for day in range(20)]
    kept = newest([*many, figures(50, 19)])
    assert len(kept) == MOST_SESSIONS
    assert [each.latency_us for each in kept[:2]] == [50, 118]


def test_an_operator_that_takes_no_time_stays_so() -> None:
    zero = figures(1).evolve(latency_us=0.0, low_us=0.0, high_us=0.0)
    assert pooled([zero]).latency_us == 0


def test_the_longest_and_the_shortest_that_figures_keep_make_rows() -> None:
    assert pooled([figures(9.9e11, grade="C")]).high_us == 1e12
    hardly = figures(1e-4, half=0).evolve(low_us=0.0)
    assert pooled([hardly]).latency_us == 1e-4
    assert pooled([figures(1, 1), hardly]).sessions == 1


def test_intervals_hold_what_lies_behind_the_sessions() -> None:
    """Sessions scatter by 1.2 %, each is sure to 1 %: nine in ten intervals hold the truth."""
    noise = random.Random(7)
    held = 0
    for _ in range(200):
        us = [100 * math.exp(noise.gauss(0, 0.012) + noise.gauss(0, 0.005)) for _ in range(4)]
        found = pooled(newest([figures(each, day, half=0.01) for day, each in enumerate(us)]))
        held += found.low_us <= 100 <= found.high_us
    assert 180 <= held <= 200
