import pytest
import torch
from torch import Tensor

from contract.errors import IncompleteTable
from contract.spaces import SearchSpace
from search.supernet import MixedSlot, Supernet
from tests.search.conftest import table_of

IMAGE_BCHW = torch.randn(6, 3, 8, 8, generator=torch.Generator().manual_seed(5))


def seeded(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def supernet(space: SearchSpace, *, paths: int = 9) -> Supernet:
    torch.manual_seed(0)
    return Supernet(space, table_of(space), paths=paths)


def chosen_path(net: Supernet, image_BCHW: Tensor, choice: list[int]) -> Tensor:
    x_BCHW = net.stem(image_BCHW)
    for slot, index in zip(net.mixed_slots(), choice, strict=True):
        x_BCHW = slot.candidates[index](x_BCHW)
    logits_BN: Tensor = net.head(x_BCHW)
    return logits_BN


@pytest.mark.parametrize("paths", [1, 2, 9])
@pytest.mark.parametrize("temperature", [5.0, 0.1])
def test_a_mask_sums_to_one(tiny: SearchSpace, paths: int, temperature: float) -> None:
    for slot in supernet(tiny).mixed_slots():
        mask = slot.mask(temperature, paths, seeded())
        assert mask.weight_K.sum().item() == pytest.approx(1)
        assert len(mask.chosen) == min(paths, len(slot.operators))
        unchosen = set(range(len(slot.operators))) - set(mask.chosen)
        assert all(mask.weight_K[index] == 0 for index in unchosen)


def test_a_cold_mask_feeds_output_and_latency_with_one_and_the_same_path(
    tiny: SearchSpace,
) -> None:
    net = supernet(tiny)
    same = seeded(3)
    choice = [int(slot.mask(1e-4, 9, same).weight_K.argmax()) for slot in net.mixed_slots()]
    logits_BN, latency_us = net(IMAGE_BCHW, 1e-4, seeded(3))

    path = [slot.operators[index] for slot, index in zip(net.mixed_slots(), choice, strict=True)]
    whole = (tiny.stem, *path, tiny.head)
    assert latency_us.item() == pytest.approx(sum(table_of(tiny).latencies_us(whole)))
    torch.testing.assert_close(logits_BN, chosen_path(net, IMAGE_BCHW, choice))


def test_one_path_is_the_sampled_one_at_any_temperature(tiny: SearchSpace) -> None:
    net = supernet(tiny, paths=1)
    same = seeded(3)
    choice = [slot.mask(5.0, 1, same).chosen[0] for slot in net.mixed_slots()]
    logits_BN, _ = net(IMAGE_BCHW, 5.0, seeded(3))
    torch.testing.assert_close(logits_BN, chosen_path(net, IMAGE_BCHW, choice))


def test_one_path_has_the_gradient_of_the_whole_sample(tiny: SearchSpace) -> None:
    def latency_gradients(paths: int) -> list[Tensor]:
        net = supernet(tiny, paths=paths)
        _, latency_us = net(IMAGE_BCHW, 2.0, seeded(3))
        return list(torch.autograd.grad(latency_us, net.thetas()))

    for one, all_nine in zip(latency_gradients(1), latency_gradients(9), strict=True):
        assert (one != 0).all()
        torch.testing.assert_close(one, all_nine)


def test_theta_starts_even_and_skip_is_a_candidate_only_where_the_shape_stays(
    tiny: SearchSpace,
) -> None:
    net = supernet(tiny)
    assert [len(slot.operators) for slot in net.mixed_slots()] == [9, 8]
    for slot in net.mixed_slots():
        assert len(set(slot.probabilities().tolist())) == 1
    assert net.theta_entropy() == pytest.approx((2.1972246 + 2.0794415) / 2)


def test_the_expected_latency_counts_stem_and_head(tiny: SearchSpace) -> None:
    rows = table_of(tiny)
    means = [
        sum(rows.latencies_us(tiny.candidates(slot))) / len(tiny.candidates(slot))
        for slot in tiny.slots
    ]
    fixed = sum(rows.latencies_us((tiny.stem, tiny.head)))
    assert supernet(tiny).expected_latency_us() == pytest.approx(fixed + sum(means))


def test_slots_of_one_shape_share_latencies_but_no_weights(tiny: SearchSpace) -> None:
    first = tiny.slots[0]
    twice = tiny.model_copy(update={"slots": (first, first, *tiny.slots[1:])})
    net = Supernet(twice, table_of(twice), paths=9)
    one, other = list(net.mixed_slots())[:2]
    assert one.latency_us_K.tolist() == other.latency_us_K.tolist()
    assert not {id(p) for p in one.parameters()} & {id(p) for p in other.parameters()}


def test_weights_and_thetas_are_all_parameters_and_disjoint(tiny: SearchSpace) -> None:
    net = supernet(tiny)
    groups = [*net.weights(), *net.thetas()]
    assert sorted(map(id, groups)) == sorted(map(id, net.parameters()))


def test_evaluation_uses_the_statistics_of_the_batch_too(tiny: SearchSpace) -> None:
    net = supernet(tiny)
    trained, _ = net(IMAGE_BCHW, 5.0, seeded())
    evaluated, _ = net.eval()(IMAGE_BCHW, 5.0, seeded())
    torch.testing.assert_close(trained, evaluated)


def test_a_missing_row_is_refused_with_the_command_that_measures_it(tiny: SearchSpace) -> None:
    key = tiny.candidates(tiny.slots[1])[3].key
    with pytest.raises(IncompleteTable, match=r"device_agent\.run --device test-phone") as caught:
        Supernet(tiny, table_of(tiny, without=(key,)), paths=9)
    assert caught.value.missing == (key,)


def test_noise_follows_the_gumbel_distribution(tiny: SearchSpace) -> None:
    """The largest of theta plus Gumbel noise is candidate k with probability softmax(theta)_k."""
    slot = MixedSlot(tiny.candidates(tiny.slots[1]), [1.0] * 8)
    slot.theta_K.data = torch.tensor([2.0, 1.0, 0.0, 0.0, 0.0, 0.0, 0.0, -1.0])
    generator = seeded()
    counts_K = torch.zeros(8)
    for _ in range(4000):
        counts_K[slot.mask(1.0, 1, generator).chosen[0]] += 1
    torch.testing.assert_close(counts_K / 4000, slot.probabilities().detach(), atol=0.03, rtol=0)
