"""The isolated protocol: every operator alone, as a program of its own."""

from collections.abc import Sequence

from contract.operators import Operator
from contract.runtime import Runtime
from contract.sessions import Effort
from contract.spaces import SearchSpace
from device_agent.measuring.protocols.protocol import OPERATOR_PLAN, PlannedProgram
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
                plans=(OPERATOR_PLAN,),
                operators=(operator,),
            )
            for operator in operators
        ]
