"""A row's figures, derived from raw samples and from how disturbed the device was at each.

A device that shares its cores and caches with other work switches between calm and disturbed
within tenths of a second. A median over both is a median of the neighbours' work, so each sample
is brought to the calm device by the probes beside it, and counts the less the farther it was
brought (`docs/decisions/0016`).
"""

import math
import random
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from itertools import chain
from statistics import median
from typing import TYPE_CHECKING, Annotated, Literal

from pydantic import AfterValidator, Field

from contract.values import Value

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

CALM = 1.1  # the largest drift of a calm sample; one with that drift counts half
LEAST_SAMPLES = 10  # for a grade better than C
LEAST_ROUNDS = 3
# Of the logarithm of a sample's drift: by how much the correction for it is off, one standard
# deviation. Between sessions that were brought 10 to 20 % nearer, 1 to 2 % were left.
UNSURE_OF_DRIFT = 0.1
_GRADES: tuple[tuple["Grade", float], ...] = (("A", 0.02), ("B", 0.05))
NORMAL = 1.96  # standard deviations on each side that hold 95 %
_RESAMPLES = 200
_MOST_CELLS = 1_000_000  # of an array, in memory at a time
_MOST_KEPT = 500  # rounds whose draws are kept for the next estimate

Grade = Literal["A", "B", "C"]
# From the last digit that figures keep to eleven days: their ratios and squares stay finite.
_LEAST_US, MOST_US = 1e-4, 1e12
Microseconds = Annotated[float, Field(ge=_LEAST_US, le=MOST_US)]


def _duration_or_none(us: float) -> float:
    if 0 < us < _LEAST_US:
        raise ValueError(f"{us:g} us are less than figures keep, {_LEAST_US} us")
    return us


# Of an operator that somebody else's table says takes no time, 0.
RowMicroseconds = Annotated[float, Field(ge=0, le=MOST_US), AfterValidator(_duration_or_none)]


class Estimate(Value):
    """What a row says of its samples.

    `latency_us` is the row: the weighted median of the samples, each over its drift; `low_us` and
    `high_us` bound it with 95 % confidence, by a bootstrap over rounds and by how far samples
    were brought. One round cannot tell how rounds differ. The grade is A where half that interval
    is within 2 % of the latency, B within 5 %, else C; it is C too of fewer than 10 samples or 3
    rounds. `median_us`, `p90_us` and `min_us` are of the samples as they ran, disturbed ones
    included, and `calm` counts those whose drift is at most 1.1.
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

    `drift` has a factor for each sample: how many times longer than on the calm device it took, by
    the probes beside it. Without it every sample counts as calm. The same samples always give the
    same figures.

    Raises:
        ValueError: there is no sample, `drift` has another shape than `rounds_us`, or a figure
            is no duration between 0.0001 us and eleven days (a `ValidationError` that names it).
    """
    everything = sorted(chain.from_iterable(rounds_us))
    if not everything:
        raise ValueError("an estimate needs a sample")
    samples = _Samples.of(rounds_us, drift or [[1.0] * len(each) for each in rounds_us])
    latency = samples.weighted_median()
    low, high = samples.interval(latency)
    half_width = (high - low) / 2 / latency if latency else 0.0
    is_told = len(rounds_us) >= LEAST_ROUNDS and len(everything) >= LEAST_SAMPLES
    return Estimate(
        latency_us=round(latency, 4) or latency,
        low_us=round(low, 4),
        high_us=round(high, 4),
        grade=grade_of(half_width) if is_told else "C",
        median_us=round(median(everything), 4),
        p90_us=round(quantile(everything, 0.9), 4),
        min_us=everything[0],
        samples=len(everything),
        calm=samples.calm,
        rounds=len(rounds_us),
    )


def grade_of(half_width: float) -> Grade:
    """By half of the 95 % interval, as a fraction of the latency."""
    return next((grade for grade, widest in _GRADES if half_width <= widest), "C")


def quantile(ordered: Sequence[float], fraction: float) -> float:
    """Linear interpolation between order statistics, as numpy's default."""
    place = fraction * (len(ordered) - 1)
    below = int(place)
    above = min(below + 1, len(ordered) - 1)
    return ordered[below] + (place - below) * (ordered[above] - ordered[below])


