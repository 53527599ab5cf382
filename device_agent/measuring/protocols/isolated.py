"""The isolated protocol: every operator alone, as a program of its own."""

from collections.abc import Collection, Sequence

from contract.operators import Operator
from contract.runtime import Runtime
from contract.sessions import Effort
from contract.spaces import SearchSpace
from device_agent.measuring.protocols.protocol import OPERATOR_PLAN, PlannedProgram, as_it_runs
from device_agent.measuring.visits import Rounds
from device_agent.programs.program import Program


class Isolated:
    """Every sample is its operator's own."""

    def needed(self, missing: Sequence[Operator], *, space: SearchSpace) -> Sequence[Operator]:
        return missing

    def plan(
        self,
        operators: Sequence[Operator],
        *,
        space: SearchSpace,
        runtime: Runtime,
        effort: Effort,
    ) -> list[PlannedProgram]:
        return [
            PlannedProgram(
                program=Program.under(runtime, operator),
                plans=(as_it_runs(operator.key, OPERATOR_PLAN),),
                operators=(operator,),
            )
            for operator in operators
        ]

    def settle(self, planned: Collection[PlannedProgram], rounds: dict[str, Rounds]) -> None:
        """Samples stay as measured."""
