"""How a slot runs its candidates: what each adds to the input, or puts in its place.

Shape suffixes: B batch, C channels, H height, W width.
"""

from collections.abc import Callable
from typing import Protocol, assert_never

from torch import Tensor, nn
from torch.utils.checkpoint import checkpoint

from contract.blocks import (
    AnyBlock,
    BasicResidual,
    BottleneckResidual,
    Conv,
    FusedMBConv,
    Head,
    MBConv,
    Separable,
    ShuffleUnit,
    Skip,
    Stem,
)
from search.supernet.blocks import InvertedResidual
from search.supernet.fused import branch
from search.supernet.shared_weights import weights_of


class Branch(Protocol):
    """A candidate as a slot runs it; its output does not contain its shortcut."""

    adds_input: bool  # whether it has a shortcut, which the slot adds

    def __call__(self, x_BCHW: Tensor, *, gate: Tensor | None, recompute: bool) -> Tensor:
        """The output, times the gate; with `recompute` it runs again in the backward pass."""
        ...


class PlainBranch:
    """Any module as it is: whatever it adds to its input is its own affair."""

    adds_input = False

    def __init__(self, candidate: nn.Module) -> None:
        self.candidate = candidate

    def __call__(self, x_BCHW: Tensor, *, gate: Tensor | None, recompute: bool) -> Tensor:
        output_BCHW: Tensor = (
            checkpoint(self.candidate, x_BCHW, use_reentrant=False)
            if recompute
            else self.candidate(x_BCHW)
        )
        return output_BCHW if gate is None else output_BCHW * gate


class FusedBranch:
    """An inverted residual as one autograd function, with its own weights or its owner's."""

    def __init__(self, candidate: InvertedResidual, owner: InvertedResidual) -> None:
        self.adds_input = candidate.adds_input
        self.candidate = candidate
        self.owner = owner

    def __call__(self, x_BCHW: Tensor, *, gate: Tensor | None, recompute: bool) -> Tensor:
        weights = weights_of(self.candidate, self.owner)
        return branch(self.candidate, weights, x_BCHW, gate=gate, recompute=recompute)


def branch_of(block: AnyBlock, candidate: nn.Module, owner: nn.Module) -> Branch | None:
    """How to run the module that was built for a block; None where nothing is computed.

    `owner` is the candidate that holds its weights: itself, unless it shares a larger one's.
    """
    match block:
        case Skip():
            return None
        case (
            MBConv()
            | FusedMBConv()
            | Separable()
            | Conv()
            | ShuffleUnit()
            | BasicResidual()
            | BottleneckResidual()
            | Stem()
            | Head()
        ):
            fuse = FUSED.get(type(candidate))
            return PlainBranch(candidate) if fuse is None else fuse(candidate, owner)
        case unknown:
            assert_never(unknown)


def _fused_inverted_residual(candidate: nn.Module, owner: nn.Module) -> Branch:
    assert isinstance(candidate, InvertedResidual)
    assert isinstance(owner, InvertedResidual)
    return FusedBranch(candidate, owner)


# The modules that have a faster way to train than their own forward pass.
FUSED: dict[type[nn.Module], Callable[[nn.Module, nn.Module], Branch]] = {
    InvertedResidual: _fused_inverted_residual,
}
