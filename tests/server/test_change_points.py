"""Steps of a series: found where the level changed, and not in mere noise."""

import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from server.store.change_points import LEAST_CHANGE, levels, two_sided_p

LATENCIES = st.lists(st.floats(min_value=0.01, max_value=1e9), max_size=40)


def noisy(level: float, count: int, *, seed: int, spread: float = 0.01) -> list[float]:
    generator = random.Random(seed)
    return [level * generator.uniform(1 - spread, 1 + spread) for _ in range(count)]


@pytest.mark.parametrize(
    ("freedom", "t"),
    # The two-sided 5 % points of Student's t, as in any table of it.
    [(1, 12.706), (2, 4.303), (3, 3.182), (4, 2.776), (5, 2.571), (10, 2.228), (31, 2.0395)],
)
def test_the_tails_of_students_t(freedom: int, t: float) -> None:
    assert two_sided_p(t, freedom) == pytest.approx(0.05, rel=1e-3)
    assert two_sided_p(-t, freedom) == two_sided_p(t, freedom)
    assert two_sided_p(0, freedom) == pytest.approx(1)


def test_a_step_is_found_where_it_is() -> None:
    found = levels([*noisy(100, 6, seed=1), *noisy(120, 5, seed=2)])
    assert [(level.start, level.end) for level in found] == [(0, 6), (6, 11)]
    assert found[0].value == pytest.approx(100, rel=0.01)
    assert found[1].value == pytest.approx(120, rel=0.01)


def test_there_and_back_are_two_steps() -> None:
    series = [*noisy(50, 8, seed=3), *noisy(70, 8, seed=4), *noisy(50, 8, seed=5)]
    assert [level.start for level in levels(series)] == [0, 8, 16]


def test_a_series_that_does_not_vary_at_all_has_steps_all_the_same() -> None:
    assert [level.start for level in levels([10, 10, 10, 12, 12, 12])] == [0, 3]


@pytest.mark.parametrize(
    "series",
    [
        [],
        [5.0],
        [5.0, 9.0, 9.0],  # one row before: it may be the odd one
        [100.0] * 9 + [140.0],  # a single odd row, no new level
        [*noisy(100, 10, seed=6), *noisy(103, 10, seed=7)],  # too small to matter
    ],
    ids=["empty", "one", "three", "odd", "small"],
)
def test_no_step(series: list[float]) -> None:
    assert len(levels(series)) == min(len(series), 1)


def test_noise_seldom_looks_like_a_step() -> None:
    found = [len(levels(noisy(100, 20, seed=seed, spread=0.2))) - 1 for seed in range(200)]
    assert sum(count > 0 for count in found) <= 8


@given(LATENCIES)
def test_levels_cut_the_series_and_lie_within_it(series: list[float]) -> None:
    found = levels(series)
    assert [place for level in found for place in range(level.start, level.end)] == list(
        range(len(series))
    )
    for level in found:
        its = series[level.start : level.end]
        assert min(its) * (1 - 1e-9) <= level.value <= max(its) * (1 + 1e-9)


@given(
    st.floats(min_value=1, max_value=1e5),
    st.floats(min_value=1 + 2 * LEAST_CHANGE, max_value=5),
    st.integers(min_value=3, max_value=15),
    st.integers(min_value=3, max_value=15),
    st.integers(min_value=0, max_value=2**20),
)
def test_a_clear_step_is_found(
    level: float, ratio: float, before: int, after: int, seed: int
) -> None:
    series = [
        *noisy(level, before, seed=seed, spread=0.003),
        *noisy(level * ratio, after, seed=seed + 1, spread=0.003),
    ]
    assert [found.start for found in levels(series)] == [0, before]
