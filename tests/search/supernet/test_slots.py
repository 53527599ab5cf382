"""A slot trains whatever its candidates are built as, and refuses a block that nobody knows."""

from typing import Any, cast

import pytest
import torch
from torch import Tensor, nn

from contract.blocks import MBConv, Skip, Stem
from contract.operators import Operator
from contract.slots import Slot
from search.supernet.blocks import build
from search.supernet.branches import PlainBranch
from search.supernet.slots import MixedSlot

SLOT = Slot(in_channels=4, out_channels=4, input_size=6, stride=1)
OPERATORS = [
    Operator(block=block, slot=SLOT)
    for block in (MBConv(kernel_size=3, expansion=3), Stem(), Skip())
]
X_BCHW = torch.randn(5, 4, 6, 6, generator=torch.Generator().manual_seed(3))
WEIGHT_K = torch.tensor([0.5, 0.3, 0.2])


class Toy(nn.Module):
    """A block with a shortcut of its own, which the slot knows nothing of."""

    def __init__(self) -> None:
        super().__init__()
        self.conv = nn.Conv2d(4, 4, 3, padding=1)
        self.runs = 0

    def forward(self, x_BCHW: Tensor) -> Tensor:
        self.runs += 1
        y_BCHW: Tensor = self.conv(x_BCHW)
        return x_BCHW + y_BCHW.sigmoid()


class ToyBlock:
    """None of the contract's blocks."""

    kind = "toy"
    name = "toy"


def slot_of(toy: Toy) -> MixedSlot:
    """An inverted residual, the toy where a block of another kind belongs, and a skip."""
    torch.manual_seed(0)
    first, _, last = OPERATORS
    slot = MixedSlot(OPERATORS, [build(first), toy, build(last)], [3.0, 2.0, 0.0])
    for parameter in slot.candidates[0].parameters():
        if parameter.dim() == 1:
            parameter.data.uniform_(0.5, 1.5)
    return slot


def mixed(slot: MixedSlot, weight_K: Tensor) -> Tensor:
    outputs = [candidate(X_BCHW) for candidate in slot.candidates]
    return torch.stack([w * y for w, y in zip(weight_K, outputs, strict=True)]).sum(dim=0)


@pytest.mark.parametrize("recompute", [False, True])
def test_a_module_without_a_faster_way_is_mixed_as_it_is(recompute: bool) -> None:
    slot = slot_of(Toy())
    torch.testing.assert_close(slot(X_BCHW, WEIGHT_K, recompute), mixed(slot, WEIGHT_K))
    for index, candidate in enumerate(slot.candidates):
        torch.testing.assert_close(slot.along(X_BCHW, index, recompute), candidate(X_BCHW))


@pytest.mark.parametrize("recompute", [False, True])
def test_a_module_without_a_faster_way_learns_and_so_does_its_weight(recompute: bool) -> None:
    toy = Toy()
    slot, weight_K = slot_of(toy), WEIGHT_K.clone().requires_grad_()
    parameters = (weight_K, *toy.parameters(), *slot.candidates[0].parameters())
    expected = torch.autograd.grad((mixed(slot, weight_K) ** 3).sum(), parameters)
    toy.runs = 0
    output_BCHW = slot(X_BCHW, weight_K, recompute)
    ours = torch.autograd.grad((output_BCHW**3).sum(), parameters)
    assert toy.runs == (2 if recompute else 1)
    for one, other in zip(ours, expected, strict=True):
        torch.testing.assert_close(one, other, rtol=1e-4, atol=1e-5)


def test_a_slot_of_plain_modules_alone_adds_no_input() -> None:
    torch.manual_seed(0)
    stems = [Operator(block=Stem(), slot=SLOT)] * 2
    slot = MixedSlot(stems, map(build, stems), [1.0, 2.0])
    weight_K = torch.tensor([0.25, 0.75])
    assert all(isinstance(branch, PlainBranch) for branch in slot.branches)
    torch.testing.assert_close(slot(X_BCHW, weight_K, False), mixed(slot, weight_K))


def test_a_block_that_nobody_knows_is_an_error_and_no_skip() -> None:
    unknown = cast(Any, ToyBlock())
    with pytest.raises(AssertionError, match="unreachable"):
        build(Operator.model_construct(block=unknown, slot=SLOT))
