"""Shape suffixes: K candidates of a slot."""

import itertools
import math
from collections import Counter

import pytest
import torch
from torch import Tensor

from contract.errors import PhonebookError
from search.dnas.window import SLACK, UNITS, Window

FIXED_US = 50.0
Choice = tuple[int, ...]


def instance(seed: int) -> tuple[list[list[float]], list[Tensor]]:
    """Four slots of three candidates: latencies in us, one of them free, and probabilities."""
    generator = torch.Generator().manual_seed(seed)
    latencies_us = (torch.rand(4, 3, generator=generator) * 100).tolist()
    latencies_us[2][1] = 0.0
    theta = 1.5 * torch.randn(4, 3, generator=generator)
    return latencies_us, list(theta.softmax(dim=1))


def networks(
    latencies_us: list[list[float]], probabilities: list[Tensor]
) -> dict[Choice, tuple[float, float]]:
    """Latency and probability of every choice."""
    return {
        choice: (
            FIXED_US + sum(slot[index] for slot, index in zip(latencies_us, choice, strict=True)),
            math.prod(
                slot_K[index].item() for slot_K, index in zip(probabilities, choice, strict=True)
            ),
        )
        for choice in itertools.product(range(3), repeat=4)
    }


def within(
    everything: dict[Choice, tuple[float, float]], target_us: float, *, surely: bool = False
) -> dict[Choice, float]:
    """The probabilities of what lies in the window, whichever way the grid `surely` rounds."""
    unit_us = (target_us - FIXED_US) / UNITS if surely else 0.0
    least_us, most_us = (1 - SLACK) * target_us + 5 * unit_us, target_us - 4 * unit_us
    return {
        choice: probability
        for choice, (latency_us, probability) in everything.items()
        if least_us <= latency_us <= most_us
    }


@pytest.mark.parametrize("seed", range(12))
@pytest.mark.parametrize("share", [0.1, 0.4, 0.9])
def test_the_most_probable_network_within_the_window_is_found(seed: int, share: float) -> None:
    latencies_us, probabilities = instance(seed)
    everything = networks(latencies_us, probabilities)
    latency_us, _ = sorted(everything.values())[int(share * len(everything))]
    target_us = 1.01 * latency_us
    surely = within(everything, target_us, surely=True)
    assert surely
    window = Window(latencies_us, fixed_us=FIXED_US, target_us=target_us)
    found = window.most_probable(probabilities)
    latency_us, probability = everything[found]
    assert (1 - SLACK) * target_us <= latency_us <= target_us
    assert probability >= max(surely.values()) * (1 - 1e-6)


def test_draws_lie_in_the_window_and_follow_theta_there() -> None:
    latencies_us, probabilities = instance(3)
    everything = networks(latencies_us, probabilities)
    target_us = 230.0
    inside = within(everything, target_us)
    assert inside == within(everything, target_us, surely=True)
    assert len(inside) >= 4
    window = Window(latencies_us, fixed_us=FIXED_US, target_us=target_us)
    generator = torch.Generator().manual_seed(0)
    drawn = Counter(window.draws(probabilities, generator, count=600))
    assert drawn.keys() <= inside.keys()
    for choice, probability in inside.items():
        share = probability / sum(inside.values())
        assert drawn[choice] / 600 == pytest.approx(share, abs=0.05)


def test_what_theta_ruled_out_is_taken_where_nothing_else_fits() -> None:
    """P_theta may underflow to 0; the target still counts."""
    window = Window([[10.0, 50.0], [10.0, 50.0]], fixed_us=FIXED_US, target_us=150.0)
    sure_K = torch.tensor([200.0, 0.0]).softmax(dim=0)
    assert sure_K[1] == 0
    assert window.most_probable([sure_K, sure_K]) == (1, 1)
    drawn = window.draws([sure_K, sure_K], torch.Generator().manual_seed(0), count=1)
    assert drawn == [(1, 1)]


def test_the_slowest_network_meets_a_target_just_above_it() -> None:
    window = Window([[10.0, 50.0], [10.0, 50.0]], fixed_us=FIXED_US, target_us=152.0)
    assert window.most_probable([torch.tensor([0.9, 0.1])] * 2) == (1, 1)


@pytest.mark.parametrize("target_us", [60.0, 60_000.0])
def test_a_target_out_of_reach_is_refused_with_the_range(target_us: float) -> None:
    with pytest.raises(
        PhonebookError, match=r"--target-ms \S+ is out of reach: .* take 0\.07 to 0\.15 ms"
    ):
        Window([[10.0, 50.0], [10.0, 50.0]], fixed_us=FIXED_US, target_us=target_us)


def test_a_target_between_two_networks_is_refused_with_the_range() -> None:
    with pytest.raises(
        PhonebookError, match=r"--target-ms 0\.13 is met by no network within 3%.* 0\.07 to 0\.15"
    ):
        Window([[10.0, 50.0], [10.0, 50.0]], fixed_us=FIXED_US, target_us=130.0)
