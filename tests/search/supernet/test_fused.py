"""Shape suffixes: B batch, C channels, H height, W width."""

from typing import NamedTuple

import pytest
import torch
from torch import Tensor, nn

from contract.blocks import MBConv
from contract.slots import Slot
from contract.spaces import space
from search.supernet.blocks.mobile import InvertedResidual
from search.supernet.fused import Weights, branch

BLOCKS = [block for block in space("fbnet-32").blocks if isinstance(block, MBConv)]
SLOTS = [
    Slot(in_channels=4, out_channels=4, input_size=6, stride=1),
    Slot(in_channels=4, out_channels=8, input_size=6, stride=1),
    Slot(in_channels=4, out_channels=8, input_size=7, stride=2),
]


class Case(NamedTuple):
    block: InvertedResidual
    x_BCHW: Tensor
    gate: Tensor


def case(block: MBConv, slot: Slot, dtype: torch.dtype = torch.float64) -> Case:
    """A block whose batch norms scale and shift, images, and a gate."""
    torch.manual_seed(1)
    module = InvertedResidual(block, slot)
    for parameter in module.parameters():
        if parameter.dim() == 1:
            parameter.data = torch.rand_like(parameter) + 0.2
    x_BCHW = torch.randn(5, slot.in_channels, slot.input_size, slot.input_size, dtype=dtype)
    return Case(
        module.to(dtype), x_BCHW.requires_grad_(), torch.tensor(0.3, dtype=dtype).requires_grad_()
    )


def weights(block: InvertedResidual) -> Weights:
    """Its convolutions' own."""
    expand, depthwise, project = block.expand[0], block.depthwise[0], block.project[0]
    assert isinstance(expand, nn.Conv2d)
    assert isinstance(depthwise, nn.Conv2d)
    assert isinstance(project, nn.Conv2d)
    return expand.weight, depthwise.weight, project.weight


def plain(block: InvertedResidual, x_BCHW: Tensor) -> Tensor:
    """What the block computes beside its shortcut, layer by layer."""
    y_BCHW: Tensor = block.project(block.depthwise(block.shuffle(block.expand(x_BCHW))))
    return y_BCHW


def gradients(output_BCHW: Tensor, case: Case) -> list[Tensor]:
    """Of everything there is, for an output that counts more in some places than in others."""
    generator = torch.Generator().manual_seed(2)
    weight_BCHW = torch.randn(output_BCHW.shape, generator=generator)
    total = (output_BCHW * weight_BCHW.to(output_BCHW.dtype)).sum()
    return list(torch.autograd.grad(total, (case.x_BCHW, case.gate, *case.block.parameters())))


@pytest.mark.parametrize("recompute", [False, True])
@pytest.mark.parametrize("slot", SLOTS, ids=["same", "wider", "stride2"])
@pytest.mark.parametrize("block", BLOCKS, ids=lambda block: block.name)
def test_a_branch_is_the_block_without_its_shortcut(
    block: MBConv, slot: Slot, recompute: bool
) -> None:
    one = case(block, slot)
    expected_BCHW = one.gate * plain(one.block, one.x_BCHW)
    output_BCHW = branch(
        one.block, weights(one.block), one.x_BCHW, gate=one.gate, recompute=recompute
    )
    torch.testing.assert_close(output_BCHW, expected_BCHW)
    for ours, theirs in zip(
        gradients(output_BCHW, one), gradients(expected_BCHW, one), strict=True
    ):
        torch.testing.assert_close(ours, theirs)


@pytest.mark.parametrize("recompute", [False, True])
def test_a_branch_needs_no_gate_and_takes_any_memory_format(recompute: bool) -> None:
    one = case(BLOCKS[1], SLOTS[0])
    x_BCHW = one.x_BCHW.detach().contiguous(memory_format=torch.channels_last)
    output_BCHW = branch(one.block, weights(one.block), x_BCHW, recompute=recompute)
    torch.testing.assert_close(output_BCHW, plain(one.block, one.x_BCHW))


@pytest.mark.parametrize("recompute", [False, True])
@pytest.mark.parametrize("block", [BLOCKS[1], BLOCKS[7]], ids=lambda block: block.name)
def test_half_precision_is_near_and_the_weights_learn_in_full(
    block: MBConv, recompute: bool
) -> None:
    one = case(block, SLOTS[0], torch.float32)
    expected_BCHW = one.gate * plain(one.block, one.x_BCHW)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        output_BCHW = branch(
            one.block, weights(one.block), one.x_BCHW, gate=one.gate, recompute=recompute
        )
    assert output_BCHW.dtype == torch.bfloat16
    assert distance(output_BCHW, expected_BCHW) < 0.05
    for ours, theirs in zip(
        gradients(output_BCHW, one), gradients(expected_BCHW, one), strict=True
    ):
        assert ours.dtype == torch.float32
        assert distance(ours, theirs) < 0.2


@pytest.mark.parametrize("recompute", [False, True])
def test_weights_that_do_not_learn_get_no_gradient(recompute: bool) -> None:
    one = case(BLOCKS[3], SLOTS[0])
    expected = gradients(one.gate * plain(one.block, one.x_BCHW), one)[1]
    one.block.requires_grad_(False)
    one.x_BCHW.requires_grad_(False)
    output_BCHW = branch(
        one.block, weights(one.block), one.x_BCHW, gate=one.gate, recompute=recompute
    )
    generator = torch.Generator().manual_seed(2)
    weight_BCHW = torch.randn(output_BCHW.shape, generator=generator).double()
    torch.autograd.backward((output_BCHW * weight_BCHW).sum())
    assert one.gate.grad is not None
    torch.testing.assert_close(one.gate.grad, expected)
    assert one.x_BCHW.grad is None
    assert all(parameter.grad is None for parameter in one.block.parameters())


def distance(ours: Tensor, theirs: Tensor) -> float:
    """How far apart, as a share of how large they are."""
    difference = ours.detach().float() - theirs.detach()
    return float(difference.norm() / theirs.detach().norm())
