import math
from dataclasses import asdict
from functools import partial

import pytest
import torch
from torch import Tensor
from torch.optim import SGD, Adam

from contract.errors import Diverged, PhonebookError
from contract.operators import Operator
from contract.spaces import SearchSpace
from search.config import SearchConfig
from search.data import Images, Scaling, grey_images
from search.supernet import Supernet
from search.train import (
    EpochResult,
    Search,
    latency_aware_loss,
    step,
)
from tests.search.conftest import table_of

PAPER_LOSS = partial(latency_aware_loss, alpha=0.2, beta=0.6)


def images(count: int, *, seed: int = 0) -> Images:
    generator = torch.Generator().manual_seed(seed)
    return grey_images(
        torch.rand(count, 8, 8, generator=generator),
        torch.randint(0, 3, (count,), generator=generator),
        scaling=Scaling(mean=0.5, deviation=0.3, resolution=8),
    )


def supernet(space: SearchSpace, *, paths: int = 9, scale: float = 1.0) -> Supernet:
    torch.manual_seed(0)
    latencies_us = {op: 10.0 * scale * n for n, op in enumerate(space.operators, start=1)}
    return Supernet(space, table_of(space, latencies_us.__getitem__), paths=paths)


@pytest.mark.parametrize(
    ("cross_entropy", "latency_us", "alpha", "beta", "expected"),
    [
        (2.0, math.e, 0.2, 0.6, 0.4),
        (1.0, math.exp(32), 0.2, 0.6, 1.6),  # 32 ** 0.6 == 8
        (3.0, math.exp(4), 0.5, 0.5, 3.0),
        (1.5, 20_000.0, 0.2, 0.6, 1.1874),  # log(20000) = 9.9035, to the 0.6 is 3.9580
    ],
)
def test_the_loss_is_equation_2(
    cross_entropy: float, latency_us: float, alpha: float, beta: float, expected: float
) -> None:
    loss = latency_aware_loss(
        torch.tensor(cross_entropy), torch.tensor(latency_us), alpha=alpha, beta=beta
    )
    assert loss.item() == pytest.approx(expected, rel=1e-4)


@pytest.mark.parametrize("latency_us", [1.0, 0.02, 0.0])
def test_a_latency_whose_logarithm_is_no_price_is_refused(latency_us: float) -> None:
    with pytest.raises(PhonebookError, match="is the table in microseconds"):
        PAPER_LOSS(torch.tensor(1.0), torch.tensor(latency_us))


def theta_gradients(net: Supernet, *, double: bool = False) -> list[Tensor]:
    batch = next(images(6).batches(6))
    dtype = torch.float64 if double else torch.float32
    return list(torch.autograd.grad(loss_of(net, batch[0].to(dtype), batch[1]), net.thetas()))


def loss_of(net: Supernet, image_BCHW: Tensor, label_B: Tensor) -> Tensor:
    logits_BN, latency_us = net(image_BCHW, 1.5, torch.Generator().manual_seed(2))
    return PAPER_LOSS(torch.nn.functional.cross_entropy(logits_BN, label_B), latency_us)


def test_the_gradient_of_theta_is_the_numeric_one(tiny: SearchSpace) -> None:
    net = supernet(tiny).double()
    image_BCHW, label_B = next(images(6).batches(6))
    gradients = theta_gradients(net, double=True)
    nudge = 1e-6
    for theta_K, gradient_K in zip(net.thetas(), gradients, strict=True):
        for index in range(len(theta_K)):
            losses = []
            for sign in (1, -1):
                theta_K.data[index] += sign * nudge
                losses.append(loss_of(net, image_BCHW.double(), label_B).item())
                theta_K.data[index] -= sign * nudge
            numeric = (losses[0] - losses[1]) / (2 * nudge)
            assert gradient_K[index].item() == pytest.approx(numeric, rel=1e-4, abs=1e-7)


def test_another_table_means_another_gradient(tiny: SearchSpace) -> None:
    ours, other = supernet(tiny), supernet(tiny)
    for slot in other.mixed_slots():
        slot.latency_us_K = slot.latency_us_K.flip(0)
    pairs = zip(theta_gradients(ours), theta_gradients(other), strict=True)
    assert all(not torch.allclose(one, two) for one, two in pairs)


