"""Shape suffixes: B batch, C channels, H height, W width, K candidates of a slot, N classes."""

import itertools
import math
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor
from torch.optim import SGD

from contract.errors import Collapsed, Diverged
from contract.operators import Operator
from contract.spaces import SearchSpace
from search.config import Paths, SearchConfig
from search.data import Batch
from search.dnas.figures import EpochResult, StepResult
from search.dnas.objective import LatencyAware, ToTarget
from search.dnas.search import Search
from search.processes import Stopped
from search.runs.record import Record
from search.supernet.supernet import Supernet
from tests.search.conftest import Steps, random_images, supernet_of
from tests.tables import table_of

EACH: tuple[Paths, ...] = ("all", "1", "2")
SLOW_ALL = (pytest.param("all", marks=pytest.mark.slow), "1", "2")  # it computes the most
QUICK = SearchConfig(epochs=3, batch_size=6, warmup_share=0.34, weight_lr=0.01, theta_lr=0.1)
STEPS_OF_WEIGHTS, STEPS_OF_THETA = 3, 2  # of a pass over the splits below, in batches of six


def search_of(
    net: Supernet, config: SearchConfig, *, on_step: Callable[[], bool] = lambda: False
) -> Search:
    return Search(
        net,
        weight_split=random_images(18, seed=1),
        theta_split=random_images(12, seed=2),
        config=config,
        seed=7,
        on_step=on_step,
    )


def six_images() -> Batch:
    return next(random_images(6).batches(6))


def uneven(net: Supernet) -> Supernet:
    """The net with a theta that prefers some candidates."""
    generator = torch.Generator().manual_seed(4)
    for theta_K in net.thetas():
        theta_K.data = torch.randn(theta_K.shape, generator=generator)
    return net


def copied(net: Supernet) -> dict[str, Tensor]:
    return {name: value.clone() for name, value in net.state_dict().items()}


def timeless(epochs: list[EpochResult]) -> list[EpochResult]:
    return [replace(epoch, seconds=0.0) for epoch in epochs]


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
    objective = LatencyAware(alpha=alpha, beta=beta)
    loss = objective(torch.tensor(cross_entropy), torch.tensor(latency_us))
    assert loss.item() == pytest.approx(expected, rel=1e-4)


def test_a_target_costs_nothing_where_it_is_met_and_the_same_on_either_side() -> None:
    objective = ToTarget(5000.0)
    two = torch.tensor(2.0)
    assert objective(two, torch.tensor(5000.0)).item() == 2.0
    above, below = objective(two, torch.tensor(10_000.0)), objective(two, torch.tensor(2500.0))
    assert above.item() == pytest.approx(below.item())
    assert above.item() == pytest.approx(2 + 25 * math.log(2) ** 2)  # 50 / 2 * log(ratio) ** 2


def masked_loss(net: Supernet, image_BCHW: Tensor, label_B: Tensor) -> Tensor:
    masks = net.masks(1.5, torch.Generator().manual_seed(2))
    logits_BN = net(image_BCHW, [masks])[0]
    objective = LatencyAware(alpha=0.2, beta=0.6)
    return objective(F.cross_entropy(logits_BN, label_B), net.latency_us(masks))


def test_the_gradient_of_theta_through_masks_is_the_numeric_one(tiny: SearchSpace) -> None:
    net = uneven(supernet_of(tiny)).double()
    image_BCHW, label_B = six_images()
    image_BCHW = image_BCHW.double()
    gradients = torch.autograd.grad(masked_loss(net, image_BCHW, label_B), net.thetas())
    nudge = 1e-6
    for theta_K, gradient_K in zip(net.thetas(), gradients, strict=True):
        for index in range(len(theta_K)):
            losses = []
            for sign in (1, -1):
                theta_K.data[index] += sign * nudge
                losses.append(masked_loss(net, image_BCHW, label_B).item())
                theta_K.data[index] -= sign * nudge
            numeric = (losses[0] - losses[1]) / (2 * nudge)
            assert gradient_K[index].item() == pytest.approx(numeric, rel=1e-4, abs=1e-7)


def theta_descent(search: Search) -> Tensor:
    """What one theta step at a learning rate of 1 takes off all thetas; they stay as they were."""
    thetas = search.supernet.thetas()
    search.theta_optimizer = SGD(thetas, lr=1.0)  # type: ignore[assignment]
    before = [theta_K.detach().clone() for theta_K in thetas]
    search.theta_step(six_images(), update=True)
    moved = [one - theta_K.detach() for one, theta_K in zip(before, thetas, strict=True)]
    for one, theta_K in zip(before, thetas, strict=True):
        theta_K.data.copy_(one)
    return torch.cat(moved)


