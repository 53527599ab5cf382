"""Operators as PyTorch modules: one module per kind of block."""

from collections import OrderedDict
from typing import assert_never

from torch import nn

from contract.blocks import (
    BasicResidual,
    BottleneckResidual,
    Conv,
    FusedMBConv,
    Head,
    MBConv,
    Separable,
    ShuffleUnit,
    Skip,
    Stem,
)
from contract.networks import Network
from contract.operators import Operator
from search.supernet.blocks.head import head
from search.supernet.blocks.mobile import (
    DepthwiseSeparable,
    FusedInvertedResidual,
    InvertedResidual,
)
from search.supernet.blocks.parts import ShortcutBlock, conv_bn_act
from search.supernet.blocks.residual import basic, bottleneck
from search.supernet.blocks.shuffle import ShuffleNetUnit


def build(operator: Operator) -> nn.Module:
    """The module that computes `operator`, with fresh weights.

    Its convolutions and fully connected layers hold `operator.params()` weights.
    """
    block, slot = operator.block, operator.slot
    match block:
        case MBConv():
            return InvertedResidual(block, slot)
        case FusedMBConv():
            return FusedInvertedResidual(block, slot)
        case Separable():
            return DepthwiseSeparable(block, slot)
        case Conv():
            return conv_bn_act(
                slot.in_channels,
                slot.out_channels,
                kernel_size=block.kernel_size,
                stride=slot.stride,
                groups=block.groups,
                activation=block.activation,
            )
        case ShuffleUnit():
            return ShuffleNetUnit(block, slot)
        case BasicResidual():
            return basic(block, slot)
        case BottleneckResidual():
            return bottleneck(block, slot)
        case Stem():
            return conv_bn_act(
                slot.in_channels, slot.out_channels, kernel_size=3, stride=slot.stride
            )
        case Head():
            return head(block, slot)
        case Skip():
            return nn.Identity()
        case _:
            assert_never(block)


def build_network(network: Network) -> nn.Sequential:
    """Stem, one child per layer (skips too), head; children are named after their place."""
    children: list[tuple[str, nn.Module]] = [("stem", build(network.stem))]
    for number, layer in enumerate(network.layers, start=1):
        children.append((f"layer{number}", build(layer)))
    children.append(("head", build(network.head)))
    return nn.Sequential(OrderedDict(children))


def untrained(network: Network) -> nn.Sequential:
    """The network as its training begins: each block that adds its input passes it on alone.

    Deep networks learn faster so (Goyal et al. 2017, arXiv:1706.02677, section 5.1): one of 19
    blocks on 6,000 images of Fashion-MNIST was right on 86.4 instead of 83.0 % of the test images
    after eight epochs (one run each).
    """
    module = build_network(network)
    begin_as_shortcuts(module)
    return module


def begin_as_shortcuts(module: nn.Module) -> None:
    """Set the last batch norm of each block within that adds its input to scale by zero."""
    for block in module.modules():
        if isinstance(block, ShortcutBlock) and block.adds_input:
            nn.init.zeros_(block.last_norm.weight)
