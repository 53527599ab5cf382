"""The blocks of MobileNet and its descendants.

Shape suffixes: B batch, C channels, H height, W width.
"""

from torch import Tensor, nn

from contract.blocks import FusedMBConv, MBConv, Separable
from contract.slots import Slot
from search.supernet.blocks.parts import (
    ChannelShuffle,
    ShortcutBlock,
    conv_bn,
    conv_bn_act,
    norm_of,
    squeeze_of,
)


class InvertedResidual(ShortcutBlock):
    """MBConv: Wu et al. 2019 (arXiv:1812.03443), figure 3, with no activation at the end.

    The shuffle sits between the first 1x1 and the depthwise convolution, as in the authors'
    released graphs; squeeze-and-excitation follows the depthwise convolution.
    """

    def __init__(self, block: MBConv, slot: Slot) -> None:
        super().__init__()
        middle = block.middle(slot)
        self.expand = conv_bn_act(
            slot.in_channels, middle, groups=block.groups, activation=block.activation
        )
        self.shuffle = ChannelShuffle(block.groups) if block.groups > 1 else nn.Identity()
        self.depthwise = conv_bn_act(
            middle,
            middle,
            kernel_size=block.kernel_size,
            stride=slot.stride,
            groups=middle,
            activation=block.activation,
        )
        self.squeeze = squeeze_of(block, slot)
        self.project = conv_bn(middle, slot.out_channels, groups=block.groups)
        self.adds_input = block.adds_input(slot)

    @property
    def last_norm(self) -> nn.BatchNorm2d:
        return norm_of(self.project)

    def forward(self, x_BCHW: Tensor) -> Tensor:
        middle_BCHW = self.squeeze(self.depthwise(self.shuffle(self.expand(x_BCHW))))
        y_BCHW: Tensor = self.project(middle_BCHW)
        return x_BCHW + y_BCHW if self.adds_input else y_BCHW


class FusedInvertedResidual(ShortcutBlock):
    """FusedMBConv: Tan and Le 2021 (arXiv:2104.00298), figure 2."""

    def __init__(self, block: FusedMBConv, slot: Slot) -> None:
        super().__init__()
        middle = block.middle(slot)
        self.expand = conv_bn_act(
            slot.in_channels,
            middle,
            kernel_size=block.kernel_size,
            stride=slot.stride,
            activation=block.activation,
        )
        self.squeeze = squeeze_of(block, slot)
        self.project = conv_bn(middle, slot.out_channels)
        self.adds_input = block.adds_input(slot)

    @property
    def last_norm(self) -> nn.BatchNorm2d:
        return norm_of(self.project)

    def forward(self, x_BCHW: Tensor) -> Tensor:
        y_BCHW: Tensor = self.project(self.squeeze(self.expand(x_BCHW)))
        return x_BCHW + y_BCHW if self.adds_input else y_BCHW


class DepthwiseSeparable(ShortcutBlock):
    """Separable: depthwise convolution, squeeze-and-excitation if any, 1x1 without activation."""

    def __init__(self, block: Separable, slot: Slot) -> None:
        super().__init__()
        self.depthwise = conv_bn_act(
            slot.in_channels,
            slot.in_channels,
            kernel_size=block.kernel_size,
            stride=slot.stride,
            groups=slot.in_channels,
            activation=block.activation,
        )
        self.squeeze = squeeze_of(block, slot)
        self.project = conv_bn(slot.in_channels, slot.out_channels)
        self.adds_input = block.adds_input(slot)

    @property
    def last_norm(self) -> nn.BatchNorm2d:
        return norm_of(self.project)

    def forward(self, x_BCHW: Tensor) -> Tensor:
        y_BCHW: Tensor = self.project(self.squeeze(self.depthwise(x_BCHW)))
        return x_BCHW + y_BCHW if self.adds_input else y_BCHW
