"""ShuffleNetV2's unit."""

from typing import Literal

from contract.blocks.kind import BlockKind, conv_macs, conv_params
from contract.slots import Slot


class ShuffleUnit(BlockKind):
    """Half of the channels through 1x1, kxk depthwise, 1x1; joined with the rest and shuffled.

    Ma et al. 2018 (ShuffleNetV2, arXiv:1807.11164), figure 3 c and d: where the slot changes its
    shape, the whole input goes both ways, and the rest's way is kxk depthwise with the stride and
    1x1.
    """

    kind: Literal["shuffle_unit"] = "shuffle_unit"
    kernel_size: Literal[3, 5, 7] = 3

    @property
    def name(self) -> str:
        return f"shuffle{self.kernel_size}"

    def misfit(self, slot: Slot) -> str | None:
        if slot.out_channels % 2:
            return f"{self.name} needs an even number of output channels, got {slot.out_channels}"
        return None

    def macs(self, slot: Slot) -> int:
        first = conv_macs(self.branch_in(slot), self.half(slot), size=slot.input_size)
        rest = self.params(slot) - conv_params(self.branch_in(slot), self.half(slot))
        return first + rest * slot.output_size**2

    def params(self, slot: Slot) -> int:
        half = self.half(slot)
        branch = (
            conv_params(self.branch_in(slot), half)
            + conv_params(half, half, kernel_size=self.kernel_size, groups=half)
            + conv_params(half, half)
        )
        if slot.keeps_shape:
            return branch
        wide = slot.in_channels
        other = conv_params(wide, wide, kernel_size=self.kernel_size, groups=wide)
        return branch + other + conv_params(wide, half)

    def half(self, slot: Slot) -> int:
        """The channels of each way's output."""
        return slot.out_channels // 2

    def branch_in(self, slot: Slot) -> int:
        """The channels that go through the three convolutions."""
        return self.half(slot) if slot.keeps_shape else slot.in_channels
