"""How a slot runs its candidates: what each adds to the input, or puts in its place.

Shape suffixes: B batch, C channels, H height, W width.
"""

from typing import Protocol

from torch import Tensor, nn
from torch.utils.checkpoint import checkpoint

from contract.blocks import AnyBlock
from search.supernet.blocks.mobile import InvertedResidual
from search.supernet.fused import branch, is_fused
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
    if block.is_free:
        return None
    if not is_fused(block):
        return PlainBranch(candidate)
    assert isinstance(candidate, InvertedResidual)
    assert isinstance(owner, InvertedResidual)
    return FusedBranch(candidate, owner)
