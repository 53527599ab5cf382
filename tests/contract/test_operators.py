"""Operators: keys that never change, and shapes that cannot be built."""

import pytest
from pydantic import ValidationError

from contract.blocks import Head, MBConv, Skip, Stem
from contract.operators import Operator
from contract.slots import Slot
from contract.spaces import SPACE_NAMES, space

SLOT = Slot(in_channels=16, out_channels=24, input_size=112, stride=2)


def test_keys_are_pinned() -> None:
    # Stored in every database: change one only with a migration that rewrites the rows.
    keys = {
        "k3_e6-16x112-24s2": Operator(block=MBConv(kernel_size=3, expansion=6), slot=SLOT),
        "k5_e1_g2-16x112-24s2": Operator(
            block=MBConv(kernel_size=5, expansion=1, groups=2), slot=SLOT
        ),
        "stem-3x224-16s2": space("fbnet-224").stem,
        "head1504-352x7-1000s7": space("fbnet-224").head,
        "skip-24x56-24s1": Operator(
            block=Skip(), slot=Slot(in_channels=24, out_channels=24, input_size=56, stride=1)
        ),
    }
    assert {key: operator.key for key, operator in keys.items()} == {key: key for key in keys}


def test_over_all_spaces_different_operators_have_different_keys() -> None:
    operators = {operator for name in SPACE_NAMES for operator in space(name).operators}
    assert len({operator.key for operator in operators}) == len(operators)
    assert len(operators) > 1000


def test_an_operator_survives_the_wire() -> None:
    for operator in space("fbnet-32").operators:
        assert Operator.model_validate_json(operator.model_dump_json()) == operator


@pytest.mark.parametrize(
    ("block", "slot", "message"),
    [
        (Skip(), SLOT, "skip cannot map 16 channels to 24 at stride 2"),
        (
            MBConv(kernel_size=3, expansion=1, groups=2),
            Slot(in_channels=15, out_channels=24, input_size=8, stride=1),
            "needs channels divisible by 2, got 15 in and 24 out",
        ),
        (Head(channels=8), SLOT, "its stride must be 112, got 2"),
    ],
)
def test_a_block_that_does_not_fit_its_slot_is_refused(
    block: Skip | MBConv | Head, slot: Slot, message: str
) -> None:
    with pytest.raises(ValidationError, match=message):
        Operator(block=block, slot=slot)


def test_only_skip_is_free() -> None:
    assert not Operator(block=Stem(), slot=SLOT).is_free
    same = Slot(in_channels=16, out_channels=16, input_size=8, stride=1)
    skip = Operator(block=Skip(), slot=same)
    assert (skip.is_free, skip.macs(), skip.params()) == (True, 0, 0)
