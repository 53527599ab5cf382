"""Multiply-accumulates and parameters equal the authors' published counts, exactly."""

import pytest

from contract.blocks import MBConv
from contract.networks import NETWORK_NAMES, network, published
from contract.operators import Operator
from contract.slots import Slot
from contract.spaces import space

# FBNet release (facebookresearch/mobile-vision), convolution and FC weights only.
GOLDEN = {
    "fbnet-a": (4_286_480, 249_921_848),
    "fbnet-b": (4_778_640, 296_614_728),
    "fbnet-c": (5_526_832, 384_960_160),
    "fbnet-s8": (4_431_040, 292_922_680),
    "fbnet-iphonex": (4_471_376, 321_798_968),
    "fbnet-96-0.35-1": (1_833_968, 12_944_208),
}


@pytest.mark.parametrize("name", NETWORK_NAMES)
def test_published_networks_have_the_published_counts(name: str) -> None:
    found = published(name)
    assert (found.params(), found.macs()) == GOLDEN[name]


def test_the_first_release_of_a_had_kernel_3_in_layers_12_and_15() -> None:
    blocks = list(published("fbnet-a").blocks)
    blocks[11] = blocks[14] = "k3_e1_g2"
    found = network(blocks, space=space("fbnet-224"), head_channels=1504)
    assert (found.params(), found.macs()) == (4_283_664, 249_369_912)


def test_counts_of_one_operator_by_hand() -> None:
    slot = Slot(in_channels=16, out_channels=24, input_size=112, stride=2)
    operator = Operator(block=MBConv(kernel_size=5, expansion=6), slot=slot)
    assert operator.params() == 16 * 96 + 25 * 96 + 96 * 24
    assert operator.macs() == 16 * 96 * 112**2 + 25 * 96 * 56**2 + 96 * 24 * 56**2
