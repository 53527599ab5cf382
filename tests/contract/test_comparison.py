import math

import pytest

from contract.comparison import compare
from contract.operators import Operator
from contract.spaces import space
from contract.tables import LatencyTable
from tests.tables import table_of

SPACE = space("fbnet-32-0.35")
FREE = next(op for choice in SPACE.choices for op in choice.candidates if op.is_free)


def cost(operator: Operator) -> float:
    return 10.0 + operator.macs() / 1000


def odd_cost(operator: Operator) -> float:
    """Three times slower, and one operator six times more."""
    return cost(operator) * (18 if operator == SPACE.head else 3)


def plain(*, without: tuple[str, ...] = ()) -> LatencyTable:
    return table_of(SPACE, cost, without=without)


def odd(*, without: tuple[str, ...] = ()) -> LatencyTable:
    return table_of(SPACE, odd_cost, device="odd", without=without)


def test_the_overall_ratio_is_the_geometric_mean_and_inverts_with_the_tables() -> None:
    there = compare(plain(), odd(), SPACE.operators)
    back = compare(odd(), plain(), SPACE.operators)
    assert there.speed_ratio == pytest.approx(3 * 6 ** (1 / len(SPACE.operators)))
    assert there.speed_ratio is not None
    assert back.speed_ratio == pytest.approx(1 / there.speed_ratio)
    logs = [math.log(one.relative_ratio) for one in there.operators]
    assert sum(logs) == pytest.approx(0, abs=1e-9)
    assert there.kendall_tau == pytest.approx(back.kendall_tau)
    assert [one.shift for one in there.operators] == [-one.shift for one in back.operators]


def test_those_that_moved_come_first_and_then_the_oddest_ratio() -> None:
    found = compare(plain(), odd(), SPACE.operators)
    shifts = [abs(one.shift) for one in found.by_shift]
    assert shifts == sorted(shifts, reverse=True)
    assert found.by_shift[0].operator == SPACE.head
    assert found.by_shift[0].ratio == pytest.approx(18)
    assert found.blocks[SPACE.head.block.name] > 5 * found.blocks["k3_e1"]


def test_only_what_both_have_counts_and_a_skip_does_not() -> None:
    lacking = [operator.key for operator in SPACE.operators[:2]]
    found = compare(
        plain(without=(lacking[0],)), odd(without=(lacking[1],)), [*SPACE.operators, FREE]
    )
    assert [one.operator for one in found.operators] == list(SPACE.operators[2:])
    assert max(one.first.rank for one in found.operators) == len(found.operators)


def test_tables_without_enough_in_common_have_no_rank_correlation() -> None:
    nothing = compare(plain(), odd(), ())
    assert (nothing.operators, nothing.speed_ratio, nothing.spearman) == ((), None, None)
    two = compare(plain(), odd(), SPACE.operators[:2])
    assert two.speed_ratio is not None
    assert (two.kendall_tau, two.spearman) == (None, None)
