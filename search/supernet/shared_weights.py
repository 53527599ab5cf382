"""Inverted residuals of one slot that have weights in common.

The smaller ones take the first channels and the middle of the kernels of the largest (Yu et al.
2020, "BigNAS", arXiv:2003.11142, section 3.1). So every step trains most of a slot, not one
candidate of nine; each keeps its own batch norms.
"""

from collections.abc import Sequence

from torch import nn

from contract.blocks import MBConv
from contract.operators import Operator
from search.supernet.blocks.mobile import InvertedResidual
from search.supernet.fused import Weights, is_fused


def owners_of(operators: Sequence[Operator]) -> dict[int, int]:
    """Whose weights a candidate takes a part of, by index; those with their own are left out."""
    families: dict[tuple[int, int], list[tuple[int, int, int]]] = {}
    for index, operator in enumerate(operators):
        block = operator.block
        if isinstance(block, MBConv) and is_fused(block):
            middle = block.middle(operator.slot)
            # The first channels of a wider grouped convolution lie in one group alone.
            family = (block.groups, middle if block.groups > 1 else 0)
            size = (middle, block.kernel_size, index)
            families.setdefault(family, []).append(size)
    owners = {}
    for sizes in families.values():
        *_, owner = max(sizes)
        owners.update({index: owner for *_, index in sizes if index != owner})
    return owners


def drop_weights(candidate: nn.Module) -> None:
    """Leave an inverted residual without the weights that it is to share."""
    assert isinstance(candidate, InvertedResidual)
    for conv in _convolutions(candidate):
        conv.register_parameter("weight", None)


def weights_of(candidate: InvertedResidual, owner: InvertedResidual) -> Weights:
    """Those of a candidate's three convolutions: its own, or a part of its owner's."""
    expand, depthwise, project = _convolutions(owner)
    if candidate is owner:
        return expand.weight, depthwise.weight, project.weight
    middle = _convolutions(candidate)[1]
    channels, size = middle.out_channels, middle.kernel_size[0]
    edge = (depthwise.kernel_size[0] - size) // 2
    inside = slice(edge, edge + size)
    return (
        expand.weight[:channels],
        depthwise.weight[:channels, :, inside, inside],
        project.weight[:, : channels // project.groups],
    )


def _convolutions(block: InvertedResidual) -> list[nn.Conv2d]:
    convolutions = [stage[0] for stage in (block.expand, block.depthwise, block.project)]
    return [conv for conv in convolutions if isinstance(conv, nn.Conv2d)]
