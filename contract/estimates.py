"""A row's figures, derived from raw samples and from how disturbed the device was at each.

A device that shares its cores and caches with other work switches between calm and disturbed
within tenths of a second. A median over both is a median of the neighbours' work, so a row
rests on the samples that were taken while the device was calm (`docs/decisions/0007`).
"""

import random
from collections.abc import Sequence
from itertools import chain
from statistics import median
from typing import Literal

from pydantic import NonNegativeInt, PositiveFloat, PositiveInt

from contract.values import Value

CALM = 1.1  # the largest drift factor of a calm sample
CALM_QUANTILE = 0.1  # of the calm samples: the row
LEAST_CALM = 10  # samples; where fewer were calm, the least disturbed ones serve
LEAST_ROUNDS = 3  # with calm samples, for a grade better than C
_GRADES: tuple[tuple["Grade", float], ...] = (("A", 0.02), ("B", 0.05))
_RESAMPLES = 200

Grade = Literal["A", "B", "C"]


class Estimate(Value):
    """What a row says of its samples.

    `latency_us` is the row: the lower decile of the calm samples. `low_us` and `high_us` bound
    it with 95 % confidence, by a bootstrap over rounds. The grade is A where half that interval
    is within 2 % of the latency, B within 5 %, else C. The median, p90 and minimum are over all
    samples, disturbed ones included.
    """

    latency_us: PositiveFloat
    low_us: PositiveFloat
    high_us: PositiveFloat
    grade: Grade
    median_us: PositiveFloat
    p90_us: PositiveFloat
    min_us: PositiveFloat
    samples: PositiveInt
    calm: NonNegativeInt
    rounds: PositiveInt

    @property
    def half_width(self) -> float:
        """Half of the interval, as a fraction of the latency."""
        return (self.high_us - self.low_us) / 2 / self.latency_us


def estimate(
    rounds_us: Sequence[Sequence[float]], drift: Sequence[Sequence[float]] = ()
) -> Estimate:
    """The figures of raw samples in us, by round.

    `drift` has a factor for each sample: how many times longer than on the calm device the probe
    beside it took. Without it every sample counts as calm. The same samples always give the same
    figures.
    """
    everything = sorted(chain.from_iterable(rounds_us))
    factors = drift or [[1.0] * len(samples) for samples in rounds_us]
    limit = _limit(factors)
    rounds = [
        [us for us, factor in zip(samples, of_round, strict=True) if factor <= limit]
        for samples, of_round in zip(rounds_us, factors, strict=True)
    ]
    rounds = [samples for samples in rounds if samples]
    latency = quantile(sorted(chain.from_iterable(rounds)), CALM_QUANTILE)
    low, high = _interval(rounds)
    half_width = (high - low) / 2 / latency
    grade: Grade = "C"
    if len(rounds) >= LEAST_ROUNDS:
        grade = next((grade for grade, limit in _GRADES if half_width <= limit), "C")
    return Estimate(
        latency_us=round(latency, 4),
        low_us=round(min(low, latency), 4),
        high_us=round(max(high, latency), 4),
        grade=grade,
        median_us=round(median(everything), 4),
        p90_us=round(quantile(everything, 0.9), 4),
        min_us=everything[0],
        samples=len(everything),
        calm=sum(factor <= CALM for factor in chain.from_iterable(factors)),
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


def _interval(rounds: Sequence[Sequence[float]]) -> tuple[float, float]:
    """The 95 % interval of the row: whole rounds are drawn anew, since a round's samples share
    the device's state."""
    generator = random.Random(0)
    drawn = sorted(
        quantile(
            sorted(chain.from_iterable(generator.choices(rounds, k=len(rounds)))), CALM_QUANTILE
        )
        for _ in range(_RESAMPLES)
    )
    return quantile(drawn, 0.025), quantile(drawn, 0.975)
