"""A convolution with its batch norm and activation: stems, and what else needs no name."""

from typing import Literal

from contract.blocks.kind import BlockKind, conv_macs, conv_params, joined
from contract.blocks.parts import Activation, KernelSize, activation_name
from contract.slots import Count, Slot


class Conv(BlockKind):
    """kxk convolution with the stride, batch norm, activation; no shortcut."""

    kind: Literal["conv"] = "conv"
    kernel_size: KernelSize
    groups: Count = 1
    activation: Activation = "relu"

    @property
    def name(self) -> str:
        return joined(
            f"conv{self.kernel_size}",
            f"g{self.groups}" if self.groups > 1 else "",
            activation_name(self.activation),
        )

    def misfit(self, slot: Slot) -> str | None:
        if slot.in_channels % self.groups or slot.out_channels % self.groups:
            return (
                f"{self.name} needs channels divisible by {self.groups}, "
                f"got {slot.in_channels} in and {slot.out_channels} out"
            )
        return None

    def macs(self, slot: Slot) -> int:
        return self.params(slot) * slot.output_size**2

    def params(self, slot: Slot) -> int:
        return conv_params(
            slot.in_channels,
            slot.out_channels,
            kernel_size=self.kernel_size,
            groups=self.groups,
        )


class Stem(BlockKind):
    """FBNet's first 3x3 convolution, on the image; as `Conv` with 3x3 and ReLU."""

    kind: Literal["stem"] = "stem"

    @property
    def name(self) -> str:
        return "stem"

    def misfit(self, slot: Slot) -> str | None:
        return None

    def macs(self, slot: Slot) -> int:
        return conv_macs(slot.in_channels, slot.out_channels, size=slot.output_size, kernel_size=3)

    def params(self, slot: Slot) -> int:
        return conv_params(slot.in_channels, slot.out_channels, kernel_size=3)
