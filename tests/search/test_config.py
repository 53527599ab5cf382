import math
from dataclasses import asdict
from typing import Any

import pytest

from contract.errors import PhonebookError
from search.config import SearchConfig


def test_the_defaults_are_the_paper_s() -> None:
    paper = asdict(SearchConfig())
    expected = {
        "epochs": 90,
        "batch_size": 192,
        "paths": 9,
        "weight_lr": 0.1,
        "weight_momentum": 0.9,
        "weight_decay": 1e-4,
        "theta_lr": 0.01,
        "theta_weight_decay": 5e-4,
        "temperature": 5.0,
        "temperature_decay": 0.045,
        "alpha": 0.2,
        "beta": 0.6,
        "weights_share": 0.8,
        "final_weight_decay": 4e-5,
    }
    assert {name: paper[name] for name in expected} == expected
    assert SearchConfig().warmup_epochs == 10


@pytest.mark.parametrize(
    ("epoch", "temperature"),
    [(0, 5.0), (10, 3.19), (30, 1.30), (45, 0.66), (60, 0.336), (89, 0.091)],
)
def test_ninety_epochs_have_the_paper_s_temperatures(epoch: int, temperature: float) -> None:
    assert SearchConfig().temperature_of(epoch) == pytest.approx(temperature, rel=0.01)


@pytest.mark.parametrize("epochs", [1, 2, 8, 90, 360])
def test_a_search_of_any_length_ends_equally_cold(epochs: int) -> None:
    config = SearchConfig(epochs=epochs)
    temperatures = [config.temperature_of(epoch) for epoch in range(epochs)]
    assert temperatures[-1] == pytest.approx(5 * math.exp(-0.045 * 89))
    assert temperatures == sorted(temperatures, reverse=True)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"epochs": 0}, "--epochs is 0, but must be at least 1"),
        ({"paths": 10}, "--paths is 10, but must be at most 9"),
        ({"theta_lr": 0.0}, "--theta-lr is 0.0, but must be a number above 0"),
        ({"alpha": math.nan}, "--alpha is nan, but must be a number above 0"),
        ({"weight_decay": -1.0}, "--weight-decay is -1.0, but must be 0 or more"),
        ({"weights_share": 1.0}, "--weights-share is 1.0, but must be between 0 and 1"),
        ({"epochs": 1, "warmup_share": 0.9}, "no epoch is left for theta"),
    ],
)
def test_a_value_that_no_search_can_have_is_refused(options: dict[str, Any], message: str) -> None:
    with pytest.raises(PhonebookError, match=message):
        SearchConfig(**options)
