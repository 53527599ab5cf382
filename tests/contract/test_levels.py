"""At which level a device is: by hand, and by many simulated days."""

import math
import random
from uuid import UUID

import pytest
from pydantic import ValidationError

from contract.estimates import Estimate, MeasuredEstimate
from contract.levels import AtLevel, Level, Reference, is_within, level

SESSION = UUID(int=1)
DAYS = 400


def figures(us: float, *, half: float = 0.01) -> MeasuredEstimate:
    return Estimate(
        latency_us=us,
        low_us=us * (1 - half),
        high_us=us * (1 + half),
        grade="A",
        median_us=us,
        p90_us=us,
        min_us=us,
        samples=40,
        calm=40,
        rounds=10,
    )


def timed(*latencies_us: float, half: float = 0.01) -> list[Reference]:
    return [
        Reference.of(f"net{number}", figures(us, half=half))
        for number, us in enumerate(latencies_us)
    ]


def test_what_all_networks_have_in_common_is_the_level() -> None:
    found = level(SESSION, timed(100, 200, 400), timed(103, 206, 412))
    assert found is not None
    assert found.factor == pytest.approx(1.03)
    assert (found.session, found.references) == (SESSION, 3)
    assert 1.0 < found.low < found.factor < found.high < 1.06


def test_a_level_that_differs_by_network_is_less_sure() -> None:
    alike = level(SESSION, timed(100, 100, 100), timed(103, 103, 103))
    apart = level(SESSION, timed(100, 100, 100), timed(100, 103, 106))
    assert alike is not None
    assert apart is not None
    assert apart.factor == pytest.approx(1.03, abs=1e-3)
    assert apart.high - apart.low > 2 * (alike.high - alike.low)


def test_what_is_surer_counts_more() -> None:
    again = [*timed(100, 100, half=0.001), Reference.of("net2", figures(101, half=0.1))]
    found = level(SESSION, timed(100, 100, 100, half=0.001), again)
    assert found is not None
    assert found.factor == pytest.approx(1.0, abs=1e-4)


def test_two_networks_in_common_tell_no_level() -> None:
    assert level(SESSION, timed(100, 200, 400), timed(100, 200)) is None
    assert level(SESSION, timed(100, 200), timed(100, 200, 400)) is None


def test_samples_that_are_all_equal_tell_a_level_too() -> None:
    found = level(SESSION, timed(100, 100, 100, half=0), timed(102, 102, 102, half=0))
    assert found is not None
    assert found.low < 1.02 < found.high < 1.021


def test_a_latency_at_the_tables_level_is_less_sure_than_as_it_was_measured() -> None:
    at = AtLevel.of(
        figures(103, half=0.01),
        Level(session=SESSION, factor=1.03, low=1.02, high=1.04, references=6),
    )
    assert at.latency_us == pytest.approx(100)
    assert math.log(at.high_us / 100) == pytest.approx(math.hypot(0.01, 0.01), rel=0.02)
    assert at.low_us < 99 < 101 < at.high_us


def test_the_interval_holds_the_next_networks_level_on_95_of_100_days() -> None:
    generator = random.Random(0)
    held = 0
    for _ in range(DAYS):
        days = generator.gauss(0.02, 0.02)
        own = [generator.gauss(days, 0.008) for _ in range(9)]
        measured = [100 * math.exp(each + generator.gauss(0, 0.003)) for each in own]
        found = level(SESSION, timed(*[100] * 8, half=0.00416), timed(*measured[:8], half=0.00416))
        assert found is not None
        held += found.low <= math.exp(own[8]) <= found.high
    assert 0.92 <= held / DAYS <= 0.99


def test_an_interval_without_its_factor_is_refused() -> None:
    with pytest.raises(ValidationError, match="must hold the factor"):
        Level(session=SESSION, factor=1.1, low=1.0, high=1.05, references=3)


def test_two_latencies_are_held_against_each_other_at_one_level() -> None:
    day = Level(session=SESSION, factor=1.05, low=1.04, high=1.06, references=6)
    assert not is_within(figures(100), figures(105))
    assert is_within(figures(100), figures(105), day)
    assert not is_within(figures(100), figures(108), day)
    assert is_within(figures(100), figures(106.6), day)  # by what the level is unsure of
    assert not is_within(figures(100), figures(106.6), day.evolve(low=1.0499, high=1.0501))
