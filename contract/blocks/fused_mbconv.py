"""Fused MBConv: the first two convolutions of an inverted residual as one."""

from typing import Literal

from contract.blocks.kind import conv_macs, conv_params, joined
from contract.blocks.parts import ExpandingBlock
from contract.slots import Slot


class FusedMBConv(ExpandingBlock):
    """kxk expand with the stride, squeeze-and-excitation if any, 1x1 project.

    Tan and Le 2021 (EfficientNetV2, arXiv:2104.00298), figure 2.
    """

    kind: Literal["fused_mbconv"] = "fused_mbconv"
    kernel_size: Literal[3, 5, 7]

    @property
    def name(self) -> str:
        return joined(
            f"fused{self.kernel_size}",
            self.middle_name,
            *self.extras,
        )

    def misfit(self, slot: Slot) -> str | None:
        return None

    def macs(self, slot: Slot) -> int:
        middle, size = self.middle(slot), slot.output_size
        expand = conv_macs(slot.in_channels, middle, size=size, kernel_size=self.kernel_size)
        return expand + conv_macs(middle, slot.out_channels, size=size) + self.squeeze_params(slot)

    def params(self, slot: Slot) -> int:
        middle = self.middle(slot)
        expand = conv_params(slot.in_channels, middle, kernel_size=self.kernel_size)
        return expand + conv_params(middle, slot.out_channels) + self.squeeze_params(slot)
