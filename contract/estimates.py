"""A row's figures, derived from raw samples and from how disturbed the device was at each.

A device that shares its cores and caches with other work switches between calm and disturbed
within tenths of a second. A median over both is a median of the neighbours' work, so a row
rests on the samples that were taken while the device was calm (`docs/decisions/0007`).
"""

import math
import random
from collections.abc import Sequence
from functools import lru_cache
from itertools import chain
from statistics import median
from typing import TYPE_CHECKING, Annotated, Literal

from pydantic import AfterValidator, Field

from contract.values import Value

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

CALM = 1.1  # the largest drift factor of a calm sample
LEAST_CALM = 10  # samples; where fewer were calm, the least disturbed serve and the grade is C
LEAST_ROUNDS = 3  # with calm samples, for a grade better than C
_GRADES: tuple[tuple["Grade", float], ...] = (("A", 0.02), ("B", 0.05))
_RESAMPLES = 200
_MOST_CELLS = 1_000_000  # of an array, in memory at a time
_MOST_KEPT = 500  # rounds whose draws are kept for the next estimate

Grade = Literal["A", "B", "C"]
# From the last digit that figures keep to eleven days: their ratios and squares stay finite.
_LEAST_US, _MOST_US = 1e-4, 1e12
Microseconds = Annotated[float, Field(ge=_LEAST_US, le=_MOST_US)]


def _duration_or_none(us: float) -> float:
    if 0 < us < _LEAST_US:
        raise ValueError(f"{us:g} us are less than figures keep, {_LEAST_US} us")
    return us


# Of an operator that somebody else's table says takes no time, 0.
RowMicroseconds = Annotated[float, Field(ge=0, le=_MOST_US), AfterValidator(_duration_or_none)]


class Estimate(Value):
    """What a row says of its samples.

    `latency_us` is the row: the mean of the lower half of the calm samples. `low_us` and
    `high_us` bound it with 95 % confidence, by a bootstrap over rounds; one round cannot tell,
    and both equal the latency. The grade is A where half that interval is within 2 % of the
    latency, B within 5 %, else C; it is C too where fewer than 10 samples, or samples of fewer
    than 3 rounds, were calm. The median, p90 and minimum are over all samples, disturbed ones
    included.
    """

    latency_us: RowMicroseconds
    low_us: RowMicroseconds
    high_us: RowMicroseconds
    grade: Grade
    median_us: RowMicroseconds
    p90_us: RowMicroseconds
    min_us: RowMicroseconds
    samples: int = Field(ge=1, lt=2**31)
    calm: int = Field(ge=0, lt=2**31)
    rounds: int = Field(ge=1, lt=2**31)

    @property
    def half_width(self) -> float:
        """Half of the interval, as a fraction of the latency."""
        return (self.high_us - self.low_us) / 2 / self.latency_us if self.latency_us else 0.0


def _took_time(found: Estimate) -> Estimate:
    if not found.latency_us:
        raise ValueError("what was measured takes more than 0 us")
    return found


MeasuredEstimate = Annotated[Estimate, AfterValidator(_took_time)]


def estimate(
    rounds_us: Sequence[Sequence[float]], drift: Sequence[Sequence[float]] = ()
) -> Estimate:
    """The figures of raw samples in us, by round.

    `drift` has a factor for each sample: how many times longer than on the calm device the probe
    beside it took. Without it every sample counts as calm. The same samples always give the same
    figures.

    Raises:
        ValueError: there is no sample, `drift` has another shape than `rounds_us`, or a figure
            is no duration between 0.0001 us and eleven days (a `ValidationError` that names it).
    """
    everything = sorted(chain.from_iterable(rounds_us))
    if not everything:
        raise ValueError("an estimate needs a sample")
    factors = drift or [[1.0] * len(samples) for samples in rounds_us]
    limit = _limit(factors)
    counted = _up_to(limit, rounds_us, factors)
    latency = _lower_half_mean(sorted(chain.from_iterable(counted)))
    low, high = _interval(counted, latency) if latency else (0.0, 0.0)
    calm = _up_to(CALM, rounds_us, factors)
    calm_samples = sum(map(len, calm))
    grade: Grade = "C"
    if len(calm) >= LEAST_ROUNDS and calm_samples >= LEAST_CALM:
        half_width = (high - low) / 2 / latency
        grade = next((grade for grade, widest in _GRADES if half_width <= widest), "C")
    return Estimate(
        latency_us=round(latency, 4),
        low_us=round(min(low, latency), 4),
        high_us=round(max(high, latency), 4),
        grade=grade,
        median_us=round(median(everything), 4),
        p90_us=round(quantile(everything, 0.9), 4),
        min_us=everything[0],
        samples=len(everything),
        calm=calm_samples,
        rounds=len(rounds_us),
    )