def test_a_step_through_masks_descends_that_gradient(tiny: SearchSpace) -> None:
    net = uneven(supernet_of(tiny))
    expected = torch.autograd.grad(masked_loss(net, *six_images()), net.thetas())
    config = SearchConfig(epochs=1, warmup_share=0, temperature=1.5, temperature_decay=0)
    search = search_of(net, config)
    search.generator.manual_seed(2)
    torch.testing.assert_close(theta_descent(search), torch.cat(expected), atol=1e-6, rtol=1e-4)


@pytest.mark.slow
@pytest.mark.parametrize(("target_ms", "theta_paths"), [(None, 4), (1.9, 2)])
def test_the_gradient_of_theta_by_paths_is_right_on_average(
    tiny: SearchSpace, target_ms: float | None, theta_paths: int
) -> None:
    """Against the gradient of the loss of E[CE] and E[LAT], by way of all 72 paths."""
    latencies_us = {op: 400.0 + 3 * n for n, op in enumerate(tiny.operators)}
    net = uneven(supernet_of(tiny, table_of(tiny, latencies_us.__getitem__)))
    config = replace(QUICK, paths="1", theta_paths=theta_paths, target_ms=target_ms)
    image_BCHW, label_B = six_images()
    paths = list(itertools.product(range(9), range(8)))
    with torch.no_grad():
        losses = [F.cross_entropy(one, label_B) for one in net(image_BCHW, paths)]
    first, second = (slot.probabilities() for slot in net.mixed_slots())
    cross_entropy = torch.dot((first[:, None] * second).flatten(), torch.stack(losses))
    expected_us = net.expected_latency_us()
    objective = LatencyAware(alpha=0.2, beta=0.6) if target_ms is None else ToTarget(1900.0)
    loss = objective(cross_entropy, expected_us)
    exact = torch.cat(torch.autograd.grad(loss, net.thetas()))

    search = search_of(net, config)
    draws = torch.stack([theta_descent(search) for _ in range(600)])
    error = draws.std(dim=0) / math.sqrt(len(draws))
    assert ((draws.mean(dim=0) - exact).abs() < 4 * error + 1e-6).all()
    assert error.norm() < 0.2 * exact.norm()  # so that a wrong one would be told apart


@pytest.mark.parametrize("paths", EACH)
def test_another_table_means_another_gradient(tiny: SearchSpace, paths: Paths) -> None:
    ours, other = (search_of(supernet_of(tiny), replace(QUICK, paths=paths)) for _ in range(2))
    for slot in other.supernet.mixed_slots():
        slot.latency_us_K = slot.latency_us_K.square() / 50
    assert not torch.isclose(theta_descent(ours), theta_descent(other)).any()


@pytest.mark.parametrize("paths", EACH)
def test_a_theta_step_leaves_every_weight_and_moves_every_theta(
    tiny: SearchSpace, paths: Paths
) -> None:
    search = search_of(supernet_of(tiny), replace(QUICK, paths=paths))
    before = copied(search.supernet)
    checked(search, search.theta_step(six_images(), update=True))
    for name, value in search.supernet.state_dict().items():
        if name.endswith("theta_K"):
            assert (value != before[name]).all(), name
        else:
            assert torch.equal(value, before[name]), name


@pytest.mark.parametrize("paths", EACH)
def test_a_weight_step_leaves_theta_and_moves_the_weights_that_ran(
    tiny: SearchSpace, paths: Paths
) -> None:
    search = search_of(uneven(supernet_of(tiny)), replace(QUICK, paths=paths))
    before = copied(search.supernet)
    checked(search, search.weight_step(six_images()))
    after = search.supernet.state_dict()
    thetas = [name for name in before if name.endswith("theta_K")]
    assert all(torch.equal(after[name], before[name]) for name in thetas)
    # Convolutions: a batch norm's offset may have a gradient of zero behind a dead ReLU.
    moved = {
        name: not torch.equal(after[name], value)
        for name, value in before.items()
        if value.dim() == 4
    }
    ran = {tuple(name.split(".")[1:4:2]) for name in moved if "candidates" in name and moved[name]}
    for slot in ("0", "1"):
        candidates = {number for place, number in ran if place == slot}
        assert len(candidates) == 8 if paths == "all" else 0 < len(candidates) <= int(paths)
    assert all(moved[name] for name in moved if "candidates" not in name)


@pytest.mark.parametrize("paths", EACH)
def test_a_look_changes_nothing(tiny: SearchSpace, paths: Paths) -> None:
    search = search_of(supernet_of(tiny), replace(QUICK, paths=paths))
    before = copied(search.supernet)
    checked(search, search.theta_step(six_images(), update=False))
    after = search.supernet.state_dict()
    assert all(torch.equal(after[name], value) for name, value in before.items())


