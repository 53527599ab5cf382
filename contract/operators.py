"""Operators: a block in a slot, the only thing that has a latency."""

from functools import cached_property
from typing import Self

from pydantic import model_validator

from contract.blocks import Block
from contract.slots import Slot
from contract.values import Value

_LONGEST_KEY = 100


class Operator(Value):
    """A block in a slot. Equal operators have equal keys, in every space.

    Raises:
        ValueError: the block cannot do what the slot asks.
    """

    block: Block
    slot: Slot

    @model_validator(mode="after")
    def _block_fits_slot(self) -> Self:
        misfit = self.block.misfit(self.slot)
        if misfit is not None:
            raise ValueError(misfit)
        if len(self.key) > _LONGEST_KEY:
            raise ValueError(f"the key {self.key} is longer than {_LONGEST_KEY} characters")
        return self

    @cached_property
    def key(self) -> str:
        """Stable identity, unique over all spaces: ``k3_e6-16x112-24s2``."""
        return f"{self.block.name}-{self.slot.name}"

    @property
    def is_free(self) -> bool:
        """True for a skip: nothing runs, so its latency is 0 us by definition."""
        return self.block.is_free

    def macs(self) -> int:
        """Multiply-accumulates of one image through convolutions and fully connected layers."""
        return self.block.macs(self.slot)

    def params(self) -> int:
        """Weights of convolutions and fully connected layers; no biases, no batch norms."""
        return self.block.params(self.slot)
