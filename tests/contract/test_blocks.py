"""Kinds of blocks: their names, what they refuse, and counts of networks made of them.

The counts are those of whole networks as their authors or torchvision and timm publish them: all
parameters, so that batch norms and biases are added to the weights that a block counts.
"""

from collections.abc import Iterator
from typing import Any, get_args

import pytest
from pydantic import TypeAdapter, ValidationError

from contract.blocks import (
    AnyBlock,
    BasicResidual,
    Block,
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
from contract.blocks.parts import MobileBlock, SqueezeExcite
from contract.operators import Operator
from contract.slots import Slot

SLOT = Slot(in_channels=16, out_channels=24, input_size=56, stride=2)
V3 = SqueezeExcite(ratio=0.25, divisor=8, gate="hsigmoid")
A1 = SqueezeExcite(ratio=0.25, of="input")

EXAMPLES: dict[str, AnyBlock] = {
    "k3_e6": MBConv(kernel_size=3, expansion=6),
    "k5_e1_g2": MBConv(kernel_size=5, expansion=1, groups=2),
    "k7_e2.3": MBConv(kernel_size=7, expansion=2.3),
    "k3_m184_hswish": MBConv(kernel_size=3, middle_channels=184, activation="hswish"),
    "k5_m672_se0.25d8h_hswish": MBConv(
        kernel_size=5, middle_channels=672, activation="hswish", squeeze=V3
    ),
    "k3_e6_se0.25i_relu6_plain": MBConv(
        kernel_size=3, expansion=6, activation="relu6", squeeze=A1, shortcut=False
    ),
    "fused3_e4_silu": FusedMBConv(kernel_size=3, expansion=4, activation="silu"),
    "sep3_plain": Separable(kernel_size=3, shortcut=False),
    "conv1_hswish": Conv(kernel_size=1, activation="hswish"),
    "conv3_g2": Conv(kernel_size=3, groups=2),
    "shuffle3": ShuffleUnit(),
    "basic": BasicResidual(),
    "bottleneck": BottleneckResidual(),
    "stem": Stem(),
    "head1504": Head(channels=1504),
    "head960_h1280_hswish": Head(channels=960, hidden=1280, activation="hswish"),
    "head": Head(),
    "skip": Skip(),
}


def test_names_are_pinned_and_every_kind_has_one() -> None:
    """Stored in every database, as the first part of a key."""
    assert {name: block.name for name, block in EXAMPLES.items()} == {
        name: name for name in EXAMPLES
    }
    assert {type(block) for block in EXAMPLES.values()} == set(get_args(AnyBlock))


@pytest.mark.parametrize("block", EXAMPLES.values(), ids=EXAMPLES)
def test_a_block_survives_the_wire(block: AnyBlock) -> None:
    adapter: TypeAdapter[AnyBlock] = TypeAdapter(Block)
    assert adapter.validate_json(block.model_dump_json()) == block


def test_a_block_of_the_first_edition_is_written_as_then() -> None:
    assert MBConv(kernel_size=3, expansion=6).model_dump() == {
        "kind": "mbconv",
        "kernel_size": 3,
        "expansion": 6,
        "groups": 1,
    }
    assert Head(channels=1504).model_dump() == {"kind": "head", "channels": 1504}


def test_a_whole_factor_is_one_however_it_is_written() -> None:
    assert MBConv(kernel_size=3, expansion=6.0) == MBConv(kernel_size=3, expansion=6)
    assert MBConv(kernel_size=3, expansion=6.0).name == "k3_e6"


@pytest.mark.parametrize(
    ("fields", "words"),
    [
        ({"kernel_size": 3}, "either expansion or middle_channels"),
        ({"kernel_size": 3, "expansion": 2, "middle_channels": 8}, "either expansion or"),
        ({"kernel_size": 4, "expansion": 2}, "kernel_size"),
        ({"kernel_size": 3, "expansion": 2.33333}, "more than four decimals"),
        ({"kernel_size": 3, "expansion": 0}, "greater than 0"),
        ({"kernel_size": 3, "expansion": 1, "activation": "swish"}, "activation"),
        ({"kernel_size": 3, "expansion": 1, "squeeze": {"ratio": 0}}, "squeeze.ratio"),
    ],
)
def test_what_is_no_block_is_refused(fields: dict[str, Any], words: str) -> None:
    with pytest.raises(ValidationError) as caught:
        MBConv.model_validate(fields)
    places = [".".join(map(str, error["loc"])) for error in caught.value.errors()]
    assert words in str(caught.value) or words in places


@pytest.mark.parametrize(
    ("block", "slot", "words"),
    [
        (ShuffleUnit(), SLOT.evolve(out_channels=23), "even number"),
        (BottleneckResidual(), SLOT.evolve(out_channels=26), "divisible by 4"),
        (Conv(kernel_size=3, groups=5), SLOT, "divisible by 5"),
        (MBConv(kernel_size=3, middle_channels=25, groups=2), SLOT, "divisible by 2"),
        (Head(channels=8), SLOT, "its stride must be 56"),
        (Skip(), SLOT, "skip cannot map 16 channels to 24"),
    ],
)
def test_a_block_that_does_not_fit_says_why(block: AnyBlock, slot: Slot, words: str) -> None:
    with pytest.raises(ValidationError, match=words):
        Operator(block=block, slot=slot)


def chain(
    resolution: int, blocks: list[tuple[AnyBlock, int, int]], head: Head, classes: int = 1000
) -> Iterator[Operator]:
    """Operators of (block, output channels, stride), then the head."""
    channels, size = 3, resolution
    for block, out_channels, stride in blocks:
        slot = Slot(
            in_channels=channels, out_channels=out_channels, input_size=size, stride=stride
        )
        yield Operator(block=block, slot=slot)
        channels, size = out_channels, slot.output_size
    slot = Slot(in_channels=channels, out_channels=classes, input_size=size, stride=size)
    yield Operator(block=head, slot=slot)


def all_params(operator: Operator) -> int:
    """With the scales and offsets of batch norms, and the biases of what has no batch norm."""
    block, slot = operator.block, operator.slot
    match block:
        case MobileBlock():
            expands = not isinstance(block, Separable)
            middle, squeezed = block.middle(slot), block.squeezed(slot)
            normed = 2 * (middle * (2 if expands else 1) + slot.out_channels)
            more = normed + (squeezed + middle if squeezed else 0)
        case Head():
            more = 2 * (block.channels or 0) + (block.hidden or 0) + slot.out_channels
        case BasicResidual():
            more = 2 * slot.out_channels * (2 if slot.keeps_shape else 3)
        case BottleneckResidual():
            more = 4 * block.middle(slot) + 2 * slot.out_channels * (1 if slot.keeps_shape else 2)
        case ShuffleUnit():
            more = 6 * block.half(slot)
            if not slot.keeps_shape:
                more += 2 * slot.in_channels + 2 * block.half(slot)
        case _:
            more = 2 * slot.out_channels
    return operator.params() + more


def mobilenet_v3_large() -> list[Operator]:
    """Howard et al. 2019 (arXiv:1905.02244), table 1."""

    def bneck(
        kernel: Any, middle: int, out: int, stride: int, squeeze: SqueezeExcite | None, act: Any
    ) -> tuple[AnyBlock, int, int]:
        block = MBConv(kernel_size=kernel, middle_channels=middle, activation=act, squeeze=squeeze)
        return block, out, stride

    blocks: list[tuple[AnyBlock, int, int]] = [
        (Conv(kernel_size=3, activation="hswish"), 16, 2),
        (Separable(kernel_size=3), 16, 1),
        bneck(3, 64, 24, 2, None, "relu"),
        bneck(3, 72, 24, 1, None, "relu"),
        bneck(5, 72, 40, 2, V3, "relu"),
        bneck(5, 120, 40, 1, V3, "relu"),
        bneck(5, 120, 40, 1, V3, "relu"),
        bneck(3, 240, 80, 2, None, "hswish"),
        bneck(3, 200, 80, 1, None, "hswish"),
        bneck(3, 184, 80, 1, None, "hswish"),
        bneck(3, 184, 80, 1, None, "hswish"),
        bneck(3, 480, 112, 1, V3, "hswish"),
        bneck(3, 672, 112, 1, V3, "hswish"),
        bneck(5, 672, 160, 2, V3, "hswish"),
        bneck(5, 960, 160, 1, V3, "hswish"),
        bneck(5, 960, 160, 1, V3, "hswish"),
    ]
    return list(chain(224, blocks, Head(channels=960, hidden=1280, activation="hswish")))


def mnasnet_a1() -> list[Operator]:
    """Tan et al. 2019 (arXiv:1807.11626), figure 7 a."""
    stages: list[tuple[AnyBlock, int, int, int]] = [
        (Conv(kernel_size=3), 32, 1, 2),
        (Separable(kernel_size=3, shortcut=False), 16, 1, 1),
        (MBConv(kernel_size=3, expansion=6), 24, 2, 2),
        (MBConv(kernel_size=5, expansion=3, squeeze=A1), 40, 3, 2),
        (MBConv(kernel_size=3, expansion=6), 80, 4, 2),
        (MBConv(kernel_size=3, expansion=6, squeeze=A1), 112, 2, 1),
        (MBConv(kernel_size=5, expansion=6, squeeze=A1), 160, 3, 2),
        (MBConv(kernel_size=3, expansion=6), 320, 1, 1),
    ]
    blocks = [
        (block, out, stride if layer == 0 else 1)
        for block, out, layers, stride in stages
        for layer in range(layers)
    ]
    return list(chain(224, blocks, Head(channels=1280)))


def resnet_without_its_first_layers(
    block: AnyBlock, depths: list[int], width: int
) -> list[Operator]:
    """He et al. 2015 (arXiv:1512.03385), table 1, from conv2_x on."""
    slots: list[Operator] = []
    channels, size = 64, 56
    for number, depth in enumerate(depths):
        for layer in range(depth):
            slot = Slot(
                in_channels=channels,
                out_channels=width * 2**number,
                input_size=size,
                stride=2 if number and layer == 0 else 1,
            )
            slots.append(Operator(block=block, slot=slot))
            channels, size = slot.out_channels, slot.output_size
    head = Slot(in_channels=channels, out_channels=1000, input_size=size, stride=size)
    return [*slots, Operator(block=Head(), slot=head)]


RESNETS_FIRST = 7 * 7 * 3 * 64 + 2 * 64  # parameters of a 7x7 convolution and its batch norm


def shufflenet_v2() -> list[Operator]:
    """Ma et al. 2018 (arXiv:1807.11164), table 5, 1x, from stage 2 on."""
    found: list[Operator] = []
    channels, size = 24, 56
    for out, depth in ((116, 4), (232, 8), (464, 4)):
        for layer in range(depth):
            slot = Slot(
                in_channels=channels,
                out_channels=out,
                input_size=size,
                stride=2 if layer == 0 else 1,
            )
            found.append(Operator(block=ShuffleUnit(), slot=slot))
            channels, size = out, slot.output_size
    head = Slot(in_channels=channels, out_channels=1000, input_size=size, stride=size)
    return [*found, Operator(block=Head(channels=1024), slot=head)]


SHUFFLENETS_FIRST = 3 * 3 * 3 * 24 + 2 * 24


@pytest.mark.parametrize(
    ("operators", "first", "params"),
    [
        (mobilenet_v3_large(), 0, 5_483_032),
        (mnasnet_a1(), 0, 3_887_038),
        (
            resnet_without_its_first_layers(BasicResidual(), [2, 2, 2, 2], 64),
            RESNETS_FIRST,
            11_689_512,
        ),
        (
            resnet_without_its_first_layers(BottleneckResidual(), [3, 4, 6, 3], 256),
            RESNETS_FIRST,
            25_557_032,
        ),
        (shufflenet_v2(), SHUFFLENETS_FIRST, 2_278_604),
    ],
    ids=["MobileNetV3-Large", "MnasNet-A1", "ResNet-18", "ResNet-50", "ShuffleNetV2"],
)
def test_networks_of_others_have_their_published_parameters(
    operators: list[Operator], first: int, params: int
) -> None:
    assert first + sum(map(all_params, operators)) == params


def test_multiply_accumulates_are_those_of_the_papers() -> None:
    """In millions, as they are published: 219 and 312 with batch norms or biases and rounding."""
    assert sum(each.macs() for each in mobilenet_v3_large()) == pytest.approx(217e6, abs=0.5e6)
    assert sum(each.macs() for each in mnasnet_a1()) == pytest.approx(312e6, abs=2e6)
