"""Parts that blocks of several kinds share: activations, squeeze-and-excitation, the middle."""

from abc import abstractmethod
from typing import Annotated, Literal, Self

from pydantic import AfterValidator, Field, model_validator

from contract.blocks.kind import BlockKind
from contract.slots import Count, Slot
from contract.values import Value

Activation = Literal["relu", "relu6", "hswish", "silu"]
KernelSize = Literal[1, 3, 5, 7]


def _exact(number: float) -> float:
    if round(number, 4) != number:
        raise ValueError(f"{number} has more than four decimals")
    return number


def _whole_if_it_is(number: float) -> float:
    return int(number) if number == int(number) else number


# Four decimals, so that a name says the number exactly.
Ratio = Annotated[float, Field(gt=0, le=1), AfterValidator(_exact)]
Expansion = Annotated[
    int | float, Field(gt=0, le=1000), AfterValidator(_exact), AfterValidator(_whole_if_it_is)
]


def activation_name(activation: Activation) -> str:
    """Its part of a block's name: none for ReLU."""
    return "" if activation == "relu" else activation


class SqueezeExcite(Value):
    """Channels weighed by a gate of their means (Hu et al. 2018, arXiv:1709.01507).

    Two 1x1 convolutions on the means of all channels, down to `ratio` of the middle channels
    (`of="middle"`: MobileNetV3, arXiv:1905.02244) or of the block's input (`of="input"`: MnasNet,
    arXiv:1807.11626), in multiples of `divisor`, with a ReLU in between and `gate` at the end.
    """

    ratio: Ratio
    of: Literal["middle", "input"] = "middle"
    divisor: Literal[1, 8] = 1
    gate: Literal["sigmoid", "hsigmoid"] = "sigmoid"

    @property
    def name(self) -> str:
        """`se0.25`, and for what differs from the defaults `i`, `d8` and `h`: `se0.25d8h`."""
        return (
            f"se{self.ratio:g}"
            + ("i" if self.of == "input" else "")
            + (f"d{self.divisor}" if self.divisor > 1 else "")
            + ("h" if self.gate == "hsigmoid" else "")
        )

    def channels(self, *, in_channels: int, middle_channels: int) -> int:
        """How many channels are left between the two convolutions."""
        wide = middle_channels if self.of == "middle" else in_channels
        return multiple(wide * self.ratio, self.divisor)


def multiple(channels: float, divisor: int) -> int:
    """The nearest multiple of `divisor` that is not more than a tenth below `channels`.

    As the authors of MobileNet round (Sandler et al. 2018, arXiv:1801.04381).
    """
    rounded = max(divisor, int(channels + divisor / 2) // divisor * divisor)
    return rounded if rounded >= 0.9 * channels else rounded + divisor


class MobileBlock(BlockKind):
    """What the blocks of MobileNet and its descendants share.

    The input is added where the slot keeps its shape, unless the block has no shortcut.
    """

    activation: Activation = Field(default="relu", exclude_if=lambda it: it == "relu")
    squeeze: SqueezeExcite | None = Field(default=None, exclude_if=lambda it: it is None)
    shortcut: bool = Field(default=True, exclude_if=lambda it: it is True)

    @abstractmethod
    def middle(self, slot: Slot) -> int:
        """The channels between the block's first and its last convolution."""

    def adds_input(self, slot: Slot) -> bool:
        """Whether the block's input is added to its output in this slot."""
        return self.shortcut and slot.keeps_shape

    def squeezed(self, slot: Slot) -> int:
        """The channels between the two convolutions of the squeeze-and-excitation; 0 without."""
        if self.squeeze is None:
            return 0
        return self.squeeze.channels(
            in_channels=slot.in_channels, middle_channels=self.middle(slot)
        )

    def squeeze_params(self, slot: Slot) -> int:
        """Its weights, and as many multiply-accumulates, since each map has one pixel."""
        return 2 * self.middle(slot) * self.squeezed(slot)

    @property
    def extras(self) -> tuple[str, ...]:
        """The parts of the block's name that say how it differs from a plain one."""
        return (
            self.squeeze.name if self.squeeze is not None else "",
            activation_name(self.activation),
            "" if self.shortcut else "plain",
        )


class ExpandingBlock(MobileBlock):
    """A block whose middle has more channels than its input, by a factor or given outright."""

    expansion: Expansion | None = Field(default=None, exclude_if=lambda it: it is None)
    middle_channels: Count | None = Field(default=None, exclude_if=lambda it: it is None)

    @model_validator(mode="after")
    def _expansion_or_channels(self) -> Self:
        if (self.expansion is None) == (self.middle_channels is None):
            raise ValueError("give either expansion or middle_channels")
        return self

    @property
    def middle_name(self) -> str:
        """Its part of a block's name: `e6` by a factor, `m184` given outright."""
        if self.middle_channels is not None:
            return f"m{self.middle_channels}"
        return f"e{self.expansion}"

    def middle(self, slot: Slot) -> int:
        if self.middle_channels is not None:
            return self.middle_channels
        assert self.expansion is not None
        return max(1, round(slot.in_channels * self.expansion))
