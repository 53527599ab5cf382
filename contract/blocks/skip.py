"""Skip: a layer that is left out."""

from typing import Literal

from contract.blocks.kind import BlockKind
from contract.slots import Slot


class Skip(BlockKind):
    """No computation: the input is the output. Only where the slot keeps its shape."""

    kind: Literal["skip"] = "skip"

    @property
    def name(self) -> str:
        return "skip"

    def misfit(self, slot: Slot) -> str | None:
        if slot.keeps_shape:
            return None
        return (
            f"skip cannot map {slot.in_channels} channels to {slot.out_channels} at stride "
            f"{slot.stride}; use it only where the slot keeps its shape"
        )

    def macs(self, slot: Slot) -> int:
        return 0

    def params(self, slot: Slot) -> int:
        return 0

    @property
    def is_free(self) -> bool:
        return True
