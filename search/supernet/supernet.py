"""The stochastic super network of FBNet: every candidate of every slot, weighed by theta.

Wu et al. 2019 (arXiv:1812.03443), section 3.3.

Shape suffixes: B batch, C channels, H height, W width, K candidates of a slot, N classes.
"""

from collections.abc import Iterator, Sequence
from statistics import fmean

import torch
from torch import Tensor, nn
from torch.nn.utils import convert_conv2d_weight_memory_format

from contract.errors import PhonebookError
from contract.spaces import SearchSpace
from contract.tables import LatencyTable
from search.supernet.blocks import build
from search.supernet.slots import MixedSlot

Masks = list[Tensor]  # per slot how much each candidate counts (K), summing to 1
Path = tuple[int, ...]  # per slot the candidate that runs

_MOST_LOGITS = 50.0
_HALVINGS = 50


class Supernet(nn.Module):
    """All networks of a space at once, priced by one device's table.

    Batch norms always use the statistics of the batch: averages kept over masks or paths would
    belong to no network. With `recompute` each block runs again in the backward pass, and only
    its input is kept. With `shares_weights` the candidates of a slot do not learn alone.

    Raises:
        IncompleteTable: the table lacks an operator of the space.
        PhonebookError: the fastest network takes 1 us or less, so that log(LAT) is no price.
    """

    def __init__(
        self,
        space: SearchSpace,
        table: LatencyTable,
        *,
        recompute: bool = False,
        shares_weights: bool = False,
    ) -> None:
        super().__init__()
        candidates = (operator for choice in space.choices for operator in choice.candidates)
        needed = (space.stem, *candidates, space.head)
        latencies_us = dict(zip(needed, table.latencies_us(needed), strict=True))
        self.fixed_us = latencies_us[space.stem] + latencies_us[space.head]
        fastest_us = self.fixed_us + sum(
            min(latencies_us[operator] for operator in choice.candidates)
            for choice in space.choices
        )
        if fastest_us <= 1:
            raise PhonebookError(
                f"the fastest network of {space.name} takes {fastest_us:g} us on {table.device}, "
                "but the logarithm of the latency is a price only above 1 us; is the table in "
                "microseconds?"
            )
        self.classes = space.classes
        self.recompute = recompute
        self.stem = build(space.stem)
        self.slots = nn.ModuleList(
            MixedSlot(
                operators,
                map(build, operators),
                [latencies_us[operator] for operator in operators],
            )
            for _, _, operators in space.choices
        )
        self.head = build(space.head)
        _use_batch_statistics(self)
        # With channels-last images a step takes half the time on a CPU.
        convert_conv2d_weight_memory_format(self, torch.channels_last)
        if shares_weights:
            for slot in self.mixed_slots():
                slot.share_weights()

    def forward(self, image_BCHW: Tensor, choices: Sequence[Masks | Path]) -> list[Tensor]:
        """Logits (B, N) of the same images under each of the masks or along each of the paths."""
        return [self._one(image_BCHW, choice) for choice in choices]

    def masks(self, temperature: float, generator: torch.Generator) -> Masks:
        """One mask per slot, for a whole batch."""
        return [slot.mask(temperature, generator) for slot in self.mixed_slots()]

    def path(self, generator: torch.Generator) -> Path:
        """A whole path, drawn from P_theta."""
        return tuple(slot.draw(generator) for slot in self.mixed_slots())

    def log_probability(self, path: Path) -> Tensor:
        """log P_theta of a path: the sum over its slots."""
        chosen = [
            slot.theta_K.log_softmax(dim=0)[index]
            for slot, index in zip(self.mixed_slots(), path, strict=True)
        ]
        return torch.stack(chosen).sum()

    def latency_us(self, masks: Masks) -> Tensor:
        """LAT under these masks (equation 6), in us, stem and head included."""
        parts = [
            torch.dot(weight_K, slot.latency_us_K)
            for slot, weight_K in zip(self.mixed_slots(), masks, strict=True)
        ]
        return torch.stack(parts).sum() + self.fixed_us

    def expected_latency_us(self) -> Tensor:
        """LAT under P_theta itself, without noise, in us."""
        return self.latency_us([slot.probabilities() for slot in self.mixed_slots()])

    def expect(self, target_us: float) -> None:
        """Set theta so that LAT under P_theta is the target, with nothing else said.

        Of all distributions of that mean this has the most entropy (Jaynes 1957): networks of
        equal latency are equally likely. Within 50 logits; near the fastest or slowest network
        the mean stays short of the target.
        """
        slots = list(self.mixed_slots())
        extremes_us = [torch.aminmax(slot.latency_us_K) for slot in slots]
        high = _MOST_LOGITS / max(max((most - least).item() for least, most in extremes_us), 1e-9)
        low = -high
        for _ in range(_HALVINGS):
            price_per_us = (low + high) / 2
            for slot in slots:
                slot.theta_K.data = -price_per_us * slot.latency_us_K
            too_slow = self.expected_latency_us().item() > target_us
            low, high = (price_per_us, high) if too_slow else (low, price_per_us)

    def theta_entropy(self) -> float:
        """Mean over slots of the entropy of P_theta, in nats: 0 once every choice is made."""
        slots = self.mixed_slots()
        return fmean(torch.special.entr(slot.probabilities()).sum().item() for slot in slots)

    def mixed_slots(self) -> Iterator[MixedSlot]:
        for slot in self.slots:
            assert isinstance(slot, MixedSlot)
            yield slot

    def thetas(self) -> list[nn.Parameter]:
        """The architecture's logits, one tensor per slot."""
        return [slot.theta_K for slot in self.mixed_slots()]

    def weights(self) -> list[nn.Parameter]:
        """Every parameter that is no theta."""
        thetas = {id(theta) for theta in self.thetas()}
        return [parameter for parameter in self.parameters() if id(parameter) not in thetas]

    def _one(self, image_BCHW: Tensor, choice: Masks | Path) -> Tensor:
        x_BCHW: Tensor = self.stem(image_BCHW)
        for slot, chosen in zip(self.mixed_slots(), choice, strict=True):
            if isinstance(chosen, int):
                x_BCHW = slot.along(x_BCHW, chosen, self.recompute)
            else:
                x_BCHW = slot(x_BCHW, chosen, self.recompute)
        logits_BN: Tensor = self.head(x_BCHW)
        return logits_BN


def _use_batch_statistics(module: nn.Module) -> None:
    for layer in module.modules():
        if isinstance(layer, nn.BatchNorm2d):
            layer.track_running_stats = False
            layer.running_mean = layer.running_var = layer.num_batches_tracked = None
