"""How tables of ProxylessNAS and Once-for-All spell operators, and which of ours they mean.

Keys are spelled as in ProxylessNAS (Cai et al. 2019, arXiv:1812.00332), which gives the expansion
as a ratio; tables of Once-for-All (arXiv:1908.09791) give the channels in the middle and add
`se` (squeeze and excitation) and `hs` (hard swish). ProxylessNAS' keys tell no activation, so a
key may mean several operators of ours.

What those projects do not have is spelled so that none of their readers takes it for theirs:
`groups:2`; `relu:6`; `pointwise:1` for a block of expansion 1 that keeps its first 1x1
convolution, which theirs leaves out; `Head`, whose parts were not timed alone; and for whatever
else, our own key.
"""

import re
from collections.abc import Iterator, Mapping, Sequence
from itertools import product
from typing import Any, NamedTuple

from contract.blocks import Conv, Head, MBConv, Separable, Stem
from contract.blocks.parts import Activation, MobileBlock, SqueezeExcite
from contract.operators import Operator
from contract.slots import Slot
from server.imports.operators import Unmapped, Vocabulary

# MobileNetV3's, which Once-for-All has.
SQUEEZE = SqueezeExcite(ratio=0.25, divisor=8, gate="hsigmoid")
_MARKS: dict[Activation, str] = {"relu": "", "relu6": "-relu:6", "hswish": "-hs:1"}
_KEY = re.compile(
    r"(?P<layer>[A-Za-z0-9_]+?)-input:(?P<input>[0-9x]{1,30})-output:(?P<output>[0-9x]{1,30})"
    r"(?P<rest>(-[a-z_]{1,20}:[0-9]{1,6})*)"
)


class Key(NamedTuple):
    """A key's parts, as they are written."""

    layer: str
    shape_in: tuple[int, ...]
    shape_out: tuple[int, ...]
    more: Mapping[str, int]


def parsed(name: str) -> Key:
    """The key's parts.

    Raises:
        Unmapped: it is no key of such a table.
    """
    match = _KEY.fullmatch(name)
    if match is None:
        raise Unmapped("the key is not of the form LAYER-input:HxWxC-output:HxWxC-...")
    parts = (part.split(":") for part in match["rest"].split("-") if part)
    more = {field: int(value) for field, value in parts}
    return Key(match["layer"], _shape(match["input"]), _shape(match["output"]), more)


def name_of(operator: Operator) -> str:
    """The operator's key in such a table."""
    block, slot = operator.block, operator.slot
    size_in, size_out = slot.input_size, slot.output_size
    shapes = (
        f"input:{size_in}x{size_in}x{slot.in_channels}"
        f"-output:{size_out}x{size_out}x{slot.out_channels}"
    )
    whole = f"input:{size_in}x{size_in}x{slot.in_channels}-output:{slot.out_channels}"
    match block:
        case MBConv() if isinstance(block.expansion, int) and _is_theirs(block):
            return f"expanded_conv-{shapes}-{_mbconv(block, slot)}"
        case Separable() if block.squeeze is None and _is_theirs(block):
            stated = f"expand:1-kernel:{block.kernel_size}-stride:{slot.stride}"
            end = f"-idskip:{int(block.adds_input(slot))}{_MARKS[block.activation]}"
            return f"expanded_conv-{shapes}-{stated}{end}"
        case Head(channels=int(), activation=activation) if activation in _MARKS:
            hidden = f"-hidden:{block.hidden}" if block.hidden else ""
            return f"Head-{whole}-channels:{block.channels}{hidden}{_MARKS[activation]}"
        case Stem():
            return f"Conv-{shapes}"
        case Conv(kernel_size=3, groups=1, activation="relu6" | "hswish" as activation):
            return f"Conv-{shapes}{_MARKS[activation]}"
    return operator.key


