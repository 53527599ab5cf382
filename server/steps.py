"""Steps in a series of latencies: where its level changed for good.

Binary segmentation (Scott and Knott 1974): the split of the series whose halves differ most is a
step if Student's two-sided t-test on the logarithms calls the difference significant, corrected
for the number of splits tried (Bonferroni), and if it is large enough to matter. Each half is
then searched in the same way. Logarithms, because a change of clock or of code scales latencies.
"""

import math
from collections.abc import Sequence
from itertools import accumulate, pairwise
from typing import NamedTuple

LEAST_SIDE = 2  # points on each side of a step: a single odd one is no new level
LEAST_CHANGE = 0.05  # smaller changes of the level are not told
SIGNIFICANCE = 0.01
# What repeats of one measurement differ by at least: equal figures would make any change certain.
LEAST_SPREAD = 0.002


class Level(NamedTuple):
    """A stretch of the series without a step: its places `start` to `end`, the latter excluded,
    and its level, the geometric mean."""

    start: int
    end: int
    value: float


def levels(values: Sequence[float]) -> list[Level]:
    """The series cut at its steps; a single level where there is none. All values are above 0."""
    logs = [math.log(value) for value in values]
    cuts = [0, *_cuts(logs, 0, len(logs)), len(logs)]
    return [
        Level(start, end, math.exp(math.fsum(logs[start:end]) / (end - start)))
        for start, end in pairwise(cuts)
        if end > start
    ]


def _cuts(logs: Sequence[float], start: int, end: int) -> list[int]:
    cut = _best_cut(logs[start:end])
    if cut is None:
        return []
    middle = start + cut
    return [*_cuts(logs, start, middle), middle, *_cuts(logs, middle, end)]


def _best_cut(logs: Sequence[float]) -> int | None:
    """Where the level of the series changes most; None where no change is significant."""
    count = len(logs)
    if count < 2 * LEAST_SIDE:
        return None
    centre = math.fsum(logs) / count  # so that sums of squares lose no digits
    values = [value - centre for value in logs]
    sums = list(accumulate(values, initial=0.0))
    squares = math.fsum(value * value for value in values)

    def within(cut: int) -> float:
        """The squared distances from the levels of both sides."""
        left, right = sums[cut], sums[count] - sums[cut]
        return max(0.0, squares - left**2 / cut - right**2 / (count - cut))

    tried = range(LEAST_SIDE, count - LEAST_SIDE + 1)
    cut = min(tried, key=within)
    change = abs((sums[count] - sums[cut]) / (count - cut) - sums[cut] / cut)
    if change < math.log1p(LEAST_CHANGE):
        return None
    freedom = count - 2
    spread = max(within(cut) / freedom, LEAST_SPREAD**2)
    t = change / math.sqrt(spread * (1 / cut + 1 / (count - cut)))
    return cut if two_sided_p(t, freedom) * len(tried) < SIGNIFICANCE else None


def two_sided_p(t: float, freedom: int) -> float:
    """How likely Student's t lies at least so far from 0, by its closed form for whole degrees of
    freedom (Abramowitz and Stegun 26.7.3 and 26.7.4)."""
    angle = math.atan(abs(t) / math.sqrt(freedom))
    cos2 = math.cos(angle) ** 2
    total, term = 0.0, 1.0
    for step in range(2 + freedom % 2, freedom, 2):
        total += term
        term *= cos2 * (step - 1) / step
    total += term
    if freedom % 2:
        inner = math.sin(angle) * math.cos(angle) * total if freedom > 1 else 0.0
        return max(0.0, 1 - 2 / math.pi * (angle + inner))
    return max(0.0, 1 - math.sin(angle) * total)
