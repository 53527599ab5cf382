import itertools

import pytest
import torch
from torch import Tensor
from torch.nn.functional import one_hot

from contract.errors import IncompleteTable, PhonebookError
from contract.spaces import SearchSpace
from search.supernet.blocks import build
from search.supernet.slots import MixedSlot
from search.supernet.supernet import Path, Supernet
from tests.search.conftest import supernet_of
from tests.tables import table_of

IMAGE_BCHW = torch.randn(6, 3, 8, 8, generator=torch.Generator().manual_seed(5))
ACTIVE_BCHW = torch.randn(6, 4, 8, 8, generator=torch.Generator().manual_seed(6))


def seeded(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def along(net: Supernet, image_BCHW: Tensor, path: Path) -> Tensor:
    """The logits of the plain modules of a path, one after the other."""
    x_BCHW = net.stem(image_BCHW)
    for slot, index in zip(net.mixed_slots(), path, strict=True):
        x_BCHW = slot.candidates[index](x_BCHW)
    logits_BN: Tensor = net.head(x_BCHW)
    return logits_BN


def mask_of(net: Supernet, path: Path) -> list[Tensor]:
    """Masks that let one path alone pass."""
    return [
        one_hot(torch.tensor(index), len(slot.operators)).float()
        for slot, index in zip(net.mixed_slots(), path, strict=True)
    ]


@pytest.mark.parametrize("temperature", [5.0, 0.1])
def test_a_mask_sums_to_one(tiny: SearchSpace, temperature: float) -> None:
    net = supernet_of(tiny)
    masks = net.masks(temperature, seeded())
    assert [len(weight_K) for weight_K in masks] == [9, 8]
    assert all(weight_K.sum().item() == pytest.approx(1) for weight_K in masks)


@pytest.mark.parametrize("recompute", [False, True])
def test_a_path_is_its_modules_one_after_the_other(tiny: SearchSpace, recompute: bool) -> None:
    net = supernet_of(tiny, recompute=recompute)
    paths = list(itertools.product(range(9), range(8)))
    for path, logits_BN in zip(paths, net(IMAGE_BCHW, paths), strict=True):
        torch.testing.assert_close(logits_BN, along(net, IMAGE_BCHW, path))


@pytest.mark.parametrize("recompute", [False, True])
def test_a_mask_mixes_the_candidates_outputs(tiny: SearchSpace, recompute: bool) -> None:
    net = supernet_of(tiny, recompute=recompute)
    masks = net.masks(2.0, seeded())
    x_BCHW = net.stem(IMAGE_BCHW)
    for slot, weight_K in zip(net.mixed_slots(), masks, strict=True):
        outputs = [candidate(x_BCHW) for candidate in slot.candidates]
        x_BCHW = torch.stack([w * y for w, y in zip(weight_K, outputs, strict=True)]).sum(dim=0)
    torch.testing.assert_close(net(IMAGE_BCHW, [masks])[0], net.head(x_BCHW))


def test_a_mask_of_one_path_has_its_output_and_its_latency(tiny: SearchSpace) -> None:
    net = supernet_of(tiny)
    path = (8, 3)
    masks = mask_of(net, path)
    blocks = [slot.operators[index] for slot, index in zip(net.mixed_slots(), path, strict=True)]
    rows = table_of(tiny).latencies_us((tiny.stem, *blocks, tiny.head))
    assert net.latency_us(masks).item() == pytest.approx(sum(rows))
    torch.testing.assert_close(net(IMAGE_BCHW, [masks])[0], along(net, IMAGE_BCHW, path))


def test_a_cold_mask_and_a_path_of_the_same_noise_choose_alike(tiny: SearchSpace) -> None:
    net = supernet_of(tiny)
    masks, path = net.masks(1e-4, seeded(3)), net.path(seeded(3))
    assert tuple(int(weight_K.argmax()) for weight_K in masks) == path


def test_theta_starts_even_and_skip_is_a_candidate_only_where_the_shape_stays(
    tiny: SearchSpace,
) -> None:
    net = supernet_of(tiny)
    assert [len(slot.operators) for slot in net.mixed_slots()] == [9, 8]
    for slot in net.mixed_slots():
        assert len(set(slot.probabilities().tolist())) == 1
    assert net.theta_entropy() == pytest.approx((2.1972246 + 2.0794415) / 2)
    skips = [slot.skip_probability() for slot in net.mixed_slots()]
    assert skips == [pytest.approx(1 / 9), None]


def test_a_path_has_the_probability_of_its_choices(tiny: SearchSpace) -> None:
    net = supernet_of(tiny)
    for theta_K in net.thetas():
        theta_K.data = torch.randn(theta_K.shape, generator=seeded())
    paths = list(itertools.product(range(9), range(8)))
    probabilities = torch.stack([net.log_probability(path) for path in paths]).exp()
    assert probabilities.sum().item() == pytest.approx(1, abs=1e-5)
    first, second = (slot.probabilities() for slot in net.mixed_slots())
    torch.testing.assert_close(probabilities, (first[:, None] * second).flatten())


def test_the_expected_latency_counts_stem_and_head(tiny: SearchSpace) -> None:
    rows = table_of(tiny)
    means = [
        sum(rows.latencies_us(choice.candidates)) / len(choice.candidates)
        for choice in tiny.choices
    ]
    fixed = sum(rows.latencies_us((tiny.stem, tiny.head)))
    expected = fixed + sum(means)
    assert supernet_of(tiny).expected_latency_us().item() == pytest.approx(expected)


def test_slots_of_one_shape_share_latencies_but_no_weights(tiny: SearchSpace) -> None:
    twice = tiny.evolve(stages=(tiny.stages[0], *tiny.stages))
    one, other = list(supernet_of(twice).mixed_slots())[:2]
    assert one.latency_us_K.tolist() == other.latency_us_K.tolist()
    assert not {id(p) for p in one.parameters()} & {id(p) for p in other.parameters()}


def part_of(whole: Tensor, part: Tensor) -> Tensor:
    """The first channels of a convolution's weights, and the middle of its kernel."""
    edge = (whole.shape[-1] - part.shape[-1]) // 2
    inside = slice(edge, edge + part.shape[-1])
    return whole[: part.shape[0], : part.shape[1], inside, inside]


def test_candidates_that_share_are_parts_of_the_largest(tiny: SearchSpace) -> None:
    net = supernet_of(tiny, shares_weights=True)
    apart = supernet_of(tiny)
    for ours, theirs in zip(net.mixed_slots(), apart.mixed_slots(), strict=True):
        names = [operator.block.name for operator in ours.operators]
        for index, name in enumerate(names):
            if name != "skip":
                # Their batch norms are their own, and alike at the start.
                owner = names.index("k5_e1_g2" if name.endswith("_g2") else "k5_e6")
                for into, whole in zip(
                    theirs.candidates[index].parameters(),
                    ours.candidates[owner].parameters(),
                    strict=True,
                ):
                    if into.dim() == 4:
                        into.data.copy_(part_of(whole.data, into.data))
    paths = list(itertools.product(range(9), range(8)))
    for ours_BN, theirs_BN in zip(net(IMAGE_BCHW, paths), apart(IMAGE_BCHW, paths), strict=True):
        torch.testing.assert_close(ours_BN, theirs_BN)


def test_a_step_along_one_candidate_trains_those_that_share_with_it(tiny: SearchSpace) -> None:
    net = supernet_of(tiny, shares_weights=True)
    slot = list(net.mixed_slots())[1]
    names = [operator.block.name for operator in slot.operators]
    before = dict(zip(names, [slot.along(ACTIVE_BCHW, k, False) for k in range(8)], strict=True))
    output_BCHW = slot.along(ACTIVE_BCHW, names.index("k3_e3"), False)
    torch.autograd.backward((output_BCHW**3).sum())
    for parameter in slot.parameters():
        if parameter.grad is not None and parameter.dim() == 4:
            parameter.data -= parameter.grad
    moved = {
        name
        for index, name in enumerate(names)
        if not torch.equal(slot.along(ACTIVE_BCHW, index, False), before[name])
    }
    assert moved == {"k3_e1", "k3_e3", "k3_e6", "k5_e1", "k5_e3", "k5_e6"}


def test_weights_and_thetas_are_all_parameters_and_disjoint(tiny: SearchSpace) -> None:
    net = supernet_of(tiny)
    groups = [*net.weights(), *net.thetas()]
    assert sorted(map(id, groups)) == sorted(map(id, net.parameters()))


def test_evaluation_uses_the_statistics_of_the_batch_too(tiny: SearchSpace) -> None:
    net = supernet_of(tiny)
    choices = [net.path(seeded())]
    trained = net(IMAGE_BCHW, choices)[0]
    torch.testing.assert_close(trained, net.eval()(IMAGE_BCHW, choices)[0])


def test_a_missing_row_is_refused_with_the_command_that_measures_it(tiny: SearchSpace) -> None:
    key = tiny.choices[1].candidates[3].key
    with pytest.raises(IncompleteTable, match=r"device_agent\.run --device test-phone") as caught:
        Supernet(tiny, table_of(tiny, without=(key,)))
    assert caught.value.missing == (key,)


@pytest.mark.parametrize("latency_us", [0.25, 0.01])
def test_a_latency_whose_logarithm_is_no_price_is_refused(
    tiny: SearchSpace, latency_us: float
) -> None:
    with pytest.raises(PhonebookError, match="is the table in microseconds"):
        Supernet(tiny, table_of(tiny, lambda operator: latency_us))


def test_noise_follows_the_gumbel_distribution(tiny: SearchSpace) -> None:
    """The largest of theta plus Gumbel noise is candidate k with probability softmax(theta)_k."""
    operators = tiny.choices[1].candidates
    slot = MixedSlot(operators, map(build, operators), [1.0] * 8)
    slot.theta_K.data = torch.tensor([2.0, 1.0, 0.0, 0.0, 0.0, 0.0, 0.0, -1.0])
    generator = seeded()
    drawn = torch.tensor([slot.draw(generator) for _ in range(4000)])
    shares_K = drawn.bincount(minlength=8) / 4000
    torch.testing.assert_close(shares_K, slot.probabilities().detach(), atol=0.03, rtol=0)


@pytest.mark.parametrize("target_us", [60.0, 120.0, 180.0])
def test_a_supernet_that_expects_a_latency_prefers_no_network_of_equal_latency(
    tiny: SearchSpace, target_us: float
) -> None:
    net = supernet_of(tiny, table_of(tiny, lambda op: 10.0 + op.macs() / 500))
    net.expect(target_us)
    assert net.expected_latency_us().item() == pytest.approx(target_us, rel=1e-3)

    paths = list(itertools.product(range(9), range(8)))
    logs = torch.stack([net.log_probability(path) for path in paths])
    latencies_us = torch.stack([net.latency_us(mask_of(net, path)) for path in paths])
    price = torch.linalg.lstsq(
        torch.stack([latencies_us, torch.ones(len(paths))], dim=1), logs[:, None]
    ).solution
    fitted = price[0] * latencies_us + price[1]
    torch.testing.assert_close(fitted, logs.detach(), rtol=0, atol=1e-2)


def test_a_latency_that_only_one_network_has_is_expected_as_nearly_as_logits_allow(
    tiny: SearchSpace,
) -> None:
    net = supernet_of(tiny, table_of(tiny, lambda op: 10.0 + op.macs() / 500))
    fastest_us = net.fixed_us + sum(slot.latency_us_K.min().item() for slot in net.mixed_slots())
    net.expect(fastest_us)
    assert net.expected_latency_us().item() == pytest.approx(fastest_us, rel=0.05)
    assert all(theta_K.isfinite().all() for theta_K in net.thetas())
