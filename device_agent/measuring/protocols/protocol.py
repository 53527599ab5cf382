"""What a way to time operators promises, and what every one of them shares."""

import typing
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial

from contract.networks import Network
from contract.operators import Operator
from contract.runtime import Runtime
from contract.sessions import Effort
from contract.spaces import SearchSpace
from device_agent.backends.backend import Attributed
from device_agent.device import Plan, ProgramTiming
from device_agent.measuring.visits import Rounds
from device_agent.programs.program import Program


@dataclass(frozen=True, kw_only=True, slots=True)
class PlannedProgram:
    """A program to visit in each round.

    A visit times the program once per plan; the function beside the plan says whose time that
    was. `operators` are those that get a timing from it, or a failure.
    """

    program: Program
    plans: tuple[tuple[Plan, Callable[[ProgramTiming], Attributed]], ...]
    operators: tuple[Operator, ...] = ()


@dataclass(frozen=True, slots=True)
class Bounds:
    """How much a session measures.

    `designs` of whole networks; `rounds` over them, and so many `more_rounds` while rows are
    graded C.
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
OPERATOR_PLAN = replace(WHOLE_PLAN, warmup_runs=3, max_runs=100, min_duration_s=0.01)


class Protocol(typing.Protocol):
    """A way to time the operators of a space."""

    def needed(self, missing: Sequence[Operator], *, space: SearchSpace) -> Sequence[Operator]:
        """What a session measures, of which these have no row yet."""
        ...

    def plan(
        self,
        operators: Sequence[Operator],
        *,
        space: SearchSpace,
        runtime: Runtime,
        effort: Effort,
    ) -> list[PlannedProgram]:
        """The programs that give those operators their samples, and whose each time is."""
        ...

    def settle(self, planned: Collection[PlannedProgram], rounds: dict[str, Rounds]) -> None:
        """Make what was attributed to operators the time that they take in a network.

        `planned` are those that did not fail, `rounds` their samples by name, changed in place.
        """
        ...


def as_it_runs(name: str, plan: Plan) -> tuple[Plan, Callable[[ProgramTiming], Attributed]]:
    """A plan under which every sample is the whole program's."""
    return plan, partial(_as_one, name)


def whole(network: Network, runtime: Runtime) -> PlannedProgram:
    """The network, timed as it runs."""
    return PlannedProgram(
        program=Program.under(runtime, network), plans=(as_it_runs(network.name, WHOLE_PLAN),)
    )


def _as_one(name: str, timing: ProgramTiming) -> Attributed:
    return {name: [ns / 1000 for ns in timing.samples_ns]}
