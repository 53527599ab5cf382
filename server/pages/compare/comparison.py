"""Two tables of a space side by side: how much slower, and where they rank operators otherwise."""

from dataclasses import dataclass

from contract.comparison import ComparedOperator, compare
from contract.operators import Operator
from contract.spaces import SearchSpace
from contract.tables import LatencyTable

MOST_INVERSIONS = 20


@dataclass(frozen=True, kw_only=True, slots=True)
class TwoTables:
    """Table b against table a, and how many operators only one of them has."""

    a: LatencyTable
    b: LatencyTable
    pairs: tuple[ComparedOperator, ...]
    k: float | None  # how many times slower b is overall; None without a common operator
    spearman: float | None
    kendall: float | None
    inversions: tuple[ComparedOperator, ...]  # whose places differ most
    without_ratio: tuple[Operator, ...]  # that take no time in one of them
    only_a: int
    only_b: int


def compare_tables(a: LatencyTable, b: LatencyTable, space: SearchSpace) -> TwoTables:
    """The operators of the space that both tables have."""
    found = compare(a, b, space.operators)
    common = len(found.operators) + len(found.without_ratio)
    moved = [pair for pair in found.by_shift if pair.shift]
    return TwoTables(
        a=a,
        b=b,
        pairs=found.operators,
        k=found.speed_ratio,
        spearman=found.spearman,
        kendall=found.kendall_tau,
        inversions=tuple(moved[:MOST_INVERSIONS]),
        without_ratio=found.without_ratio,
        only_a=len(a.entries) - common,
        only_b=len(b.entries) - common,
    )