def checked(search: Search, result: StepResult) -> None:
    """The figures of a step belong together."""
    latencies_us = [slot.latency_us_K for slot in search.supernet.mixed_slots()]
    fixed_us = search.supernet.fixed_us
    fastest_us = fixed_us + sum(us_K.min().item() for us_K in latencies_us)
    slowest_us = fixed_us + sum(us_K.max().item() for us_K in latencies_us)
    latency_us = math.exp((result.latency_term / 0.2) ** (1 / 0.6))
    assert fastest_us <= latency_us <= slowest_us
    assert result.loss == pytest.approx(result.cross_entropy * result.latency_term, rel=1e-5)
    assert result.images == 6
    assert 0 <= result.correct <= 6


@pytest.mark.parametrize("recompute", [False, True])
@pytest.mark.parametrize("paths", SLOW_ALL)
def test_the_same_seed_gives_the_same_search(
    tiny: SearchSpace, paths: Paths, recompute: bool
) -> None:
    runs = []
    for _ in range(2):
        net = supernet_of(tiny, recompute=recompute)
        steps = Steps()
        search = search_of(net, replace(QUICK, paths=paths), on_step=steps)
        epochs = timeless(list(search.epochs()))
        assert steps.count == 3 * (STEPS_OF_WEIGHTS + STEPS_OF_THETA)
        runs.append((epochs, [theta_K.tolist() for theta_K in net.thetas()]))
    assert runs[0] == runs[1]
    assert [epoch.trains_theta for epoch in runs[0][0]] == [False, True, True]


@pytest.mark.parametrize("paths", SLOW_ALL)
def test_half_precision_searches_much_the_same(tiny: SearchSpace, paths: Paths) -> None:
    config = replace(QUICK, paths=paths)
    full, half = (search_of(supernet_of(tiny), config) for _ in range(2))
    half.autocast = torch.bfloat16
    for expected, epoch in zip(full.epochs(), half.epochs(), strict=True):
        assert epoch.theta_loss == pytest.approx(expected.theta_loss, rel=0.05)
        assert epoch.theta_loss != expected.theta_loss
    assert {value.dtype for value in half.supernet.state_dict().values()} == {torch.float32}


def test_warm_up_leaves_theta_alone(tiny: SearchSpace) -> None:
    net = supernet_of(tiny)
    epochs = search_of(net, replace(QUICK, epochs=2, warmup_share=0.5)).epochs()
    next(epochs)
    assert all((theta_K == 0).all() for theta_K in net.thetas())
    next(epochs)
    assert all((theta_K != 0).all() for theta_K in net.thetas())


def stopped_and_resumed(
    space: SearchSpace, config: SearchConfig, after: int, path: Path
) -> tuple[list[EpochResult], Supernet]:
    """A search that is stopped after so many steps and goes on from its file in another net."""
    first = search_of(supernet_of(space), config, on_step=Steps(stop_after=after))
    record = Record(identity={"seed": 7})
    with pytest.raises(Stopped):
        record.epochs.extend(first.epochs())
    record.search = first.state()
    record.write(path)

    torch.manual_seed(99)
    second = search_of(Supernet(space, table_of(space)), config)
    again = Record.read(path, identity={"seed": 7})
    assert again.search is not None
    second.load(again.search)
    return [*again.epochs, *second.epochs()], second.supernet


@pytest.mark.slow
@pytest.mark.parametrize(
    "after",
    [2, STEPS_OF_WEIGHTS, STEPS_OF_WEIGHTS + 1, STEPS_OF_WEIGHTS + STEPS_OF_THETA, 9, 15],
)
@pytest.mark.parametrize("paths", EACH)
def test_a_search_stopped_anywhere_ends_as_if_it_had_not_been(
    tiny: SearchSpace, tmp_path: Path, paths: Paths, after: int
) -> None:
    config = replace(QUICK, paths=paths)
    whole = supernet_of(tiny)
    expected = timeless(list(search_of(whole, config).epochs()))
    epochs, net = stopped_and_resumed(tiny, config, after, tmp_path / "checkpoint.pt")
    assert timeless(epochs) == expected
    state = net.state_dict()
    assert all(torch.equal(state[name], value) for name, value in whole.state_dict().items())


