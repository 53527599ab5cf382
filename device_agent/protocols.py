"""The two ways to time operators: in situ, inside whole networks; isolated, each alone."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial

from contract.networks import Network
from contract.operators import Operator
from contract.spaces import SearchSpace
from contract.timings import Runtime
from device_agent.booking import book
from device_agent.devices import Plan, ProgramTiming
from device_agent.in_situ import designed
from device_agent.programs import Program

Booking = Mapping[str, Sequence[float]]  # samples in us, by operator key


@dataclass(frozen=True, kw_only=True, slots=True)
class Work:
    """A program to visit in each round, and the operators that its timings are booked to.

    A visit times the program once per plan of its protocol; `book` gets these timings in order.
    """

    program: Program
    operators: tuple[Operator, ...]
    book: Callable[..., Booking]


@dataclass(frozen=True, kw_only=True, slots=True)
class Protocol:
    """How many rounds there are, and how each visit times its program."""

    rounds: int
    plans: tuple[Plan, ...]
    work: Callable[[SearchSpace, Sequence[Operator], Runtime], list[Work]]


def _isolated_work(
    space: SearchSpace, missing: Sequence[Operator], runtime: Runtime
) -> list[Work]:
    """One program per missing operator: every sample is its own."""
    return [
        Work(
            program=_program(operator, runtime),
            operators=(operator,),
            book=partial(_whole, operator.key),
        )
        for operator in missing
    ]


def _in_situ_work(space: SearchSpace, missing: Sequence[Operator], runtime: Runtime) -> list[Work]:
    """The whole design, however little is missing, so that all rows come from one session."""
    return [
        Work(
            program=_program(network, runtime),
            operators=tuple(op for op in dict.fromkeys(network.operators) if not op.is_free),
            book=partial(book, network),
        )
        for network in designed(space)
    ]


def _whole(key: str, timing: ProgramTiming) -> Booking:
    return {key: [ns / 1000 for ns in timing.samples_ns]}


def _program(content: Operator | Network, runtime: Runtime) -> Program:
    return Program(content=content, dtype=runtime.dtype, memory_format=runtime.memory_format)


_IN_SITU_PLAN = Plan(warmup_runs=3, min_runs=10, max_runs=40, min_duration_s=0.03, deadline_s=60.0)

PROTOCOLS: Mapping[str, Protocol] = {
    "in_situ": Protocol(
        rounds=25,
        plans=(replace(_IN_SITU_PLAN, trace=True), _IN_SITU_PLAN),
        work=_in_situ_work,
    ),
    "isolated": Protocol(
        rounds=5,
        plans=(
            Plan(warmup_runs=5, min_runs=20, max_runs=1000, min_duration_s=0.05, deadline_s=60.0),
        ),
        work=_isolated_work,
    ),
}
