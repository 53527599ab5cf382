"""The in-situ protocol: operators are timed where they live, inside whole networks.

Isolated operators, however well timed, add up several percent low: a network's caches are
neither as warm as a loop over one operator nor cold. So a designed set of networks runs with
the event tracer, and each event is booked to its operator.
"""

import random

from contract.networks import Network, network
from contract.operators import Head
from contract.spaces import SearchSpace

NETWORKS = 18  # twice the most candidates a slot has


def designed(space: SearchSpace, *, seed: int = 0, count: int = NETWORKS) -> tuple[Network, ...]:
    """Networks in which every candidate of every slot appears at least twice, and every head.

    Each slot goes through its candidates in shuffled passes, one candidate per network, so that
    an operator meets ever other neighbours.
    """
    generator = random.Random(f"{space.name}:{seed}")
    columns = []
    for slot in space.slots:
        blocks = [operator.block.name for operator in space.candidates(slot)]
        column: list[str] = []
        while len(column) < count:
            column += generator.sample(blocks, len(blocks))
        columns.append(column[:count])
    heads = [head.block.channels for head in space.heads if isinstance(head.block, Head)]
    return tuple(
        network(
            [column[number] for column in columns],
            space=space,
            name=f"{space.name}-design{seed}-{number + 1}",
            head_channels=heads[number % len(heads)],
        )
        for number in range(count)
    )
