"""Which operator of a network each event of its XNNPACK delegate belongs to.

XNNPACK runs a network of a space as one delegate whose events follow the operators in order.
`owners` walks events and operators together and accepts nothing that does not fit.

Shape suffixes: E events of a run, N runs.
"""

from collections.abc import Mapping, Sequence
from typing import Literal, NamedTuple

import numpy as np
from numpy.typing import NDArray

from contract.blocks import Head, MBConv, Skip, Stem
from contract.errors import PhonebookError
from contract.networks import Network
from contract.operators import Operator
from device_agent.device import ProgramFailed, ProgramTiming

CUT_OFF_NS = 500.0  # on average, of an event that XNNPACK tells in whole microseconds

Kind = Literal["dense", "depthwise", "add", "mean", "move"]

# What XNNPACK's names contain. A 1x1 convolution is a fully connected layer to it. Moves compute
# nothing: they change layout, shape or quantisation.
_KINDS: tuple[tuple[str, Kind], ...] = (
    ("DWConv", "depthwise"),
    ("Fully Connected", "dense"),
    ("Convolution", "dense"),
    ("Add", "add"),
    ("Mean", "mean"),
    ("Transpose", "move"),
    ("Reshape", "move"),
    ("Convert", "move"),
    ("Copy", "move"),
)


class _Step(NamedTuple):
    operator: int  # index into the network's operators
    kind: Kind
    may_move_before: bool


def owners(network: Network, names: Sequence[str]) -> list[int]:
    """The index of each event's operator in `network.operators`.

    Moves are allowed where the image enters (the stem owns them), where a grouped block
    shuffles its channels, and inside and after the head.

    Raises:
        ProgramFailed: an event is unknown, missing, or out of its place.
    """
    steps = _steps(network)
    owner: list[int] = []
    done = 0
    for number, name in enumerate(names):
        kind = _kind(network, name)
        following = steps[done] if done < len(steps) else None
        if kind == "move" and (following is None or following.may_move_before):
            owner.append(following.operator if following else steps[-1].operator)
        elif following is not None and following.kind == kind:
            owner.append(following.operator)
            done += 1
        else:
            wanted = (
                f"a {following.kind} of {network.operators[following.operator].key}"
                if following
                else "no more events"
            )
            raise _misfit(network, f"event {number + 1} is {name!r}, expected {wanted}")
    if done < len(steps):
        raise _misfit(
            network,
            f"{len(names)} events end before {network.operators[steps[done].operator].key}",
        )
    return owner


def attribute(network: Network, traced: ProgramTiming) -> Mapping[str, list[float]]:
    """Each operator's time in us, by traced run: the sum of its events.

    An operator that the network holds several times gets their mean. What a run spends outside
    its events is in none of them.

    Raises:
        ProgramFailed: the events are not this network's.
    """
    owner = np.array(owners(network, [event.name for event in traced.events]))
    event_EN = np.array([event.samples_ns for event in traced.events], dtype=np.float64)
    event_EN += CUT_OFF_NS
    per_key: dict[str, list[NDArray[np.float64]]] = {}
    for index, operator in enumerate(network.operators):
        if not operator.is_free:
            per_key.setdefault(operator.key, []).append(event_EN[owner == index].sum(axis=0))
    return {
        key: [round(ns / 1000, 3) for ns in np.mean(samples, axis=0).tolist()]
        for key, samples in per_key.items()
    }


def _steps(network: Network) -> list[_Step]:
    return [
        _Step(index, kind, may_move_before)
        for index, operator in enumerate(network.operators)
        for kind, may_move_before in _of_operator(operator)
    ]


def _of_operator(operator: Operator) -> list[tuple[Kind, bool]]:
    match operator.block:
        case Stem():
            return [("dense", True)]
        case MBConv(activation="relu", squeeze=None, groups=groups) as block:
            body: list[tuple[Kind, bool]] = [
                ("dense", False),
                ("depthwise", groups > 1),
                ("dense", False),
            ]
            return [*body, ("add", False)] if block.adds_input(operator.slot) else body
        case Head(channels=int(), hidden=None, activation="relu"):
            return [("dense", False), ("mean", False), ("dense", True)]
        case Skip():
            return []
        case other:
            raise PhonebookError(f"no events are known of the block {other.name}")


def _kind(network: Network, name: str) -> Kind:
    for part, kind in _KINDS:
        if part in name:
            return kind
    raise _misfit(network, f"unknown event {name!r}")


def _misfit(network: Network, what: str) -> ProgramFailed:
    return ProgramFailed("wrong_events", f"{network.name}: {what}; nothing of it was attributed")