@dataclass(frozen=True, slots=True)
class _Samples:
    """The samples N over their drift, in ascending order: which round each is of, and how much it
    counts. `drift` is the mean logarithm of the drift, each sample's as much as it counts."""

    rounds: int
    us_N: "NDArray[np.float64]"
    round_N: "NDArray[np.int64]"
    weight_N: "NDArray[np.float64]"
    drift: float
    calm: int

    @classmethod
    def of(
        cls, rounds_us: Sequence[Sequence[float]], drift: Sequence[Sequence[float]]
    ) -> "_Samples":
        import numpy as np  # of which most commands need nothing

        lengths = [len(samples) for samples in rounds_us]
        if lengths != [len(factors) for factors in drift]:
            raise ValueError("give a drift for each sample")
        drift_N = np.array([*chain.from_iterable(drift)], dtype=np.float64)
        log_N = np.log(drift_N)
        weight_N = 1 / (1 + (log_N / math.log(CALM)) ** 2)
        with np.errstate(over="ignore", under="ignore"):  # what is no duration is named later
            us_N = np.array([*chain.from_iterable(rounds_us)], dtype=np.float64) / drift_N
        order = np.argsort(us_N, kind="stable")
        return cls(
            rounds=len(lengths),
            us_N=us_N[order],
            round_N=np.repeat(np.arange(len(lengths)), lengths)[order],
            weight_N=weight_N[order],
            drift=float(np.average(log_N, weights=weight_N)),
            calm=int((drift_N <= CALM).sum()),
        )

    def weighted_median(self) -> float:
        """The least sample up to which half of all weight lies."""
        import numpy as np

        up_to_N = np.cumsum(self.weight_N)
        return float(self.us_N[np.searchsorted(up_to_N, up_to_N[-1] / 2)])

    def interval(self, latency: float) -> tuple[float, float]:
        """The 95 % interval around the row.

        Whole rounds are drawn anew, since a round's samples share the device's state. Draws from
        few rounds differ too little from each other, so what they give is widened as Student's t
        is. To that comes how unsure the correction for drift is, in which all rounds share.
        """
        if not latency or not math.isfinite(latency):
            return latency, latency
        drawn = sorted(self._medians_of_draws())
        wider = _widening(self.rounds)
        low = latency / (1 + wider * max(0.0, latency / quantile(drawn, 0.025) - 1))
        high = latency + wider * max(0.0, quantile(drawn, 0.975) - latency)
        unsure = NORMAL * UNSURE_OF_DRIFT * self.drift
        return (
            latency * math.exp(-math.hypot(math.log(latency / low), unsure)),
            latency * math.exp(math.hypot(math.log(high / latency), unsure)),
        )

    def _medians_of_draws(self) -> list[float]:
        """The row of each draw R: to walk the sorted samples, each as often as its round was
        drawn, is faster than to sort each draw."""
        import numpy as np

        drawn: list[float] = []
        draws = _draws if self.rounds <= _MOST_KEPT else _draws.__wrapped__
        times = draws(self.rounds)
        at_once = max(1, _MOST_CELLS // len(self.us_N))
        for first in range(0, _RESAMPLES, at_once):
            times_RN = times[first : first + at_once, self.round_N]
            up_to_RN = np.cumsum(times_RN * self.weight_N, axis=1)
            is_there_RN = up_to_RN >= up_to_RN[:, -1:] / 2
            drawn += self.us_N[is_there_RN.argmax(axis=1)].tolist()
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


def _widening(rounds: int) -> float:
    """How much wider a 95 % interval is that knows its variance from so many draws alone.

    Student's quantile, and the bootstrap's variance, which divides by the rounds and not by the
    freedom.
    """
    if rounds == 1:
        return 1.0
    freedom = rounds - 1
    return student_quantile(freedom) / NORMAL * math.sqrt(rounds / freedom)


def student_quantile(freedom: int) -> float:
    """How many standard deviations on each side hold 95 %, by the first terms of the expansion in
    1 / freedom (Abramowitz and Stegun 26.7.5)."""
    return 1.96 + 2.37 / freedom + 2.82 / freedom**2
