"""From theta to networks: the most probable one, and samples of P_theta."""

import torch

from contract.networks import Network, network
from contract.results import Layer, Sampled
from contract.spaces import SearchSpace
from contract.tables import LatencyTable
from contract.values import Value
from search.dnas.window import Window
from search.supernet.supernet import Path, Supernet
from search.tables.prediction import predicted_us


class Found(Value):
    """What theta says: the network to train, layer by layer, and samples beside it."""

    architecture: tuple[str, ...]
    predicted_us: float
    layers: tuple[Layer, ...]
    samples: tuple[Sampled, ...]

    def network(self, space: SearchSpace) -> Network:
        """The network found, of the space that was searched."""
        return network(self.architecture, space=space, name="searched")


def window(supernet: Supernet, target_us: float) -> Window:
    """The networks of the supernet's space that meet a target.

    Raises:
        PhonebookError: none does; the message says the range of the space.
    """
    latencies_us = [slot.latency_us_K.tolist() for slot in supernet.mixed_slots()]
    return Window(latencies_us, fixed_us=supernet.fixed_us, target_us=target_us)


def derive(
    supernet: Supernet,
    space: SearchSpace,
    table: LatencyTable,
    *,
    within: Window | None,
    samples: int,
    generator: torch.Generator,
) -> Found:
    """The most probable network and independent draws from P_theta, all `within` the window."""
    probabilities = [slot.probabilities() for slot in supernet.mixed_slots()]
    if within is None:
        best = tuple(int(probability_K.argmax()) for probability_K in probabilities)
        drawn = [supernet.path(generator) for _ in range(samples)]
    else:
        best = within.most_probable(probabilities)
        drawn = within.draws(probabilities, generator, count=samples)
    found = network_along(supernet, space, best, name="searched")
    return Found(
        architecture=found.blocks,
        predicted_us=predicted_us(found.operators, table),
        layers=_layers(supernet, found, table),
        samples=tuple(
            _sampled(network_along(supernet, space, path, name="sampled"), table) for path in drawn
        ),
    )


def network_along(supernet: Supernet, space: SearchSpace, path: Path, *, name: str) -> Network:
    """The network of one path."""
    blocks = [
        slot.operators[index].block.name
        for slot, index in zip(supernet.mixed_slots(), path, strict=True)
    ]
    return network(blocks, space=space, name=name)


def _sampled(drawn: Network, table: LatencyTable) -> Sampled:
    return Sampled(architecture=drawn.blocks, predicted_us=predicted_us(drawn.operators, table))


def _layers(supernet: Supernet, found: Network, table: LatencyTable) -> tuple[Layer, ...]:
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
