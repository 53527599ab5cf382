"""From theta to networks: the most probable one, and samples of P_theta."""

from collections.abc import Sequence

import torch

from contract.networks import Network, network
from contract.operators import Operator
from contract.spaces import SearchSpace
from contract.tables import LatencyTable
from contract.values import Value
from search.supernet import Supernet


class Layer(Value):
    """What a slot chose."""

    number: int  # from 1
    operator: str
    block: str
    probability: float
    latency_us: float


class Sampled(Value):
    """An architecture drawn from P_theta."""

    architecture: tuple[str, ...]
    predicted_us: float


def most_probable(supernet: Supernet, space: SearchSpace) -> Network:
    """The candidate with the largest theta in every slot."""
    choice = [int(slot.theta_K.argmax()) for slot in supernet.mixed_slots()]
    return _chosen(supernet, space, choice, name="searched")


def sample(
    supernet: Supernet,
    space: SearchSpace,
    table: LatencyTable,
    *,
    count: int,
    generator: torch.Generator,
) -> tuple[Sampled, ...]:
    """Independent draws from P_theta, with their latency by the table."""
    drawn = []
    for _ in range(count):
        choice = [
            int(torch.multinomial(slot.probabilities(), 1, generator=generator))
            for slot in supernet.mixed_slots()
        ]
        found = _chosen(supernet, space, choice, name="sampled")
        drawn.append(
            Sampled(architecture=found.blocks, predicted_us=predicted_us(found.operators, table))
        )
    return tuple(drawn)


def layers(supernet: Supernet, found: Network, table: LatencyTable) -> tuple[Layer, ...]:
    """The chosen operators with their probability and their row of the table."""
    latencies_us = table.latencies_us(found.layers)
    return tuple(
        Layer(
            number=number,
            operator=operator.key,
            block=operator.block.name,
            probability=slot.probabilities()[slot.operators.index(operator)].item(),
            latency_us=latency_us,
        )
        for number, (slot, operator, latency_us) in enumerate(
            zip(supernet.mixed_slots(), found.layers, latencies_us, strict=True), start=1
        )
    )


def predicted_us(operators: Sequence[Operator], table: LatencyTable) -> float:
    """The sum of the operators' rows (equation 3).

    Raises:
        IncompleteTable: one of them has no row.
    """
    return sum(table.latencies_us(operators))


def _chosen(
    supernet: Supernet, space: SearchSpace, choice: Sequence[int], *, name: str
) -> Network:
    blocks = [
        slot.operators[index].block.name
        for slot, index in zip(supernet.mixed_slots(), choice, strict=True)
    ]
    return network(blocks, space=space, name=name)
