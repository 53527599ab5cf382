"""The stochastic super network of FBNet: every candidate of every slot, mixed by one mask.

Wu et al. 2019 (arXiv:1812.03443), section 3.3.

Shape suffixes: B batch, C channels, H height, W width, K candidates of a slot, N classes.
"""

from collections.abc import Iterator, Sequence
from statistics import fmean
from typing import NamedTuple

import torch
from torch import Tensor, nn
from torch.nn.utils import convert_conv2d_weight_memory_format

from contract.operators import Operator
from contract.spaces import SearchSpace
from contract.tables import LatencyTable
from search.blocks import build


class Mask(NamedTuple):
    """How much each candidate of a slot counts in one batch, and which of them run."""

    weight_K: Tensor
    chosen: tuple[int, ...]


class MixedSlot(nn.Module):
    """One slot: its candidates, their latencies in us, and the logits of choosing among them."""

    latency_us_K: Tensor

    def __init__(self, operators: Sequence[Operator], latencies_us: Sequence[float]) -> None:
        super().__init__()
        self.operators = tuple(operators)
        self.candidates = nn.ModuleList(build(operator) for operator in operators)
        self.theta_K = nn.Parameter(torch.zeros(len(operators)))
        self.register_buffer("latency_us_K", torch.tensor(latencies_us))

    def probabilities(self) -> Tensor:
        """P_theta of each candidate, without noise (equation 5)."""
        return self.theta_K.softmax(dim=0)

    def mask(self, temperature: float, paths: int, generator: torch.Generator) -> Mask:
        """A Gumbel-softmax sample over the candidates, which sums to one (equation 7).

        With fewer paths than candidates only the heaviest run, scaled to sum to one, and the
        gradient is that of the whole sample: straight-through, as in GDAS (Dong and Yang 2019,
        arXiv:1910.04465), where one path runs.
        """
        # -log(Exponential) is Gumbel noise and, unlike -log(-log(uniform)), always finite.
        noise_K = -torch.empty(self.theta_K.shape).exponential_(generator=generator).log()
        sample_K = ((self.theta_K + noise_K) / temperature).softmax(dim=0)
        if paths >= len(sample_K):
            return Mask(sample_K, tuple(range(len(sample_K))))
        heaviest = sample_K.detach().topk(paths)
        kept_K = torch.zeros_like(sample_K)
        kept_K[heaviest.indices] = heaviest.values / heaviest.values.sum()
        return Mask(sample_K + (kept_K - sample_K).detach(), tuple(heaviest.indices.tolist()))

    def forward(self, x_BCHW: Tensor, mask: Mask) -> tuple[Tensor, Tensor]:
        """The candidates' outputs and their latencies in us, both weighted by the same mask."""
        first, *others = (
            mask.weight_K[index] * self.candidates[index](x_BCHW) for index in mask.chosen
        )
        return sum(others, start=first), torch.dot(mask.weight_K, self.latency_us_K)


class Supernet(nn.Module):
    """All networks of a space at once, priced by one device's table.

    `paths` candidates of each slot run per batch; as many as there are is the paper's way.
    Batch norms always use the statistics of the batch: averages kept over masks would belong
    to no network.

    Raises:
        IncompleteTable: the table lacks an operator of the space.
    """

    def __init__(self, space: SearchSpace, table: LatencyTable, *, paths: int) -> None:
        super().__init__()
        slots = [space.candidates(slot) for slot in space.slots]
        needed = (space.stem, *(operator for slot in slots for operator in slot), space.head)
        latencies_us = dict(zip(needed, table.latencies_us(needed), strict=True))
        self.fixed_us = latencies_us[space.stem] + latencies_us[space.head]
        self.paths = paths
        self.stem = build(space.stem)
        self.slots = nn.ModuleList(
            MixedSlot(slot, [latencies_us[operator] for operator in slot]) for slot in slots
        )
        self.head = build(space.head)
        _use_batch_statistics(self)
        # With channels-last images a step takes half the time on a CPU.
        convert_conv2d_weight_memory_format(self, torch.channels_last)

    def forward(
        self, image_BCHW: Tensor, temperature: float, generator: torch.Generator
    ) -> tuple[Tensor, Tensor]:
        """Logits, and LAT of equation 6: the expected latency in us, stem and head included.

        Each slot draws one mask for the whole batch.
        """
        x_BCHW = self.stem(image_BCHW)
        latency_us = torch.tensor(self.fixed_us)
        for slot in self.mixed_slots():
            x_BCHW, slot_us = slot(x_BCHW, slot.mask(temperature, self.paths, generator))
            latency_us = latency_us + slot_us
        logits_BN: Tensor = self.head(x_BCHW)
        return logits_BN, latency_us

    def mixed_slots(self) -> Iterator[MixedSlot]:
        for slot in self.slots:
            assert isinstance(slot, MixedSlot)
            yield slot

    def expected_latency_us(self) -> float:
        """LAT under P_theta itself, without noise."""
        means_us = [
            torch.dot(slot.probabilities(), slot.latency_us_K).item()
            for slot in self.mixed_slots()
        ]
        return self.fixed_us + sum(means_us)

    def theta_entropy(self) -> float:
        """Mean over slots of the entropy of P_theta, in nats: 0 once every choice is made."""
        slots = self.mixed_slots()
        return fmean(torch.special.entr(slot.probabilities()).sum().item() for slot in slots)

    def thetas(self) -> list[nn.Parameter]:
        """The architecture's logits, one tensor per slot."""
        return [slot.theta_K for slot in self.mixed_slots()]

    def weights(self) -> list[nn.Parameter]:
        """Every parameter that is no theta."""
        thetas = {id(theta) for theta in self.thetas()}
        return [parameter for parameter in self.parameters() if id(parameter) not in thetas]


def _use_batch_statistics(module: nn.Module) -> None:
    for layer in module.modules():
        if isinstance(layer, nn.BatchNorm2d):
            layer.track_running_stats = False
            layer.running_mean = layer.running_var = layer.num_batches_tracked = None
