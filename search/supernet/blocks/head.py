"""Heads: from the last map to the classes."""

from torch import nn

from contract.blocks import Head
from contract.slots import Slot
from search.supernet.blocks.parts import activation_of, conv_bn_act


def head(block: Head, slot: Slot) -> nn.Sequential:
    """1x1 convolution if any, average, a hidden layer if any, and one logit per class.

    The hidden layer is the 1x1 convolution on one position that it is in MobileNetV3.
    """
    channels = block.channels or slot.in_channels
    layers: list[nn.Module] = []
    if block.channels is not None:
        layers.append(conv_bn_act(slot.in_channels, channels, activation=block.activation))
    layers += [nn.AdaptiveAvgPool2d(1), nn.Flatten()]
    if block.hidden is not None:
        layers += [nn.Linear(channels, block.hidden), activation_of(block.activation)]
    return nn.Sequential(*layers, nn.Linear(block.hidden or channels, slot.out_channels))
