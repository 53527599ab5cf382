import itertools

import pytest
import torch
from torch import Tensor, nn

from contract.blocks import AnyBlock, MBConv
from contract.networks import NETWORK_NAMES, published
from contract.operators import Operator
from contract.slots import Slot
from contract.spaces import SPACE_NAMES, space
from search.supernet.blocks import build, build_network, untrained
from search.supernet.blocks.mobile import InvertedResidual
from search.supernet.blocks.parts import ChannelShuffle
from tests.contract.test_blocks import EXAMPLES

SMALL = space("fbnet-32")


def weight_count(module: nn.Module) -> int:
    """Weights of convolutions and fully connected layers, as Operator.params counts them."""
    return sum(
        layer.weight.numel()
        for layer in module.modules()
        if isinstance(layer, nn.Conv2d | nn.Linear)
    )


def output_shape(operator: Operator) -> tuple[int, ...]:
    slot = operator.slot
    if operator.block.kind == "head":
        return (2, slot.out_channels)
    return (2, slot.out_channels, slot.output_size, slot.output_size)


@pytest.mark.parametrize("operator", SMALL.operators, ids=lambda operator: operator.key)
def test_every_operator_of_a_space_has_its_shape_and_its_weights(operator: Operator) -> None:
    module = build(operator)
    x_BCHW = torch.randn(2, operator.slot.in_channels, *[operator.slot.input_size] * 2)
    assert module(x_BCHW).shape == output_shape(operator)
    assert weight_count(module) == operator.params()


@pytest.mark.parametrize("name", SPACE_NAMES)
def test_every_space_builds_with_the_weights_it_counts(name: str) -> None:
    with torch.device("meta"):
        for operator in space(name).operators:
            assert weight_count(build(operator)) == operator.params()


@pytest.mark.parametrize("block", EXAMPLES.values(), ids=EXAMPLES)
@pytest.mark.parametrize(
    "slot",
    [
        Slot(in_channels=16, out_channels=16, input_size=7, stride=1),
        Slot(in_channels=16, out_channels=24, input_size=7, stride=1),
        Slot(in_channels=16, out_channels=16, input_size=7, stride=2),
        Slot(in_channels=16, out_channels=10, input_size=7, stride=7),
    ],
    ids=lambda slot: slot.name,
)
def test_every_kind_of_block_has_its_shape_and_its_weights(block: AnyBlock, slot: Slot) -> None:
    if block.misfit(slot) is not None:
        pytest.skip("the block does not fit the slot")
    operator = Operator(block=block, slot=slot)
    module = build(operator)
    assert module(torch.randn(2, 16, 7, 7)).shape == output_shape(operator)
    assert weight_count(module) == operator.params()


@pytest.mark.parametrize("name", NETWORK_NAMES)
def test_a_published_network_has_its_published_weights(name: str) -> None:
    network = published(name)
    with torch.device("meta"):
        assert weight_count(build_network(network)) == network.params()


def test_a_network_answers_one_logit_per_class() -> None:
    network = build_network(published("fbnet-a", in_space=SMALL)).eval()
    names = [name for name, _ in network.named_children()]
    assert names == ["stem", *(f"layer{number}" for number in range(1, 23)), "head"]
    with torch.no_grad():
        assert network(torch.randn(1, 3, 32, 32)).shape == (1, SMALL.classes)


def test_a_shuffle_of_two_groups_interleaves_them() -> None:
    x_BCHW = torch.arange(8.0).reshape(1, 8, 1, 1)
    shuffled = ChannelShuffle(2)(x_BCHW).flatten().tolist()
    assert shuffled == [0, 4, 1, 5, 2, 6, 3, 7]


def test_the_shuffle_comes_before_the_depthwise_convolution() -> None:
    """With identity convolutions around it, only the shuffle's place decides which depthwise
    filter meets which channel.
    """
    slot = Slot(in_channels=4, out_channels=4, input_size=1, stride=1)
    block = build(Operator(block=MBConv(kernel_size=3, expansion=1, groups=2), slot=slot)).eval()
    assert isinstance(block, InvertedResidual)
    for grouped in (block.expand[0], block.project[0]):
        _set(grouped, torch.eye(2).repeat(2, 1)[:, :, None, None])
    depthwise = torch.zeros(4, 1, 3, 3)
    depthwise[:, 0, 1, 1] = torch.tensor([1.0, 10.0, 100.0, 1000.0])
    _set(block.depthwise[0], depthwise)

    x_BCHW = torch.tensor([1.0, 2.0, 3.0, 4.0]).reshape(1, 4, 1, 1)
    added = (block(x_BCHW) - x_BCHW).flatten()
    torch.testing.assert_close(added, torch.tensor([1.0, 30.0, 200.0, 4000.0]), rtol=1e-3, atol=0)


def test_expansion_one_keeps_its_first_convolution() -> None:
    slot = Slot(in_channels=8, out_channels=8, input_size=4, stride=1)
    block = build(Operator(block=MBConv(kernel_size=3, expansion=1), slot=slot))
    convolutions = [layer for layer in block.modules() if isinstance(layer, nn.Conv2d)]
    assert [layer.kernel_size for layer in convolutions] == [(1, 1), (3, 3), (1, 1)]


def test_a_convolution_is_followed_by_its_batch_norm_in_one_sequential() -> None:
    network = build_network(published("fbnet-96-0.35-1"))
    pairs = 0
    for module in network.modules():
        if isinstance(module, nn.Sequential):
            layers = list(module)
            pairs += sum(
                isinstance(a, nn.Conv2d) and isinstance(b, nn.BatchNorm2d)
                for a, b in itertools.pairwise(layers)
            )
    convolutions = sum(isinstance(module, nn.Conv2d) for module in network.modules())
    assert pairs == convolutions > 0


def test_the_last_convolution_of_a_block_has_no_relu() -> None:
    slot = Slot(in_channels=8, out_channels=16, input_size=8, stride=2)
    block = build(Operator(block=MBConv(kernel_size=5, expansion=3), slot=slot))
    assert (block(torch.randn(4, 8, 8, 8)) < 0).any()


def _set(layer: nn.Module, weight: Tensor) -> None:
    assert isinstance(layer, nn.Conv2d)
    assert layer.weight.shape == weight.shape
    layer.weight.data = weight


def test_training_begins_with_shortcuts_alone() -> None:
    network = published("fbnet-a", in_space=SMALL)
    module = untrained(network)
    keeping = [
        (number, layer.slot.in_channels)
        for number, layer in enumerate(network.layers, start=1)
        if layer.slot.keeps_shape
    ]
    assert len(keeping) > 10
    for number, channels in keeping:
        x_BCHW = torch.randn(2, channels, 8, 8)
        torch.testing.assert_close(module.get_submodule(f"layer{number}")(x_BCHW), x_BCHW)
    logits_BN = module(torch.randn(2, 3, 32, 32))
    assert logits_BN.std(dim=0).min() > 0