def operators_of(name: str, vocabulary: Vocabulary) -> tuple[Operator, ...]:
    """The operators that an entry may be about, the likeliest first.

    Raises:
        Unmapped: none of ours; the message says why.
    """
    ours = vocabulary.operators.get(name)
    if ours is not None:
        return (ours,)
    key = parsed(name)
    size, channels = _square(key.shape_in), key.shape_in[-1]
    if key.layer == "Head":
        heads = _heads(_field(key.more, "channels"), key.more.get("hidden"), key.more)
        return _known_of(heads, _head_slot(size, channels, key.shape_out[-1]), vocabulary)
    if key.layer not in ("Conv", "expanded_conv"):
        raise Unmapped(f"no operator of ours is a {key.layer}")
    out = _square(key.shape_out)
    slot = Slot(
        in_channels=channels,
        out_channels=key.shape_out[-1],
        input_size=size,
        stride=key.more.get("stride") or -(-size // out),
    )
    if slot.output_size != out:
        raise Unmapped(f"stride {slot.stride} does not lead from {size} to {out} pixels")
    if key.layer == "Conv":
        return _known_of(_stems(key.more), slot, vocabulary)
    return _expanded(key.more, slot, vocabulary)


def head_of_parts(
    size: int,
    channels: int,
    wide: int,
    hidden: int | None,
    classes: int,
    vocabulary: Vocabulary,
) -> tuple[Operator, ...]:
    """The heads of ours that do what these parts do one after the other.

    Raises:
        Unmapped: no space has one.
    """
    return _known_of(_heads(wide, hidden, {}), _head_slot(size, channels, classes), vocabulary)


def _known_of(
    blocks: Sequence[Mapping[str, Any]], slot: Slot, vocabulary: Vocabulary
) -> tuple[Operator, ...]:
    """The operators of those blocks that some space has in that slot.

    Raises:
        Unmapped: none; the message is that of the first.
    """
    found, reasons = [], []
    for block in blocks:
        try:
            found.append(vocabulary.known(block, slot))
        except Unmapped as error:
            reasons.append(error)
    if not found:
        raise reasons[0]
    return tuple(found)


def _is_theirs(block: MobileBlock) -> bool:
    """Whether a key can tell the block's activation and squeeze-and-excitation."""
    if block.squeeze is None:
        return block.activation in _MARKS
    return block.squeeze == SQUEEZE and block.activation in ("relu", "hswish")


def _mbconv(block: MBConv, slot: Slot) -> str:
    kept = "-pointwise:1" if block.expansion == 1 else ""
    grouped = f"-groups:{block.groups}" if block.groups > 1 else ""
    shape = f"kernel:{block.kernel_size}-stride:{slot.stride}"
    end = f"idskip:{int(block.adds_input(slot))}"
    if block.squeeze is not None or block.activation == "hswish":
        se, hs = int(block.squeeze is not None), int(block.activation == "hswish")
        middle = block.middle(slot)
        return f"expand:{middle}-{shape}-{end}-se:{se}-hs:{hs}{kept}{grouped}"
    mark = _MARKS[block.activation]
    return f"expand:{block.expansion}-{shape}-{end}{kept}{grouped}{mark}"


def _activations(more: Mapping[str, int]) -> tuple[Activation, ...]:
    if more.get("hs"):
        return ("hswish",)
    if "hs" in more:
        return ("relu",)
    return ("relu6",) if more.get("relu") == 6 else ("relu", "relu6")


def _stems(more: Mapping[str, int]) -> list[dict[str, Any]]:
    """The table of either project tells nothing of the first convolution but its shapes."""
    marked = more.get("hs") or more.get("relu")
    activations: tuple[Activation, ...] = ("relu", "relu6", "hswish")
    convs: list[dict[str, Any]] = [
        {"kind": "conv", "kernel_size": 3, "activation": activation}
        for activation in (_activations(more) if marked else activations)
    ]
    return convs if marked else [{"kind": "stem"}, *convs]


def _heads(channels: int, hidden: int | None, more: Mapping[str, int]) -> list[dict[str, Any]]:
    marked = more.get("hs") or more.get("relu")
    activations: tuple[Activation, ...] = ("relu", "relu6", "hswish")
    return [
        {"kind": "head", "channels": channels, "hidden": hidden, "activation": activation}
        for activation in (_activations(more) if marked else activations)
    ]


def _expanded(more: Mapping[str, int], slot: Slot, vocabulary: Vocabulary) -> tuple[Operator, ...]:
    if _field(more, "idskip") and not slot.keeps_shape:
        raise Unmapped("our blocks add their input exactly where the shape is kept")
    blocks = list(_blocks(more, slot))
    try:
        return _known_of(blocks, slot, vocabulary)
    except Unmapped as error:
        odd = _odd(more, slot)
        raise Unmapped(f"{error}: {odd}" if odd else str(error)) from error


def _blocks(more: Mapping[str, int], slot: Slot) -> Iterator[dict[str, Any]]:
    expand, kernel = _field(more, "expand"), _field(more, "kernel")
    middles: list[dict[str, int]] = [{"expansion": expand}]
    if "se" in more:  # a table of Once-for-All
        ratio, rest = divmod(expand, slot.in_channels)
        middles = [{"middle_channels": expand}]
        if ratio and not rest:
            middles.insert(0, {"expansion": ratio})
    squeeze = SQUEEZE.model_dump() if more.get("se") else None
    for activation, middle in product(_activations(more), middles):
        common = {
            "kernel_size": kernel,
            "activation": activation,
            "squeeze": squeeze,
            "shortcut": bool(more["idskip"]) or not slot.keeps_shape,
        }
        if middle.get("expansion") == 1 and not more.get("pointwise"):
            yield {"kind": "separable", **common}
        else:
            yield {"kind": "mbconv", **common, **middle, "groups": more.get("groups", 1)}


def _odd(more: Mapping[str, int], slot: Slot) -> str:
    """What about the block most spaces do not have."""
    expand = more["expand"]
    said = {
        "squeeze and excitation": more.get("se"),
        "hard swish": more.get("hs"),
        "no first 1x1 convolution": expand == (slot.in_channels if "se" in more else 1)
        and not more.get("pointwise"),
        f"{expand} channels in the middle, no multiple of {slot.in_channels}": "se" in more
        and expand % slot.in_channels,
        "no shortcut, where ours add their input exactly where the shape is kept": slot.keeps_shape
        and not more["idskip"],
    }
    found = [words for words, is_so in said.items() if is_so]
    return f"a block with {' and '.join(found)}" if found else ""


def _head_slot(size: int, channels: int, classes: int) -> Slot:
    return Slot(in_channels=channels, out_channels=classes, input_size=size, stride=size)


def _shape(text: str) -> tuple[int, ...]:
    numbers = [int(part) for part in text.split("x") if part]
    if not numbers or not all(numbers):
        raise Unmapped(f"{text!r} is no shape")
    return tuple(numbers)


def _square(shape: tuple[int, ...]) -> int:
    if len(shape) != 3 or shape[0] != shape[1]:
        raise Unmapped(f"{'x'.join(map(str, shape))} is not the shape of a square image")
    return shape[0]


def _field(more: Mapping[str, int], name: str) -> int:
    if name not in more:
        raise Unmapped(f"the key has no {name}")
    return more[name]
