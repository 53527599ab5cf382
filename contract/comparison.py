"""Two tables side by side: how much slower one is, and which operators the two rank apart.

The overall ratio is the geometric mean of the operators' ratios, not their median: it is the
same whichever table comes first (its inverse, to be exact), the ratios from A to B and from B to C
multiply to that from A to C, and what the operators' relative ratios say of one kind of block is
made up for by the others. One operator that is tenfold off moves it by 1 % among two hundred.
"""

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import cached_property
from statistics import fmean

from contract.operators import Operator
from contract.ranking import kendall_tau, ranks, spearman
from contract.tables import LatencyTable

LEAST_RANKED = 3  # operators that a rank correlation says anything about


@dataclass(frozen=True, kw_only=True, slots=True)
class Ranked:
    """An operator in one of the tables; ranks count from the fastest, ties share their mean.

    `slot_rank` is among the operators of its slot's shape, which is what a search chooses from.
    """

    latency_us: float
    rank: float
    slot_rank: float


@dataclass(frozen=True, kw_only=True, slots=True)
class ComparedOperator:
    """An operator that both tables have.

    `relative_ratio` is second / first over the tables' `speed_ratio`: above 1 where the second is
    slower than its overall speed tells. `slot_operators` is how many have its slot's shape.
    """

    operator: Operator
    first: Ranked
    second: Ranked
    slot_operators: int
    relative_ratio: float

    @property
    def ratio(self) -> float:
        return self.second.latency_us / self.first.latency_us

    @property
    def shift(self) -> float:
        """By how many places it is dearer in the second table."""
        return self.second.rank - self.first.rank


@dataclass(frozen=True, kw_only=True)
class Comparison:
    """The operators that two tables have in common, in the order they were named in.

    `speed_ratio` is None where there are none, a rank correlation where they are too few.
    `without_ratio` are those which one of the tables says take no time.
    """

    operators: tuple[ComparedOperator, ...]
    without_ratio: tuple[Operator, ...]
    speed_ratio: float | None
    kendall_tau: float | None
    spearman: float | None

    @cached_property
    def by_shift(self) -> tuple[ComparedOperator, ...]:
        """First those whose ranks differ most; of equal ones, those with the odder ratio."""
        return tuple(
            sorted(
                self.operators,
                key=lambda one: (-abs(one.shift), -abs(math.log(one.relative_ratio))),
            )
        )

    @cached_property
    def blocks(self) -> dict[str, float]:
        """The geometric mean of the relative ratios, by block."""
        ratios: dict[str, list[float]] = {}
        for one in self.operators:
            ratios.setdefault(one.operator.block.name, []).append(one.relative_ratio)
        return {block: _geometric_mean(its) for block, its in ratios.items()}


def compare(
    first: LatencyTable, second: LatencyTable, operators: Iterable[Operator]
) -> Comparison:
    """The tables over those of the operators that both have; free ones count for nothing, and
    neither do those that take no time in one of them."""
    named = [operator for operator in dict.fromkeys(operators) if not operator.is_free]
    lacking = {*first.missing_of(named), *second.missing_of(named)}
    common = [operator for operator in named if operator not in lacking]
    pairs = zip(common, first.latencies_us(common), second.latencies_us(common), strict=True)
    without_ratio = tuple(operator for operator, a, b in pairs if not a or not b)
    both = [operator for operator in common if operator not in without_ratio]
    first_us, second_us = first.latencies_us(both), second.latencies_us(both)
    ratios = [b / a for a, b in zip(first_us, second_us, strict=True)]
    speed_ratio = _geometric_mean(ratios) if both else None
    of_first, of_second = _ranked(both, first_us), _ranked(both, second_us)
    slots = [operator.slot for operator in both]
    tells = len(both) >= LEAST_RANKED
    return Comparison(
        operators=tuple(
            ComparedOperator(
                operator=operator,
                first=of_first[index],
                second=of_second[index],
                slot_operators=slots.count(operator.slot),
                relative_ratio=ratios[index] / (speed_ratio or 1),
            )
            for index, operator in enumerate(both)
        ),
        without_ratio=without_ratio,
        speed_ratio=speed_ratio,
        kendall_tau=kendall_tau(first_us, second_us) if tells else None,
        spearman=spearman(first_us, second_us) if tells else None,
    )


def _ranked(operators: Sequence[Operator], latencies_us: Sequence[float]) -> list[Ranked]:
    of_slots: dict[int, float] = {}
    for slot in dict.fromkeys(operator.slot for operator in operators):
        alike = [index for index, operator in enumerate(operators) if operator.slot == slot]
        slot_ranks = ranks([latencies_us[index] for index in alike])
        of_slots.update(zip(alike, slot_ranks, strict=True))
    return [
        Ranked(latency_us=latency_us, rank=rank, slot_rank=of_slots[index])
        for index, (latency_us, rank) in enumerate(
            zip(latencies_us, ranks(latencies_us), strict=True)
        )
    ]


def _geometric_mean(ratios: Sequence[float]) -> float:
    return math.exp(fmean(map(math.log, ratios)))
