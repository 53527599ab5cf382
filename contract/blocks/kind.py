"""What every kind of block promises."""

from abc import abstractmethod

from contract.slots import Slot
from contract.values import Value


class BlockKind(Value):
    """A block: what may be chosen for a slot, whatever its shape.

    Counts are of convolutions and fully connected layers alone: no biases, no batch norms, no
    activations, no pooling.
    """

    @property
    @abstractmethod
    def name(self) -> str:
        """Unique among all blocks of all kinds; the first part of an operator's key."""

    @abstractmethod
    def misfit(self, slot: Slot) -> str | None:
        """Why the block cannot fill the slot; None if it can."""

    @abstractmethod
    def macs(self, slot: Slot) -> int:
        """Multiply-accumulates of one image."""

    @abstractmethod
    def params(self, slot: Slot) -> int:
        """Weights."""

    @property
    def is_free(self) -> bool:
        """True where nothing runs, so that the latency is 0 us by definition."""
        return False


def joined(*parts: str) -> str:
    """A block's name of those of its parts that are not empty."""
    return "_".join(part for part in parts if part)


def conv_macs(
    in_channels: int, out_channels: int, *, size: int, kernel_size: int = 1, groups: int = 1
) -> int:
    """Multiply-accumulates of a convolution whose output has `size` x `size` pixels."""
    return size * size * kernel_size**2 * in_channels * out_channels // groups


def conv_params(
    in_channels: int, out_channels: int, *, kernel_size: int = 1, groups: int = 1
) -> int:
    """Weights of a convolution."""
    return conv_macs(in_channels, out_channels, size=1, kernel_size=kernel_size, groups=groups)
