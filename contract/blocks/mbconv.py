"""MBConv: the inverted residual of MobileNetV2 and all that came of it."""

from typing import Literal

from contract.blocks.kind import conv_macs, conv_params, joined
from contract.blocks.parts import ExpandingBlock
from contract.slots import Count, Slot


class MBConv(ExpandingBlock):
    """Inverted residual: 1x1 expand, channel shuffle if grouped, kxk depthwise, 1x1 project.

    `groups` are of the two 1x1 convolutions; squeeze-and-excitation follows the depthwise one.
    The first 1x1 convolution stays even at expansion 1, as in FBNet's released graphs (Wu et al.
    2019, arXiv:1812.03443).
    """

    kind: Literal["mbconv"] = "mbconv"
    kernel_size: Literal[3, 5, 7]
    groups: Count = 1

    @property
    def name(self) -> str:
        return joined(
            f"k{self.kernel_size}",
            self.middle_name,
            f"g{self.groups}" if self.groups > 1 else "",
            *self.extras,
        )

    def misfit(self, slot: Slot) -> str | None:
        ends = (slot.in_channels, self.middle(slot), slot.out_channels)
        if any(channels % self.groups for channels in ends):
            return (
                f"{self.name} needs channels divisible by {self.groups}, "
                f"got {slot.in_channels} in and {slot.out_channels} out"
            )
        return None

    def macs(self, slot: Slot) -> int:
        middle, small = self.middle(slot), slot.output_size
        expand = conv_macs(slot.in_channels, middle, size=slot.input_size, groups=self.groups)
        depthwise = conv_macs(
            middle, middle, size=small, kernel_size=self.kernel_size, groups=middle
        )
        project = conv_macs(middle, slot.out_channels, size=small, groups=self.groups)
        return expand + depthwise + project + self.squeeze_params(slot)

    def params(self, slot: Slot) -> int:
        middle = self.middle(slot)
        expand = conv_params(slot.in_channels, middle, groups=self.groups)
        depthwise = conv_params(middle, middle, kernel_size=self.kernel_size, groups=middle)
        project = conv_params(middle, slot.out_channels, groups=self.groups)
        return expand + depthwise + project + self.squeeze_params(slot)
