"""ResNet's blocks."""

from typing import Literal

from contract.blocks.kind import BlockKind, conv_macs, conv_params
from contract.slots import Slot


class BasicResidual(BlockKind):
    """Two 3x3 convolutions, the first with the stride, and the input added.

    He et al. 2015 (arXiv:1512.03385), figure 5 left. Where the slot changes its shape, the input
    goes through a 1x1 convolution with the stride.
    """

    kind: Literal["basic_residual"] = "basic_residual"

    @property
    def name(self) -> str:
        return "basic"

    def misfit(self, slot: Slot) -> str | None:
        return None

    def macs(self, slot: Slot) -> int:
        return self.params(slot) * slot.output_size**2

    def params(self, slot: Slot) -> int:
        first = conv_params(slot.in_channels, slot.out_channels, kernel_size=3)
        second = conv_params(slot.out_channels, slot.out_channels, kernel_size=3)
        return first + second + _projection(slot)


class BottleneckResidual(BlockKind):
    """1x1 to a quarter of the output's channels, 3x3 with the stride, 1x1, and the input added.

    He et al. 2015 (arXiv:1512.03385), figure 5 right, with the stride in the 3x3 convolution as
    in torchvision's ResNet. Where the slot changes its shape, the input goes through a 1x1
    convolution with the stride.
    """

    kind: Literal["bottleneck_residual"] = "bottleneck_residual"

    @property
    def name(self) -> str:
        return "bottleneck"

    def misfit(self, slot: Slot) -> str | None:
        if slot.out_channels % 4:
            return f"{self.name} needs output channels divisible by 4, got {slot.out_channels}"
        return None

    def macs(self, slot: Slot) -> int:
        first = conv_macs(slot.in_channels, self.middle(slot), size=slot.input_size)
        rest = self.params(slot) - conv_params(slot.in_channels, self.middle(slot))
        return first + rest * slot.output_size**2

    def params(self, slot: Slot) -> int:
        middle = self.middle(slot)
        return (
            conv_params(slot.in_channels, middle)
            + conv_params(middle, middle, kernel_size=3)
            + conv_params(middle, slot.out_channels)
            + _projection(slot)
        )

    def middle(self, slot: Slot) -> int:
        """The channels of the 3x3 convolution."""
        return slot.out_channels // 4


def _projection(slot: Slot) -> int:
    """Weights of the shortcut's convolution."""
    return 0 if slot.keeps_shape else conv_params(slot.in_channels, slot.out_channels)
