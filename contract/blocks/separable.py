"""Depthwise-separable convolution, as MnasNet and MobileNetV3 begin."""

from typing import Literal

from contract.blocks.kind import conv_macs, conv_params, joined
from contract.blocks.parts import MobileBlock
from contract.slots import Slot


class Separable(MobileBlock):
    """kxk depthwise with the stride, squeeze-and-excitation if any, 1x1 without activation.

    An MBConv that expands nothing (Tan et al. 2019, arXiv:1807.11626; Howard et al. 2019,
    arXiv:1905.02244)."""

    kind: Literal["separable"] = "separable"
    kernel_size: Literal[3, 5, 7]

    @property
    def name(self) -> str:
        return joined(
            f"sep{self.kernel_size}",
            *self.extras,
        )

    def misfit(self, slot: Slot) -> str | None:
        return None

    def macs(self, slot: Slot) -> int:
        channels, size = slot.in_channels, slot.output_size
        depthwise = conv_macs(
            channels, channels, size=size, kernel_size=self.kernel_size, groups=channels
        )
        project = conv_macs(channels, slot.out_channels, size=size)
        return depthwise + project + self.squeeze_params(slot)

    def params(self, slot: Slot) -> int:
        channels = slot.in_channels
        depthwise = conv_params(channels, channels, kernel_size=self.kernel_size, groups=channels)
        return depthwise + conv_params(channels, slot.out_channels) + self.squeeze_params(slot)

    def middle(self, slot: Slot) -> int:
        return slot.in_channels