@pytest.mark.parametrize("paths", [1, 9])
def test_a_theta_step_leaves_every_weight_and_moves_every_theta(
    tiny: SearchSpace, paths: int
) -> None:
    net = supernet(tiny, paths=paths)
    state = {name: value.clone() for name, value in net.state_dict().items()}
    one_step(net, Adam(net.thetas(), lr=0.1))
    for name, value in net.state_dict().items():
        if name.endswith("theta_K"):
            assert (value != state[name]).all(), name
        else:
            assert torch.equal(value, state[name]), name


def test_a_weight_step_leaves_every_theta_and_moves_every_weight(tiny: SearchSpace) -> None:
    net = supernet(tiny)
    before = [weight.clone() for weight in net.weights()]
    one_step(net, SGD(net.weights(), lr=0.1, weight_decay=0.1))
    assert all(torch.equal(theta, torch.zeros_like(theta)) for theta in net.thetas())
    moved = [
        not torch.equal(one, two)
        # A batch norm's offset may start with a gradient of zero behind a dead ReLU.
        for one, two in zip(before, net.weights(), strict=True)
        if one.dim() > 1
    ]
    assert all(moved)


def test_a_look_changes_nothing(tiny: SearchSpace) -> None:
    net = supernet(tiny)
    state = {name: value.clone() for name, value in net.state_dict().items()}
    one_step(net, None)
    assert all(torch.equal(value, state[name]) for name, value in net.state_dict().items())


def one_step(net: Supernet, optimizer: SGD | Adam | None) -> None:
    result = step(
        net,
        next(images(6).batches(6)),
        PAPER_LOSS,
        optimizer,
        temperature=2.0,
        generator=torch.Generator().manual_seed(1),
    )
    expected = result.cross_entropy * 0.2 * math.log(result.latency_us) ** 0.6
    assert result.loss == pytest.approx(expected, rel=1e-5)
    assert result.images == 6


def run_search(net: Supernet, config: SearchConfig) -> tuple[list[EpochResult], int]:
    steps = []
    search = Search(
        net,
        weight_split=images(12, seed=1),
        theta_split=images(6, seed=2),
        config=config,
        generator=torch.Generator().manual_seed(config.seed),
        on_step=lambda: steps.append(1),
    )
    return list(search.epochs()), len(steps)


def test_the_same_seed_gives_the_same_search(tiny: SearchSpace) -> None:
    config = SearchConfig(epochs=3, batch_size=6, warmup_share=0.34, weight_lr=0.01)
    runs = []
    for _ in range(2):
        net = supernet(tiny)
        epochs, steps = run_search(net, config)
        assert steps == 3 * (2 + 1)
        thetas = [theta.tolist() for theta in net.thetas()]
        runs.append(([{**asdict(e), "seconds": 0} for e in epochs], thetas))
    assert runs[0] == runs[1]
    assert [line["trains_theta"] for line in runs[0][0]] == [False, True, True]


def test_warm_up_leaves_theta_alone(tiny: SearchSpace) -> None:
    net = supernet(tiny)
    search = Search(
        net,
        weight_split=images(6, seed=1),
        theta_split=images(6, seed=2),
        config=SearchConfig(epochs=2, warmup_share=0.5),
        generator=torch.Generator().manual_seed(0),
        on_step=lambda: None,
    )
    epochs = search.epochs()
    next(epochs)
    assert all((theta == 0).all() for theta in net.thetas())
    next(epochs)
    assert all((theta != 0).any() for theta in net.thetas())


def test_a_price_that_dwarfs_the_rest_is_avoided(tiny: SearchSpace) -> None:
    """Where all but one candidate are very slow, theta turns to the fast one."""
    fast = tiny.candidates(tiny.slots[1])[4]

    def latency_us(operator: Operator) -> float:
        return 1.0 if operator in (fast, tiny.stem, tiny.head) else 50_000.0

    torch.manual_seed(0)
    net = Supernet(tiny, table_of(tiny, latency_us), paths=9)
    config = SearchConfig(epochs=20, batch_size=6, theta_lr=0.2, weight_lr=0.001, beta=3.0)
    run_search(net, config)
    assert [slot.operators[int(slot.theta_K.argmax())] for slot in net.mixed_slots()] == [
        tiny.candidates(tiny.slots[0])[8],
        fast,
    ]


def test_a_loss_that_is_no_number_names_epoch_and_step(tiny: SearchSpace) -> None:
    with pytest.raises(Diverged, match=r"loss is (nan|inf) in epoch \d+, step \d+"):
        run_search(supernet(tiny), SearchConfig(epochs=40, batch_size=6, weight_lr=1e30))
