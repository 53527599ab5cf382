import math
from dataclasses import asdict
from typing import Any

import pytest
from cyclopts import App

from contract.errors import PhonebookError
from search import run, train
from search.config import DataConfig, MachineConfig, SearchConfig, TrainConfig
from search.presets import PRESETS
from search.training.from_scratch import learning_rate


def test_the_defaults_are_the_paper_s() -> None:
    paper = asdict(SearchConfig())
    expected = {
        "epochs": 90,
        "batch_size": 192,
        "paths": "all",
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
        ({"theta_paths": 1}, "--theta-paths is 1, but must be at least 2"),
        ({"target_ms": 0.0}, "--target-ms is 0.0, but must be a number above 0"),
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


@pytest.mark.parametrize(
    ("config", "options", "message"),
    [
        (TrainConfig, {"lr": -0.1}, "--lr is -0.1, but must be a number above 0"),
        (TrainConfig, {"momentum": 1.0}, "--momentum is 1.0, but must be 0 or more and below 1"),
        (DataConfig, {"classes": 1}, "--classes is 1, but must be at least 2"),
        (MachineConfig, {"threads": 0}, "--threads is 0, but must be at least 1"),
    ],
)
def test_so_is_one_that_nothing_else_can_have(
    config: type[Any], options: dict[str, Any], message: str
) -> None:
    with pytest.raises(PhonebookError, match=message):
        config(**options)


def rates(config: TrainConfig) -> list[float]:
    return [learning_rate(config, epoch) for epoch in range(config.epochs)]


def test_the_paper_s_learning_rate_falls_after_90_180_and_270_epochs() -> None:
    expected = [0.1] * 90 + [0.01] * 90 + [0.001] * 90 + [0.0001] * 90
    assert rates(TrainConfig()) == pytest.approx(expected)


def test_a_shorter_training_lowers_it_after_each_quarter() -> None:
    assert rates(TrainConfig(epochs=8, lr=1.0)) == pytest.approx(
        [1, 1, 0.1, 0.1, 0.01, 0.01, 0.001, 0.001]
    )
    assert rates(TrainConfig(epochs=1)) == [0.1]


def test_a_cosine_starts_at_the_full_rate_and_is_half_of_it_in_the_middle() -> None:
    found = rates(TrainConfig(epochs=40, lr=0.2, schedule="cosine"))
    assert found[0] == 0.2
    assert found[20] == pytest.approx(0.1)
    assert 0 < found[-1] < 0.001
    assert found == sorted(found, reverse=True)


def parsed(app: App, *arguments: str) -> dict[str, Any]:
    """What the command would be called with."""
    return dict(app.parse_args(list(arguments))[1].arguments)


def test_a_preset_is_the_paper_s_values_exactly() -> None:
    told = parsed(run.app, "--device", "x", "--preset", "fbnet-imagenet")
    assert told["space"] == "fbnet-224"
    assert told["data"].classes == 100
    search, final = asdict(told["search"]), asdict(told["final"])
    expected = {
        **{"epochs": 90, "batch_size": 192, "paths": "all", "weights_share": 0.8},
        **{"temperature": 5.0, "temperature_decay": 0.045, "alpha": 0.2, "beta": 0.6},
        **{"weight_lr": 0.1, "weight_momentum": 0.9, "weight_decay": 1e-4},
        **{"theta_lr": 0.01, "theta_weight_decay": 5e-4, "target_ms": None},
    }
    assert {name: search[name] for name in expected} == expected
    assert told["search"].warmup_epochs == 10
    assert final == {
        **{"epochs": 360, "batch_size": 256, "lr": 0.1, "schedule": "steps"},
        **{"momentum": 0.9, "weight_decay": 4e-5},
    }
    again = parsed(train.app, "--network", "fbnet-a", "--preset", "fbnet-imagenet")
    assert asdict(again["config"]) == final
    assert again["data"].classes == 100


@pytest.mark.parametrize("name", PRESETS)
def test_every_preset_is_what_the_command_then_does(name: str) -> None:
    told = parsed(run.app, "--device", "x", "--preset", name)
    preset = PRESETS[name]
    assert told["space"] == preset.space
    assert told.get("search", SearchConfig()) == preset.search
    assert told.get("final", TrainConfig()) == preset.final


def test_options_on_the_command_line_count_more_than_a_preset() -> None:
    told = parsed(
        run.app,
        *("--device", "x", "--epochs", "3", "--preset", "small", "--classes", "7"),
        *("--space", "fbnet-96", "--paths", "2", "--final.lr", "0.3", "--checkpointing"),
    )
    search = told["search"]
    assert (told["space"], told["data"].classes) == ("fbnet-96", 7)
    assert (search.epochs, search.paths, search.checkpointing) == (3, "2", True)
    assert search.theta_lr == PRESETS["small"].search.theta_lr
    assert (told["final"].lr, told["final"].schedule) == (0.3, "cosine")


@pytest.mark.parametrize(
    ("app", "subject"), [(run.app, "--device"), (train.app, "--network")], ids=["run", "train"]
)
def test_an_unknown_preset_is_refused_with_near_ones(app: App, subject: str) -> None:
    with pytest.raises(PhonebookError, match=r"no preset 'smal'; did you mean small\?"):
        app([subject, "x", "--preset", "smal"])
