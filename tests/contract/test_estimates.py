"""Figures: the calm device's latency, how sure it is, and what was not calm."""

import math
import random
from collections.abc import Sequence
from statistics import median_low

import pytest
from pydantic import ValidationError

from contract.estimates import estimate, quantile

CALM_US = 100.0
SLOWER = 1.3  # while neighbours work

Samples = list[list[float]]


def a_sitting(seed: int, *, rounds: int, samples: int, calm: float) -> tuple[Samples, Samples]:
    """Samples and drift of a device that is calm so much of the time, in streaks of five."""
    generator = random.Random(seed)
    rounds_us: Samples = [[] for _ in range(rounds)]
    drift: Samples = [[] for _ in range(rounds)]
    for of_round, factors in zip(rounds_us, drift, strict=True):
        level = 1 + generator.gauss(0, 0.003)
        for number in range(samples):
            if number % 5 == 0:
                factor = 1.0 if generator.random() < calm else SLOWER
            of_round.append(CALM_US * level * factor * (1 + generator.expovariate(100)))
            factors.append(factor * (1 + generator.gauss(0, 0.02)))
    return rounds_us, drift


def true_latency() -> float:
    """The median of the calm device over very many rounds, by probes as noisy as ever."""
    return estimate(*a_sitting(0, rounds=4000, samples=10, calm=1.0)).latency_us


@pytest.mark.parametrize("calm", [0.2, 0.5, 1.0])
@pytest.mark.parametrize(("rounds", "samples"), [(12, 40), (20, 40)])
def test_a_disturbed_device_gives_the_calm_latency_and_an_interval_that_holds_it(
    rounds: int, samples: int, calm: float
) -> None:
    truth = true_latency()
    found = [
        estimate(*a_sitting(seed, rounds=rounds, samples=samples, calm=calm))
        for seed in range(1, 101)
    ]
    assert max(abs(each.latency_us / truth - 1) for each in found) < 0.01
    assert sum(each.low_us <= truth <= each.high_us for each in found) >= 85
    assert {each.grade for each in found} <= ({"A"} if calm > 0.2 else {"A", "B"})
    if calm < 0.5:
        assert all(each.median_us > 1.25 * truth for each in found)


def test_few_rounds_give_a_wide_interval_rather_than_a_wrong_one() -> None:
    truth = true_latency()
    found = [estimate(*a_sitting(seed, rounds=4, samples=20, calm=1.0)) for seed in range(100)]
    assert sum(each.low_us <= truth <= each.high_us for each in found) >= 85


def test_figures_by_hand() -> None:
    """Over their drift 100, 100, 104 and 98; the last two weigh 0.5 and 0.04 of the first."""
    found = estimate([[100.0, 100.0, 114.4, 156.8]] * 5, [[1.0, 1.0, 1.1, 1.6]] * 5)
    assert (found.samples, found.calm, found.rounds) == (20, 15, 5)
    assert (found.latency_us, found.grade) == (100, "A")
    assert found.low_us == pytest.approx(100 - (found.high_us - 100), abs=0.01)
    assert (found.min_us, found.median_us, found.p90_us) == (100, 107.2, 156.8)


def test_without_drift_every_sample_is_calm() -> None:
    found = estimate([[100.0, 200.0]] * 5)
    assert (found.calm, found.samples) == (10, 10)


@pytest.mark.parametrize(("step", "grade"), [(0.0, "A"), (0.005, "A"), (0.02, "B"), (0.1, "C")])
def test_the_grade_says_how_wide_the_interval_is(step: float, grade: str) -> None:
    found = estimate([[CALM_US * (1 + step * number)] * 10 for number in range(8)])
    half_width = (found.high_us - found.low_us) / 2 / found.latency_us
    least, most = {"A": (0, 0.02), "B": (0.02, 0.05), "C": (0.05, 1)}[grade]
    assert least <= half_width <= most
    assert found.grade == grade


@pytest.mark.parametrize(
    "rounds_us",
    [[[100.0] * 20] * 2, [[100.0] * 3] * 3],
    ids=["two rounds", "nine samples"],
)
def test_too_few_samples_are_grade_c_however_well_they_agree(
    rounds_us: Sequence[Sequence[float]],
) -> None:
    found = estimate(rounds_us)
    assert (found.grade, found.latency_us) == ("C", 100)


