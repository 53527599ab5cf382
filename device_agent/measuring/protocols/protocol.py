"""What a way to time operators promises, and what every one of them shares."""

import typing
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from contract.networks import Network
from contract.operators import Operator
from contract.runtime import Runtime
from contract.sessions import Effort
from contract.spaces import SearchSpace
from device_agent.device import Plan
from device_agent.programs.program import Program


@dataclass(frozen=True, kw_only=True, slots=True)
class PlannedProgram:
    """A program to visit in each round.

    A visit times the program once per plan. `operators` are those that get a timing from it, or a
    failure.
    """

    program: Program
    plans: tuple[Plan, ...]
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
    """A way to time the operators of a space: what a session measures, in which programs.

    What comes of the visits is `contract.derivation`'s, whatever the protocol.
    """

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
        """The programs that give those operators their samples."""
        ...


def whole(network: Network, runtime: Runtime) -> PlannedProgram:
    """The network, timed as it runs."""
    return PlannedProgram(program=Program.under(runtime, network), plans=(WHOLE_PLAN,))
