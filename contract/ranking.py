"""How alike two lists of figures order the same things."""

import math
from collections.abc import Sequence
from statistics import fmean


def ranks(values: Sequence[float]) -> list[float]:
    """1 for the least; equal values share the mean of their ranks."""
    return [
        sum(other < value for other in values) + (sum(other == value for other in values) + 1) / 2
        for value in values
    ]


def kendall_tau(first: Sequence[float], second: Sequence[float]) -> float:
    """Kendall's tau-b: 1 where both rank alike, -1 where in reverse, 0 if one is flat."""
    signs = [
        (_sign(first[i] - first[j]), _sign(second[i] - second[j]))
        for i in range(len(first))
        for j in range(i)
    ]
    untied = math.sqrt(sum(a != 0 for a, _ in signs) * sum(b != 0 for _, b in signs))
    return sum(a * b for a, b in signs) / untied if untied else 0.0


def spearman(first: Sequence[float], second: Sequence[float]) -> float:
    """Spearman's rank correlation, from -1 to 1; 0 if one is flat."""
    return _correlation(ranks(first), ranks(second))


def _sign(difference: float) -> int:
    return (difference > 0) - (difference < 0)


def _correlation(first: Sequence[float], second: Sequence[float]) -> float:
    mean_first, mean_second = fmean(first), fmean(second)
    pairs = [(a - mean_first, b - mean_second) for a, b in zip(first, second, strict=True)]
    spread = math.sqrt(sum(a * a for a, _ in pairs) * sum(b * b for _, b in pairs))
    return sum(a * b for a, b in pairs) / spread if spread else 0.0
