"""Which operator of a network each event of its XNNPACK delegate belongs to.

XNNPACK runs a network of a space as one delegate whose events follow the operators in order.
`owners` walks events and operators together and accepts nothing that does not fit.
"""

from collections.abc import Mapping, Sequence
from typing import Literal, NamedTuple, assert_never

from contract.blocks import (
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
from contract.blocks.parts import Activation, MobileBlock, SqueezeExcite
from contract.networks import Network
from contract.operators import Operator
from contract.slots import Slot
from device_agent.device import ProgramFailed

Kind = Literal[
    "matmul",
    "conv",
    "depthwise",
    "add",
    "mean",
    "unary",
    "clamp",
    "multiply",
    "divide",
    "slice",
    "move",
]

# What XNNPACK's names contain. A 1x1 convolution is a fully connected layer to it. Moves compute
# nothing: they change layout, shape or quantisation. It calls some quantised functions of one
# argument an invalid one.
_KINDS: tuple[tuple[str, Kind], ...] = (
    ("DWConv", "depthwise"),
    ("Fully Connected", "matmul"),
    ("Convolution", "conv"),
    ("Add", "add"),
    ("Mean", "mean"),
    ("HardSwish", "unary"),
    ("Sigmoid", "unary"),
    ("Invalid Unary Op", "unary"),
    ("Clamp", "clamp"),
    ("Multiply", "multiply"),
    ("Divide", "divide"),
    ("Slice", "slice"),
    ("Transpose", "move"),
    ("Reshape", "move"),
    ("Convert", "move"),
    ("Copy", "move"),
)

Work = Literal[
    "dense", "depthwise", "add", "mean", "unary", "clamp", "multiply", "divide", "slice"
]

# The kinds of events that do it. Of large kernels XNNPACK has no depthwise convolution.
_DONE_BY: Mapping[Work, frozenset[Kind]] = {
    "dense": frozenset({"matmul", "conv"}),
    "depthwise": frozenset({"depthwise", "conv"}),
    "add": frozenset({"add"}),
    "mean": frozenset({"mean"}),
    "unary": frozenset({"unary"}),
    "clamp": frozenset({"clamp"}),
    "multiply": frozenset({"multiply"}),
    "divide": frozenset({"divide"}),
    "slice": frozenset({"slice"}),
}


class _Step(NamedTuple):
    """One event of an operator, and whether moves may come before and after it."""

    work: Work
    before: bool = False
    after: bool = False


class _Place(NamedTuple):
    operator: int  # index into the network's operators
    step: _Step


def owners(network: Network, names: Sequence[str]) -> list[int]:
    """The index of each event's operator in `network.operators`.

    Moves are allowed where the image enters (the stem owns them), where channels are shuffled,
    around functions of one argument, and inside and after the head.

    Raises:
        ProgramFailed: an event is unknown, missing, or out of its place.
        PhonebookError: the events of a block are not known.
    """
    places = _places(network)
    owner: list[int] = []
    done = 0
    for number, name in enumerate(names):
        kind = _kind(network, name)
        before = places[done - 1] if done else None
        following = places[done] if done < len(places) else None
        if kind == "move":
            owner.append(_mover(network, number, name, before, following))
        elif following is not None and kind in _DONE_BY[following.step.work]:
            owner.append(following.operator)
            done += 1
        else:
            raise _out_of_place(network, number, name, following)
    if done < len(places):
        raise _misfit(
            network,
            f"{len(names)} events end before {network.operators[places[done].operator].key}",
        )
    return owner


def _mover(
    network: Network, number: int, name: str, before: _Place | None, following: _Place | None
) -> int:
    if following is None or (before is not None and before.step.after):
        assert before is not None
        return before.operator
    if following.step.before:
        return following.operator
    raise _out_of_place(network, number, name, following)


def _out_of_place(
    network: Network, number: int, name: str, following: _Place | None
) -> ProgramFailed:
    wanted = (
        f"a {following.step.work} of {network.operators[following.operator].key}"
        if following
        else "no more events"
    )
    return _misfit(network, f"event {number + 1} is {name!r}, expected {wanted}")


def _places(network: Network) -> list[_Place]:
    return [
        _Place(index, step)
        for index, operator in enumerate(network.operators)
        for step in _steps(operator)
    ]


_DENSE, _DEPTHWISE, _ADD = _Step("dense"), _Step("depthwise"), _Step("add")


def _steps(operator: Operator) -> list[_Step]:
    block, slot = operator.block, operator.slot
    match block:
        case MBConv():
            act = _activation(block.activation)
            shuffled = _Step("depthwise", before=block.groups > 1)
            body = [_DENSE, *act, shuffled, *act, *_squeeze(block.squeeze), _DENSE]
            return [*body, *_shortcut(block, slot)]
        case FusedMBConv():
            body = [_DENSE, *_activation(block.activation), *_squeeze(block.squeeze), _DENSE]
            return [*body, *_shortcut(block, slot)]
        case Separable():
            body = [_DEPTHWISE, *_activation(block.activation), *_squeeze(block.squeeze), _DENSE]
            return [*body, *_shortcut(block, slot)]
        case Conv():
            return [_Step("dense", before=True), *_activation(block.activation)]
        case Stem():
            return [_Step("dense", before=True)]
        case ShuffleUnit():
            branch = [_Step("dense", before=True), _DEPTHWISE, _Step("dense", after=True)]
            if slot.keeps_shape:
                return [_Step("slice", before=True), _Step("slice", before=True), *branch]
            return [_DEPTHWISE, _DENSE, *branch]
        case BasicResidual():
            return [*_projection(slot), _DENSE, _DENSE, _ADD, _Step("clamp")]
        case BottleneckResidual():
            return [*_projection(slot), _DENSE, _DENSE, _DENSE, _ADD, _Step("clamp")]
        case Head():
            act = _activation(block.activation)
            widened = [_DENSE, *act] if block.channels else []
            hidden = [_Step("dense", before=True), *act] if block.hidden else []
            return [*widened, _Step("mean", before=True), *hidden, _Step("dense", before=True)]
        case Skip():
            return []
        case _:
            assert_never(block)


def _activation(name: Activation) -> list[_Step]:
    """What is not part of the convolution before it."""
    match name:
        case "relu" | "relu6":
            return []
        case "hswish":
            return [_Step("unary", before=True, after=True)]
        case "silu":
            return [_Step("unary", before=True), _Step("multiply", after=True)]
        case _:
            assert_never(name)


def _squeeze(squeeze: SqueezeExcite | None) -> list[_Step]:
    if squeeze is None:
        return []
    gate = (
        [_Step("unary", before=True)]
        if squeeze.gate == "sigmoid"
        else [_Step("add", before=True), _Step("clamp"), _Step("divide", after=True)]
    )
    means = [_Step("mean", before=True, after=True), _DENSE, _DENSE]
    return [*means, *gate, _Step("multiply", before=True)]


def _shortcut(block: MobileBlock, slot: Slot) -> list[_Step]:
    return [_ADD] if block.adds_input(slot) else []


def _projection(slot: Slot) -> list[_Step]:
    return [] if slot.keeps_shape else [_DENSE]


def _kind(network: Network, name: str) -> Kind:
    for part, kind in _KINDS:
        if part in name:
            return kind
    raise _misfit(network, f"unknown event {name!r}")


def _misfit(network: Network, what: str) -> ProgramFailed:
    return ProgramFailed("wrong_events", f"{network.name}: {what}; nothing of it was attributed")
