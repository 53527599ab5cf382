"""Two tables of a space side by side: how much slower, and where they rank operators otherwise."""

from dataclasses import dataclass
from statistics import median

from contract.audits import kendall_tau, ranks, spearman
from contract.operators import Operator
from contract.spaces import SearchSpace
from contract.tables import LatencyTable, Row

MOST_INVERSIONS = 20
LEAST_PAIRS = 3  # that ranks say anything about


@dataclass(frozen=True, kw_only=True, slots=True)
class Pair:
    """An operator that both tables have. Ranks are from 1, the fastest.

    `extra` is how many times slower b is than the median operator's ratio would have it.
    """

    operator: Operator
    a: Row
    b: Row
    rank_a: float
    rank_b: float
    extra: float

    @property
    def ratio(self) -> float:
        return self.b.latency_us / self.a.latency_us

    @property
    def shift(self) -> float:
        """By how many places it is dearer on b."""
        return self.rank_b - self.rank_a


@dataclass(frozen=True, kw_only=True, slots=True)
class Comparison:
    """Table b against table a. `k` is the median ratio; None where they have nothing in common."""

    a: LatencyTable
    b: LatencyTable
    pairs: tuple[Pair, ...]
    k: float | None
    spearman: float | None
    kendall: float | None
    only_a: int
    only_b: int

    @property
    def inversions(self) -> list[Pair]:
        """The operators whose places differ most."""
        moved = [pair for pair in self.pairs if pair.shift]
        return sorted(moved, key=lambda pair: -abs(pair.shift))[:MOST_INVERSIONS]


def compare(a: LatencyTable, b: LatencyTable, space: SearchSpace) -> Comparison:
    """The operators of the space that both tables have."""
    of_a = {row.operator: row for row in a.entries}
    of_b = {row.operator: row for row in b.entries}
    both = [operator for operator in space.operators if operator.key in of_a.keys() & of_b.keys()]
    us_a = [of_a[operator.key].latency_us for operator in both]
    us_b = [of_b[operator.key].latency_us for operator in both]
    k = median(y / x for x, y in zip(us_a, us_b, strict=True)) if both else None
    tells = len(both) >= LEAST_PAIRS
    pairs = tuple(
        Pair(
            operator=operator,
            a=of_a[operator.key],
            b=of_b[operator.key],
            rank_a=rank_a,
            rank_b=rank_b,
            extra=of_b[operator.key].latency_us / of_a[operator.key].latency_us / (k or 1),
        )
        for operator, rank_a, rank_b in zip(both, ranks(us_a), ranks(us_b), strict=True)
    )
    return Comparison(
        a=a,
        b=b,
        pairs=pairs,
        k=k,
        spearman=spearman(us_a, us_b) if tells else None,
        kendall=kendall_tau(us_a, us_b) if tells else None,
        only_a=len(of_a) - len(both),
        only_b=len(of_b) - len(both),
    )
