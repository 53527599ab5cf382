"""Heads: from the last map to the classes."""

from typing import Literal

from pydantic import Field

from contract.blocks.kind import BlockKind, conv_params, joined
from contract.blocks.parts import Activation, activation_name
from contract.slots import Count, Slot


class Head(BlockKind):
    """1x1 convolution to `channels` if given, average over all positions, fully connected layer.

    With `hidden` a 1x1 convolution without batch norm to so many channels follows the average, as
    in MobileNetV3 (Howard et al. 2019, arXiv:1905.02244). Each has the activation.
    """

    kind: Literal["head"] = "head"
    channels: Count | None = Field(default=None, exclude_if=lambda it: it is None)
    hidden: Count | None = Field(default=None, exclude_if=lambda it: it is None)
    activation: Activation = Field(default="relu", exclude_if=lambda it: it == "relu")

    @property
    def name(self) -> str:
        return joined(
            f"head{self.channels or ''}",
            f"h{self.hidden}" if self.hidden else "",
            activation_name(self.activation),
        )

    def misfit(self, slot: Slot) -> str | None:
        if slot.stride == slot.input_size:
            return None
        return (
            f"a head averages all {slot.input_size}x{slot.input_size} positions, "
            f"so its stride must be {slot.input_size}, got {slot.stride}"
        )

    def macs(self, slot: Slot) -> int:
        on_map = self._conv(slot) * slot.input_size**2
        return on_map + self.params(slot) - self._conv(slot)

    def params(self, slot: Slot) -> int:
        averaged = self.channels or slot.in_channels
        if self.hidden is None:
            return self._conv(slot) + averaged * slot.out_channels
        return self._conv(slot) + self.hidden * (averaged + slot.out_channels)

    def _conv(self, slot: Slot) -> int:
        """Weights of the convolution before the average."""
        return conv_params(slot.in_channels, self.channels) if self.channels else 0
