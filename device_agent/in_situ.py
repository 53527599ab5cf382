"""The in-situ protocol: operators are timed where they live, inside whole networks.

Isolated operators, however well timed, add up several percent low: a network's caches are
neither as warm as a loop over one operator nor cold. So a designed set of networks runs with
the event tracer, and each event is booked to its operator. One factor per session, from the same
networks without the tracer, makes the booked times add up to whole networks.
"""

import random
from collections.abc import Iterator, Mapping, Sequence
from statistics import median

from contract.blocks import Head
from contract.networks import Network, network
from contract.spaces import SearchSpace


def designed(space: SearchSpace, designs: int = 1) -> tuple[Network, ...]:
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


def scale(networks: Sequence[Network], latency_us: Mapping[str, float]) -> float:
    """By how much the networks take longer than their operators' events, as a factor.

    `latency_us` has what the events of each operator took, by key, and what each network took
    whole and untraced, by name. The factor holds what belongs to no event, and that the calmest
    moments of single operators are a little calmer than those of whole networks; the tracer's
    own cost is not in it. It is the median over the networks.

    Raises:
        statistics.StatisticsError: no network was measured.
    """
    return median(
        latency_us[network.name] / latency_of(network, latency_us)
        for network in networks
        if network.name in latency_us
    )


def latency_of(network: Network, latency_us: Mapping[str, float]) -> float:
    """The sum over the network's operators, in us; a skip that is free adds nothing."""
    return sum(latency_us[op.key] for op in network.operators if not op.is_free)