@pytest.mark.parametrize("paths", SLOW_ALL)
def test_a_price_that_dwarfs_the_rest_is_avoided(tiny: SearchSpace, paths: Paths) -> None:
    """Where all but one candidate are very slow, theta turns to the fast one."""
    _, last, candidates = tiny.choices[1]
    fast = candidates[4]

    def latency_us(operator: Operator) -> float:
        return 50_000.0 if operator.slot == last and operator != fast else 10.0

    net = supernet_of(tiny, table_of(tiny, latency_us))
    config = replace(QUICK, epochs=12, paths=paths, theta_lr=0.2, beta=3.0)
    list(search_of(net, config).epochs())
    *_, slot = net.mixed_slots()
    assert slot.operators[int(slot.theta_K.argmax())] == fast


@pytest.mark.slow
@pytest.mark.parametrize("paths", EACH)
def test_theta_goes_to_a_target_from_either_side(tiny: SearchSpace, paths: Paths) -> None:
    for target_ms in (0.1, 0.2):
        net = supernet_of(tiny, table_of(tiny, lambda op: 20.0 + op.macs() / 500))
        config = replace(QUICK, epochs=15, paths=paths, target_ms=target_ms, theta_lr=0.3)
        list(search_of(net, config).epochs())
        expected_us = net.expected_latency_us().item()
        assert expected_us == pytest.approx(1000 * target_ms, rel=0.1)


def test_what_is_drawn_turns_to_the_target_after_the_warm_up(tiny: SearchSpace) -> None:
    """Before, every candidate is trained alike; then the target alone sets theta."""
    net = supernet_of(tiny, table_of(tiny, lambda op: 20.0 + op.macs() / 500))
    config = replace(QUICK, epochs=3, paths="1", target_ms=0.1, theta_lr=1e-9)
    first, second, _ = search_of(net, config).epochs()
    assert {len(set(slot)) for slot in first.theta} == {1}
    assert first.expected_latency_us > 1.2 * second.expected_latency_us
    assert second.expected_latency_us == pytest.approx(100, rel=1e-3)


def test_weights_that_explode_name_epoch_step_and_option(tiny: SearchSpace) -> None:
    search = search_of(supernet_of(tiny), replace(QUICK, weight_lr=1e30))
    with pytest.raises(
        Diverged, match=r"loss is (nan|inf) in epoch 1, step [234]; lower --weight-lr"
    ) as caught:
        list(search.epochs())
    assert caught.value.exit_code == 6


def test_weights_that_explode_in_the_last_step_of_their_pass_are_blamed_too(
    tiny: SearchSpace,
) -> None:
    """Theta's pass meets them first, and has not moved yet."""
    config = replace(QUICK, weight_lr=1e30, batch_size=18)
    with pytest.raises(Diverged, match=r"in epoch 1, step 2; lower --weight-lr"):
        list(search_of(supernet_of(tiny), config).epochs())


def test_weights_worse_than_guessing_are_told(tiny: SearchSpace) -> None:
    search = search_of(supernet_of(tiny), replace(QUICK, weight_lr=30.0, paths="1"))
    told: list[EpochResult] = []
    with pytest.raises(
        Diverged,
        match=r"over epoch \d, that of guessing among the space's 3 classes is 1\.1; lower",
    ):
        told.extend(search.epochs())
    assert told  # the epoch's figures came first


def test_a_search_that_skips_all_it_may_is_told(tiny: SearchSpace) -> None:
    def latency_us(operator: Operator) -> float:
        return 100.0 if operator.is_free or operator in (tiny.stem, tiny.head) else 1e6

    net = supernet_of(tiny, table_of(tiny, latency_us))
    search = search_of(net, replace(QUICK, epochs=30, theta_lr=1.0))
    with pytest.raises(
        Collapsed, match=r"after epoch \d+ theta skips \d+% of what may be.*--target-ms"
    ) as caught:
        list(search.epochs())
    assert caught.value.exit_code == 6


# A change of these means another search: of the initial weights, the noise, or the steps.
FIGURES = ("weight_cross_entropy", "theta_loss", "expected_latency_us", "theta_entropy")
PINNED: dict[Paths, list[tuple[float, ...]]] = {
    "all": [(1.033763, 0.822425, 373.8889, 2.138333), (1.042955, 0.827143, 373.9622, 2.135044)],
    "1": [(1.036860, 0.818765, 373.8889, 2.138333), (1.042703, 0.838616, 366.6137, 2.123718)],
}


@pytest.mark.parametrize("paths", ["all", "1"])
def test_the_losses_of_a_seeded_search_are_pinned(tiny: SearchSpace, paths: Paths) -> None:
    config = replace(QUICK, epochs=2, warmup_share=0.5, paths=paths)
    epochs = search_of(supernet_of(tiny), config).epochs()
    for epoch, pinned in zip(epochs, PINNED[paths], strict=True):
        figures = [getattr(epoch, name) for name in FIGURES]
        assert figures == pytest.approx(pinned, rel=1e-3)