@pytest.mark.parametrize(("factor", "grade"), [(1.0, "A"), (1.08, "A"), (1.2, "B"), (1.5, "C")])
def test_the_farther_samples_were_brought_the_less_sure_is_the_row(
    factor: float, grade: str
) -> None:
    found = estimate([[100.0 * factor] * 20] * 5, [[factor] * 20] * 5)
    assert found.latency_us == pytest.approx(100)
    assert found.grade == grade
    assert found.half_width == pytest.approx(0.196 * math.log(factor), rel=0.05)


def test_a_few_calm_samples_outweigh_many_disturbed_ones() -> None:
    rounds_us = [[100.0, 100.0, *[150.0] * 10]] * 5  # for which the probes make up in part
    found = estimate(rounds_us, [[1.0, 1.0, *[1.4] * 10]] * 5)
    assert found.latency_us == 100
    assert (found.calm, found.median_us) == (10, 150)


def test_the_same_samples_give_the_same_figures_in_any_order() -> None:
    rounds_us, drift = a_sitting(7, rounds=12, samples=20, calm=0.4)
    first = estimate(rounds_us, drift)
    assert estimate(rounds_us, drift) == first
    turned = estimate(rounds_us[::-1], drift[::-1])
    assert (turned.latency_us, turned.calm) == (first.latency_us, first.calm)
    assert turned.low_us == pytest.approx(first.low_us, rel=0.01)
    assert turned.high_us == pytest.approx(first.high_us, rel=0.01)


def test_one_sample_is_all_there_is() -> None:
    found = estimate([[42.5]])
    assert (found.low_us, found.latency_us, found.high_us) == (42.5, 42.5, 42.5)
    assert (found.median_us, found.p90_us, found.min_us) == (42.5, 42.5, 42.5)
    assert (found.samples, found.calm, found.rounds, found.grade) == (1, 1, 1, "C")


@pytest.mark.parametrize(
    "rounds_us",
    [[[1e308] * 3] * 3, [[5e-324] * 3] * 3, [[1e-300, 1e308]] * 4, [[1e-9, 1.0]] * 4],
)
def test_what_is_no_duration_is_refused_by_name(rounds_us: Sequence[Sequence[float]]) -> None:
    with pytest.raises(ValidationError, match="_us\n"):
        estimate(rounds_us)


@pytest.mark.parametrize("factor", [1e308, 5e-324])
def test_a_drift_that_is_none_is_refused_by_name(factor: float) -> None:
    with pytest.raises(ValidationError, match="latency_us\n"):
        estimate([[100.0] * 4] * 3, [[factor] * 4] * 3)


def test_no_samples_or_drift_of_another_shape_is_refused() -> None:
    with pytest.raises(ValueError, match="needs a sample"):
        estimate([])
    with pytest.raises(ValueError, match="a drift for each sample"):
        estimate([[1.0, 2.0]], [[1.0]])


@pytest.mark.parametrize(("rounds", "samples"), [(1, 7), (2, 3), (17, 6), (40, 5), (700, 2)])
def test_the_interval_is_that_of_rounds_drawn_by_the_definition(rounds: int, samples: int) -> None:
    """Each of 200 draws, its samples sorted, their lower median: as slow as it reads."""
    noise = random.Random(rounds)
    taken = [[100 + noise.gauss(0, 3) for _ in range(samples)] for _ in range(rounds)]
    generator = random.Random(0)
    drawn = []
    for _ in range(200):
        chosen = generator.choices(range(rounds), k=rounds)
        ordered = sorted(us for number in chosen for us in taken[number])
        drawn.append(median_low(ordered))
    drawn.sort()
    figures = estimate(taken)
    freedom = max(rounds - 1, 1)
    student = 1.96 + 2.37 / freedom + 2.82 / freedom**2
    wider = student / 1.96 * math.sqrt(rounds / freedom) if rounds > 1 else 1.0
    row = median_low(us for each in taken for us in each)
    low = row / (1 + wider * max(row / quantile(drawn, 0.025) - 1, 0))
    high = row + wider * max(quantile(drawn, 0.975) - row, 0)
    assert figures.latency_us == pytest.approx(row, abs=1e-4)
    assert figures.low_us == pytest.approx(low, abs=1e-4)
    assert figures.high_us == pytest.approx(high, abs=1e-4)
