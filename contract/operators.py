"""Operators: a block in a slot, the only thing that has a latency.

Names follow Wu et al. 2019 (FBNet, arXiv:1812.03443), table 2. Counts follow the authors'
release: weights of convolutions and fully connected layers only, no biases, no batch norms.
"""

from functools import cached_property
from typing import Annotated, Literal, Self

from pydantic import Field, model_validator

from contract.values import Value

Count = Annotated[int, Field(ge=1, le=2**20)]  # of channels, pixels and so on


class MBConv(Value):
    """Inverted residual: 1x1 expand, channel shuffle if grouped, kxk depthwise, 1x1 project.

    The first 1x1 convolution stays even at expansion 1, as in the authors' released graphs.
    """

    kind: Literal["mbconv"] = "mbconv"
    kernel_size: Literal[3, 5]
    expansion: Count
    groups: Count = 1  # of the two 1x1 convolutions

    @property
    def name(self) -> str:
        suffix = f"_g{self.groups}" if self.groups > 1 else ""
        return f"k{self.kernel_size}_e{self.expansion}{suffix}"


class Skip(Value):
    """No computation: the input is the output. Only where the slot keeps its shape."""

    kind: Literal["skip"] = "skip"

    @property
    def name(self) -> str:
        return "skip"


class Stem(Value):
    """The first 3x3 convolution, on the image."""

    kind: Literal["stem"] = "stem"

    @property
    def name(self) -> str:
        return "stem"


class Head(Value):
    """1x1 convolution to `channels`, average over all positions, fully connected layer."""

    kind: Literal["head"] = "head"
    channels: Count

    @property
    def name(self) -> str:
        return f"head{self.channels}"


Block = Annotated[MBConv | Skip | Stem | Head, Field(discriminator="kind")]


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


class Operator(Value):
    """A block in a slot. Equal operators have equal keys, in every space.

    Raises:
        ValueError: the block cannot do what the slot asks.
    """

    block: Block
    slot: Slot

    @model_validator(mode="after")
    def _block_fits_slot(self) -> Self:
        block, slot = self.block, self.slot
        if isinstance(block, Skip) and not slot.keeps_shape:
            raise ValueError(
                f"skip cannot map {slot.in_channels} channels to {slot.out_channels} at stride "
                f"{slot.stride}; use it only where the slot keeps its shape"
            )
        if isinstance(block, MBConv) and (
            slot.in_channels * block.expansion % block.groups
            or slot.in_channels % block.groups
            or slot.out_channels % block.groups
        ):
            raise ValueError(
                f"{block.name} needs channels divisible by {block.groups}, "
                f"got {slot.in_channels} in and {slot.out_channels} out"
            )
        if isinstance(block, Head) and slot.stride != slot.input_size:
            raise ValueError(
                f"a head averages all {slot.input_size}x{slot.input_size} positions, "
                f"so its stride must be {slot.input_size}, got {slot.stride}"
            )
        return self

    @cached_property
    def key(self) -> str:
        """Stable identity, unique over all spaces: ``k3_e6-16x112-24s2``."""
        return f"{self.block.name}-{self.slot.name}"

    @property
    def is_free(self) -> bool:
        """True for a skip: nothing runs, so its latency is 0 us by definition."""
        return isinstance(self.block, Skip)

    def macs(self) -> int:
        """Multiply-accumulates of one image through convolutions and fully connected layers."""
        slot = self.slot
        pixels_in, pixels_out = slot.input_size**2, slot.output_size**2
        match self.block:
            case MBConv(kernel_size=k, groups=groups):
                mid = self._mid_channels
                expand = slot.in_channels * mid // groups * pixels_in
                depthwise = k * k * mid * pixels_out
                project = mid * slot.out_channels // groups * pixels_out
                return expand + depthwise + project
            case Stem():
                return self.params() * pixels_out
            case Head(channels=channels):
                return slot.in_channels * channels * pixels_in + channels * slot.out_channels
            case Skip():
                return 0

    def params(self) -> int:
        """Weights of convolutions and fully connected layers."""
        slot = self.slot
        match self.block:
            case MBConv(kernel_size=k, groups=groups):
                mid = self._mid_channels
                pointwise = (slot.in_channels + slot.out_channels) * mid // groups
                return pointwise + k * k * mid
            case Stem():
                return 3 * 3 * slot.in_channels * slot.out_channels
            case Head(channels=channels):
                return channels * (slot.in_channels + slot.out_channels)
            case Skip():
                return 0

    @property
    def _mid_channels(self) -> int:
        assert isinstance(self.block, MBConv)
        return self.slot.in_channels * self.block.expansion
