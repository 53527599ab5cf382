"""The look-up tables of ProxylessNAS and Once-for-All: YAML, a key per operator, `mean` in ms.

Keys are spelled as in ProxylessNAS (Cai et al. 2019, arXiv:1812.00332), which gives the expansion
as a ratio; tables of Once-for-All (arXiv:1908.09791) give the channels in the middle and add
`se` (squeeze and excitation) and `hs` (hard swish), of which our operators have neither.

What those projects do not have is spelled so that none of their readers takes it for theirs:
`groups:2`; `pointwise:1` for a block of expansion 1 that keeps its first 1x1 convolution, which
theirs leaves out; and `Head`, whose parts were not timed alone.
"""

import re
from collections.abc import Mapping

import yaml

from contract.blocks import Head, MBConv
from contract.operators import Operator
from contract.slots import Slot
from server.imports.operators import Unmapped, known, operator_named
from server.imports.rows import Found, Rejected, Source, latency_us

_KEY = re.compile(
    r"(?P<layer>[A-Za-z0-9_]+?)-input:(?P<input>[0-9x]{1,30})-output:(?P<output>[0-9x]{1,30})"
    r"(?P<rest>(-[a-z_]{1,20}:[0-9]{1,6})*)"
)


def dump(latencies_us: Mapping[str, float]) -> str:
    """Operators' latencies by their keys, as YAML in the same order."""
    lines = [
        f"{name_of(operator_named(key))}: {{mean: {_ms(us)}, count: 1}}\n"
        for key, us in latencies_us.items()
    ]
    return "".join(lines) or "{}\n"


def load(text: str, source: Source) -> None:
    """Book every entry of the file as found or rejected, by its line.

    Raises:
        ValueError: it is not YAML, or not a mapping.
    """
    try:
        # The tree alone: nothing is built from tags, and an alias is not copied out.
        document = yaml.compose(text, Loader=yaml.SafeLoader)
    except yaml.YAMLError as error:
        raise ValueError(f"it is not YAML: {' '.join(str(error).split())}") from error
    except RecursionError as error:
        raise ValueError("it is nested too deeply") from error
    if not isinstance(document, yaml.MappingNode):
        raise ValueError("it has no mapping of operators to figures")
    for key, value in document.value:
        place = f"line {key.start_mark.line + 1}"
        name = key.value if isinstance(key, yaml.ScalarNode) else "?"
        try:
            source.add(Found(place, operator_of(name), latency_us(_mean(value), per_us=1000)))
        except Unmapped as error:
            source.reject(Rejected(place, name, str(error)))


def name_of(operator: Operator) -> str:
    """The operator's key in such a table."""
    slot = operator.slot
    size_in, size_out = slot.input_size, slot.output_size
    shapes = (
        f"input:{size_in}x{size_in}x{slot.in_channels}"
        f"-output:{size_out}x{size_out}x{slot.out_channels}"
    )
    match operator.block:
        case MBConv(kernel_size=kernel, expansion=expansion, groups=groups):
            kept = "-pointwise:1" if expansion == 1 else ""
            grouped = f"-groups:{groups}" if groups > 1 else ""
            return (
                f"expanded_conv-{shapes}-expand:{expansion}-kernel:{kernel}"
                f"-stride:{slot.stride}-idskip:{int(slot.keeps_shape)}{kept}{grouped}"
            )
        case Head(channels=channels):
            whole = f"input:{size_in}x{size_in}x{slot.in_channels}-output:{slot.out_channels}"
            return f"Head-{whole}-channels:{channels}"
        case _:
            return f"Conv-{shapes}"


def operator_of(name: str) -> Operator:
    """The operator that an entry of such a table is about.

    Raises:
        Unmapped: none of ours; the message says why.
    """
    match = _KEY.fullmatch(name)
    if match is None:
        raise Unmapped("the key is not of the form LAYER-input:HxWxC-output:HxWxC-...")
    layer = match["layer"]
    if layer not in ("Conv", "expanded_conv", "Head"):
        raise Unmapped(f"{layer} is a part of a head, and Phonebook times heads whole")
    shape_in, shape_out = _shape(match["input"]), _shape(match["output"])
    more = {
        field: int(value)
        for field, value in (part.split(":") for part in match["rest"].split("-") if part)
    }
    size = _square(shape_in)
    channels = shape_in[-1]
    if layer == "Head":
        slot = Slot(in_channels=channels, out_channels=shape_out[-1], input_size=size, stride=size)
        return known({"kind": "head", "channels": _field(more, "channels")}, slot)
    stride = more.get("stride") or -(-size // _square(shape_out))
    slot = Slot(in_channels=channels, out_channels=shape_out[-1], input_size=size, stride=stride)
    if slot.output_size != _square(shape_out):
        raise Unmapped(f"stride {stride} does not lead from {size} to {_square(shape_out)} pixels")
    return known({"kind": "stem"} if layer == "Conv" else _block(more, slot), slot)


def _block(more: Mapping[str, int], slot: Slot) -> dict[str, str | int]:
    for field, what in (("se", "squeeze and excitation"), ("hs", "hard swish")):
        if more.get(field):
            raise Unmapped(f"no block of ours has {what}")
    if bool(_field(more, "idskip")) != slot.keeps_shape:
        raise Unmapped("our blocks add their input exactly where the shape is kept")
    expand = _field(more, "expand")
    if "se" in more:  # a table of Once-for-All
        expansion, rest = divmod(expand, slot.in_channels)
        if rest or not expansion:
            raise Unmapped(f"{expand} channels are no multiple of {slot.in_channels}")
    else:
        expansion = expand
    if expansion == 1 and not more.get("pointwise"):
        raise Unmapped("its block of expansion 1 has no first 1x1 convolution, ours has")
    return {
        "kind": "mbconv",
        "kernel_size": _field(more, "kernel"),
        "expansion": expansion,
        "groups": more.get("groups", 1),
    }


def _mean(value: yaml.Node) -> str:
    if isinstance(value, yaml.MappingNode):
        for field, figure in value.value:
            if field.value == "mean" and isinstance(figure, yaml.ScalarNode):
                return str(figure.value)
    raise Unmapped("it has no field `mean`")


def _ms(us: float) -> str:
    """As many digits as figures keep."""
    return f"{us / 1000:.7f}".rstrip("0").rstrip(".")


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