def quantile(ordered: Sequence[float], fraction: float) -> float:
    """Linear interpolation between order statistics, as numpy's default."""
    place = fraction * (len(ordered) - 1)
    below = int(place)
    above = min(below + 1, len(ordered) - 1)
    return ordered[below] + (place - below) * (ordered[above] - ordered[below])


def _limit(drift: Sequence[Sequence[float]]) -> float:
    """Up to which factor a sample counts: calm, or among the least disturbed where few were."""
    least_disturbed = sorted(chain.from_iterable(drift))[:LEAST_CALM]
    return max(CALM, least_disturbed[-1])


def _up_to(
    limit: float, rounds_us: Sequence[Sequence[float]], drift: Sequence[Sequence[float]]
) -> list[list[float]]:
    """The samples whose factor is within `limit`, in order, of each round that has any."""
    rounds = (
        sorted(us for us, factor in zip(samples, factors, strict=True) if factor <= limit)
        for samples, factors in zip(rounds_us, drift, strict=True)
    )
    return [samples for samples in rounds if samples]


def _interval(rounds: Sequence[Sequence[float]], latency: float) -> tuple[float, float]:
    """The 95 % interval around the row.

    Whole rounds are drawn anew, since a round's samples share the device's state. Draws from few
    rounds differ too little from each other, so what they give is widened as Student's t is.
    """
    drawn = sorted(_rows_of_draws(rounds))
    wider = _widening(len(rounds))
    low = latency / (1 + wider * (latency / quantile(drawn, 0.025) - 1))  # above 0 in any case
    high = latency + wider * (quantile(drawn, 0.975) - latency)
    return low, high


def _rows_of_draws(rounds: Sequence[Sequence[float]]) -> list[float]:
    """The row of each draw: to walk the lower half of all samples, each as often as its round was
    drawn, is faster than to sort each draw.

    Arrays have a row for each draw R and a column for each sample N, in their order.
    """
    import numpy as np  # of which most commands need nothing

    number_N = np.repeat(np.arange(len(rounds)), [len(samples) for samples in rounds])
    us_N = np.concatenate([np.asarray(samples) for samples in rounds])
    order = np.argsort(us_N, kind="stable")
    us_N, number_N = us_N[order], number_N[order]
    drawn = []
    draws = _draws if len(rounds) <= _MOST_KEPT else _draws.__wrapped__
    times = draws(len(rounds))
    at_once = max(1, _MOST_CELLS // len(us_N))
    for first in range(0, _RESAMPLES, at_once):
        times_RN = times[first : first + at_once, number_N]
        up_to_RN = np.cumsum(times_RN, axis=1, dtype=np.int64)
        half_R = (up_to_RN[:, -1] + 1) // 2
        counted_RN = np.clip(half_R[:, None] - (up_to_RN - times_RN), 0, times_RN)
        drawn += (np.einsum("rn,n->r", counted_RN, us_N) / half_R).tolist()
    return drawn


@lru_cache(maxsize=128)
def _draws(rounds: int) -> "NDArray[np.int16]":
    """How often each of so many rounds is in each of the draws, [draws, rounds].

    They are the draws of `random.Random(0).choices`, whose generator numpy has too.
    """
    import numpy as np

    _, (*key, position), _ = random.Random(0).getstate()
    generator = np.random.RandomState()
    generator.set_state(("MT19937", np.array(key, dtype=np.uint32), position, 0, 0.0))
    chosen = np.floor(generator.random_sample((_RESAMPLES, rounds)) * rounds).astype(np.int64)
    cells = chosen + np.arange(_RESAMPLES)[:, None] * rounds
    counts = np.bincount(cells.ravel(), minlength=_RESAMPLES * rounds)
    return counts.reshape(_RESAMPLES, rounds).astype(np.int16)


def _lower_half_mean(ordered: Sequence[float]) -> float:
    half = _half(len(ordered))
    return sum(ordered[:half]) / half


def _half(count: int) -> int:
    return (count + 1) // 2


def _widening(rounds: int) -> float:
    """How much wider a 95 % interval is that knows its variance from so many draws alone.

    Student's quantile, and the bootstrap's variance, which divides by the rounds and not by the
    freedom.
    """
    if rounds == 1:
        return 1.0
    freedom = rounds - 1
    return student_quantile(freedom) / 1.96 * math.sqrt(rounds / freedom)


def student_quantile(freedom: int) -> float:
    """How many standard deviations on each side hold 95 %, by the first terms of the expansion in
    1 / freedom (Abramowitz and Stegun 26.7.5)."""
    return 1.96 + 2.37 / freedom + 2.82 / freedom**2
