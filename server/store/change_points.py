"""Steps in a series of latencies: where its level changed for good, or for a while.

Circular binary segmentation (Olshen et al. 2004): of all stretches of the series the one that
differs most from the rest is taken, which may reach to either end. Its ends are steps if
Student's two-sided t-test on the logarithms calls the difference significant, corrected for the
number of stretches tried (Bonferroni), and if it is large enough to matter. The pieces are then
searched in the same way. Logarithms, because a change of clock or of code scales latencies.
"""

import math
from collections.abc import Sequence
from itertools import accumulate, pairwise
from operator import sub
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
    """The steps between two places, in order."""
    ends = [start, *(start + cut for cut in _best_cuts(logs[start:end])), end]
    if len(ends) == 2:
        return []
    inside = [_cuts(logs, first, last) for first, last in pairwise(ends)]
    return [
        *inside[0],
        *(cut for at, more in zip(ends[1:-1], inside[1:], strict=True) for cut in (at, *more)),
    ]


def _best_cuts(logs: Sequence[float]) -> list[int]:
    """Both ends, or the one within the series, of the stretch that differs most from the rest;
    none where no difference is significant."""
    count = len(logs)
    if count < 2 * LEAST_SIDE:
        return []
    centre = math.fsum(logs) / count  # so that sums lose no digits, and the rest's is minus these
    sums = list(accumulate((value - centre for value in logs), initial=0.0))
    squares = math.fsum((value - centre) ** 2 for value in logs)

    explained, length, inside, start, tried = -1.0, 0, 0.0, 0, 0
    last = count - LEAST_SIDE
    for size in range(LEAST_SIDE, last + 1):
        # Sums of the stretches so long that begin at 0, or at LEAST_SIDE and later.
        later = list(map(sub, sums[LEAST_SIDE + size : last + 1], sums[LEAST_SIDE:]))
        stretches = [sums[size], *later]
        tried += len(stretches)
        furthest = max(stretches, key=abs)
        between = furthest * furthest * count / (size * (count - size))
        if between > explained:
            explained, length, inside = between, size, furthest
            place = stretches.index(furthest)
            start = place and place + LEAST_SIDE - 1
    end = start + length
    change = abs(inside / length + inside / (count - length))
    if change < math.log1p(LEAST_CHANGE):
        return []
    freedom = count - 2
    spread = max((squares - explained) / freedom, LEAST_SPREAD**2)
    t = change / math.sqrt(spread * (1 / length + 1 / (count - length)))
    if two_sided_p(t, freedom) * tried >= SIGNIFICANCE:
        return []
    return [start, end] if start else [end]


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
