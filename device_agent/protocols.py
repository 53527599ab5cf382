"""The two ways to time operators: in situ, inside whole networks; isolated, each alone."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial

from contract.networks import Network
from contract.operators import Operator
from contract.runtime import Protocol, Runtime
from contract.sessions import Effort
from contract.spaces import SearchSpace
from device_agent.booking import book
from device_agent.devices import Plan, ProgramTiming
from device_agent.in_situ import designed
from device_agent.programs import Program

Booking = Mapping[str, Sequence[float]]  # samples in us, by name


@dataclass(frozen=True, kw_only=True, slots=True)
class Work:
    """A program to visit in each round.

    A visit times the program once per plan; the `book` beside the plan says whose time that
    was. `operators` are those that get a timing from it, or a failure.
    """

    program: Program
    plans: tuple[tuple[Plan, Callable[[ProgramTiming], Booking]], ...]
    operators: tuple[Operator, ...] = ()


@dataclass(frozen=True, slots=True)
class Bounds:
    """How much a session measures.

    `designs` of whole networks, each of 18; `rounds` over them, and so many `more_rounds` while
    rows are graded C.
    """

    designs: int
    rounds: int
    more_rounds: int


EFFORTS: Mapping[Effort, Bounds] = {
    "quick": Bounds(designs=1, rounds=12, more_rounds=6),
    "standard": Bounds(designs=2, rounds=40, more_rounds=20),
    "thorough": Bounds(designs=3, rounds=120, more_rounds=60),
}

# Short, so that a session has many: the device is calm or disturbed for tenths of a second, and
# what counts is how many of its states a row has seen.
WHOLE_PLAN = Plan(warmup_runs=2, min_runs=5, max_runs=8, min_duration_s=0.02, deadline_s=60.0)
_OPERATOR_PLAN = replace(WHOLE_PLAN, warmup_runs=3, max_runs=100, min_duration_s=0.01)


def whole(network: Network, runtime: Runtime) -> Work:
    """The network, timed as it runs."""
    return Work(
        program=_program(network, runtime),
        plans=((WHOLE_PLAN, partial(_as_one, network.name)),),
    )


def _isolated_work(
    space: SearchSpace, missing: Sequence[Operator], runtime: Runtime, effort: Effort
) -> list[Work]:
    """One program per missing operator: every sample is its own."""
    return [
        Work(
            program=_program(operator, runtime),
            plans=((_OPERATOR_PLAN, partial(_as_one, operator.key)),),
            operators=(operator,),
        )
        for operator in missing
    ]


def _in_situ_work(
    space: SearchSpace, missing: Sequence[Operator], runtime: Runtime, effort: Effort
) -> list[Work]:
    """Whole designs, however little is missing, so that all rows come from one session."""
    return [
        Work(
            program=_program(network, runtime),
            plans=(
                (replace(WHOLE_PLAN, trace=True), partial(book, network)),
                (WHOLE_PLAN, partial(_as_one, network.name)),
            ),
            operators=tuple(op for op in dict.fromkeys(network.operators) if not op.is_free),
        )
        for network in designed(space, EFFORTS[effort].designs)
    ]


def _as_one(name: str, timing: ProgramTiming) -> Booking:
    return {name: [ns / 1000 for ns in timing.samples_ns]}


def _program(content: Operator | Network, runtime: Runtime) -> Program:
    return Program(content=content, dtype=runtime.dtype, memory_format=runtime.memory_format)


Planner = Callable[[SearchSpace, Sequence[Operator], Runtime, Effort], list[Work]]

PROTOCOLS: Mapping[Protocol, Planner] = {"in_situ": _in_situ_work, "isolated": _isolated_work}
