"""Slots: positions in a network, whatever fills them."""

from typing import Annotated

from pydantic import Field

from contract.values import Value

Count = Annotated[int, Field(ge=1, le=2**20)]  # of channels, pixels and so on


class Slot(Value):
    """A position in a network: what goes in and what must come out."""

    in_channels: Count
    out_channels: Count
    input_size: Count  # height and width, pixels
    stride: Count

    @property
    def output_size(self) -> int:
        return -(-self.input_size // self.stride)

    @property
    def keeps_shape(self) -> bool:
        return self.stride == 1 and self.in_channels == self.out_channels

    @property
    def name(self) -> str:
        return f"{self.in_channels}x{self.input_size}-{self.out_channels}s{self.stride}"
