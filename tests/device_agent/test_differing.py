"""A session that lies elsewhere than those before it is told so."""

import pytest

from contract.spaces import space
from contract.tables import LatencyTable
from contract.timings import Timing
from device_agent.measuring.differing import difference_words
from tests.server.making import a_steady_timing
from tests.tables import table_of

SPACE = space("fbnet-32-0.35")
OPERATORS = SPACE.operators[:5]


def measured(us: float) -> list[Timing]:
    return [a_steady_timing(operator, us=us) for operator in OPERATORS]


def table(us: float, *, sessions: int = 1) -> LatencyTable:
    found = table_of(SPACE, latency_us=lambda _: us)
    return found.evolve(
        entries=tuple(row.evolve(sessions=sessions) for row in found.entries[: len(OPERATORS)])
    )


@pytest.mark.parametrize(("us", "words"), [(107, "7% above"), (93, "7% below")])
def test_one_that_differs_is_told_by_how_much(us: float, words: str) -> None:
    told = difference_words(measured(us), table(100))
    assert told is not None
    assert f"{words} those of one earlier session" in told
    assert "--again" in told


def test_against_several_it_counts_for_little() -> None:
    told = difference_words(measured(107), table(100, sessions=4))
    assert told is not None
    assert "4 earlier sessions, which counts for little" in told


def test_one_that_agrees_or_is_the_first_says_nothing() -> None:
    assert difference_words(measured(102), table(100)) is None
    assert difference_words(measured(100), table(100).evolve(entries=())) is None
