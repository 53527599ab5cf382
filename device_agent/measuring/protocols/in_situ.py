"""The in-situ protocol: operators are timed where they live, inside whole networks.

Isolated operators, however well timed, add up several percent low: a network's caches are
neither as warm as a loop over one operator nor cold. So a designed set of networks runs with
the event tracer, and each event is booked to its operator. One factor per session, from the same
networks without the tracer, makes the booked times add up to whole networks.
"""

import random
from collections.abc import Iterator, Sequence
from dataclasses import replace

from contract.blocks import Head
from contract.errors import PhonebookError
from contract.networks import Network, network
from contract.operators import Operator
from contract.runtime import Runtime
from contract.sessions import Effort
from contract.spaces import SearchSpace
from device_agent.backends.registry import backend_of
from device_agent.measuring.protocols.protocol import EFFORTS, WHOLE_PLAN, PlannedProgram
from device_agent.programs.program import Program


class InSitu:
    """Whole designs, however little is missing, so that all rows come from one session."""

    def needed(self, missing: Sequence[Operator], *, space: SearchSpace) -> Sequence[Operator]:
        return space.operators if missing else ()

    def plan(
        self,
        operators: Sequence[Operator],
        *,
        space: SearchSpace,
        runtime: Runtime,
        effort: Effort,
    ) -> list[PlannedProgram]:
        if backend_of(runtime.backend).owners is None:
            raise PhonebookError(
                f"{runtime.backend} reports no events, so operators inside networks cannot be "
                "timed; measure with --protocol isolated"
            )
        return [
            PlannedProgram(
                program=Program.under(runtime, network),
                plans=(replace(WHOLE_PLAN, trace=True), WHOLE_PLAN),
                operators=tuple(op for op in dict.fromkeys(network.operators) if not op.is_free),
            )
            for network in design_networks(space, EFFORTS[effort].designs)
        ]


def design_networks(space: SearchSpace, designs: int = 1) -> tuple[Network, ...]:
    """Networks in which every candidate of every slot appears at least twice, and every head.

    Each slot goes through its candidates in shuffled passes, one candidate per network, so that
    an operator meets ever other neighbours: twice as many networks as the most candidates of a
    slot. Each further design holds every candidate at least
    twice more.
    """
    return tuple(network for seed in range(designs) for network in _design(space, seed))


def _design(space: SearchSpace, seed: int) -> Iterator[Network]:
    generator = random.Random(f"{space.name}:{seed}")
    columns = []
    networks = 2 * max(len(choice.candidates) for choice in space.choices)
    for choice in space.choices:
        blocks = [operator.block.name for operator in choice.candidates]
        column: list[str] = []
        while len(column) < networks:
            column += generator.sample(blocks, len(blocks))
        columns.append(column[:networks])
    heads = [head.block.channels for head in space.heads if isinstance(head.block, Head)]
    for number in range(networks):
        yield network(
            [column[number] for column in columns],
            space=space,
            name=f"{space.name}-design{seed}-{number + 1}",
            head_channels=heads[number % len(heads)],
        )
