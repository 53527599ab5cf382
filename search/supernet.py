"""The stochastic super network of FBNet: every candidate of every slot, weighed by theta.

Wu et al. 2019 (arXiv:1812.03443), section 3.3.

Shape suffixes: B batch, C channels, H height, W width, K candidates of a slot, N classes.
"""

from collections.abc import Iterator, Sequence
from statistics import fmean

import torch
from torch import Tensor, nn
from torch.nn.utils import convert_conv2d_weight_memory_format

from contract.blocks import MBConv
from contract.errors import PhonebookError
from contract.operators import Operator
from contract.slots import Slot
from contract.spaces import SearchSpace
from contract.tables import LatencyTable
from search.blocks import InvertedResidual, begin_as_shortcuts, build
from search.fused import Weights, branch

Masks = list[Tensor]  # per slot how much each candidate counts (K), summing to 1
Path = tuple[int, ...]  # per slot the candidate that runs

_MOST_LOGITS = 50.0
_HALVINGS = 50


class MixedSlot(nn.Module):
    """One slot: its candidates, their latencies in us, and the logits of choosing among them."""

    latency_us_K: Tensor

    def __init__(
        self, slot: Slot, operators: Sequence[Operator], latencies_us: Sequence[float]
    ) -> None:
        super().__init__()
        self.keeps_shape = slot.keeps_shape
        self.operators = tuple(operators)
        self.candidates = nn.ModuleList(build(operator) for operator in operators)
        self.owners: dict[int, int] = {}  # whose weights a candidate takes a part of
        self.theta_K = nn.Parameter(torch.zeros(len(operators)))
        self.register_buffer("latency_us_K", torch.tensor(latencies_us))
        # Untrained blocks then do not drown each other, whatever path is drawn: on Fashion-MNIST
        # the cross entropy along paths was 2.10 instead of 2.46 after three epochs.
        begin_as_shortcuts(self)

    def probabilities(self) -> Tensor:
        """P_theta of each candidate, without noise (equation 5)."""
        return self.theta_K.softmax(dim=0)

    def skip_probability(self) -> float | None:
        """P_theta of computing nothing; None where the shape changes and something must."""
        probability_K = self.probabilities()
        free = [index for index, operator in enumerate(self.operators) if operator.is_free]
        return probability_K[free[0]].item() if free else None

    def mask(self, temperature: float, generator: torch.Generator) -> Tensor:
        """A Gumbel-softmax sample over the candidates, which sums to one (equation 7)."""
        return ((self.theta_K + self._gumbel_noise(generator)) / temperature).softmax(dim=0)

    def draw(self, generator: torch.Generator) -> int:
        """A candidate, with its probability."""
        return int((self.theta_K + self._gumbel_noise(generator)).argmax())

    def forward(self, x_BCHW: Tensor, weight_K: Tensor, recompute: bool) -> Tensor:
        """The candidates' outputs, each times its weight.

        All shortcuts and the skip pass the input on, and their weights sum to one; so it is added
        once.
        """
        branches = (
            branch(
                candidate,
                self._weights(index),
                x_BCHW,
                gate=weight_K[index],
                recompute=recompute,
            )
            for index, candidate in enumerate(self.candidates)
            if isinstance(candidate, InvertedResidual)
        )
        mixed_BCHW = next(branches)
        for output_BCHW in branches:
            mixed_BCHW = mixed_BCHW.add_(output_BCHW)
        return x_BCHW + mixed_BCHW if self.keeps_shape else mixed_BCHW

    def along(self, x_BCHW: Tensor, index: int, recompute: bool) -> Tensor:
        """The output of one candidate."""
        candidate = self.candidates[index]
        if not isinstance(candidate, InvertedResidual):
            return x_BCHW
        output_BCHW = branch(candidate, self._weights(index), x_BCHW, recompute=recompute)
        return x_BCHW + output_BCHW if self.keeps_shape else output_BCHW

    def share_weights(self) -> None:
        """Let candidates with as many groups have the weights of the largest among them in common.

        The smaller ones take its first channels and the middle of its kernels (Yu et al. 2020,
        "BigNAS", arXiv:2003.11142, section 3.1). So every step trains most of a slot, not one
        candidate of nine; each keeps its own batch norms.
        """
        families: dict[tuple[int, int], list[tuple[int, int, int]]] = {}
        for index, operator in enumerate(self.operators):
            block = operator.block
            if isinstance(block, MBConv):
                # The first channels of a wider grouped convolution lie in one group alone.
                middle = block.middle(operator.slot)
                family = (block.groups, middle if block.groups > 1 else 0)
                size = (middle, block.kernel_size, index)
                families.setdefault(family, []).append(size)
        for sizes in families.values():
            *_, owner = max(sizes)
            for *_, index in sizes:
                if index != owner:
                    self.owners[index] = owner
                    for conv in self._convolutions(index):
                        conv.register_parameter("weight", None)

    def _weights(self, index: int) -> Weights:
        """Those of a candidate's three convolutions: its own, or a part of its owner's."""
        expand, depthwise, project = self._convolutions(self.owners.get(index, index))
        if index not in self.owners:
            return expand.weight, depthwise.weight, project.weight
        middle = self._convolutions(index)[1]
        channels, size = middle.out_channels, middle.kernel_size[0]
        edge = (depthwise.kernel_size[0] - size) // 2
        inside = slice(edge, edge + size)
        return (
            expand.weight[:channels],
            depthwise.weight[:channels, :, inside, inside],
            project.weight[:, : channels // project.groups],
        )

    def _convolutions(self, index: int) -> list[nn.Conv2d]:
        candidate = self.candidates[index]
        assert isinstance(candidate, InvertedResidual)
        stages = (candidate.expand, candidate.depthwise, candidate.project)
        convolutions = [stage[0] for stage in stages]
        return [conv for conv in convolutions if isinstance(conv, nn.Conv2d)]

    def _gumbel_noise(self, generator: torch.Generator) -> Tensor:
        # -log(Exponential) is Gumbel noise and, unlike -log(-log(uniform)), always finite. Drawn
        # on the CPU, so that every process and every accelerator gets the same.
        noise_K = -torch.empty(self.theta_K.shape).exponential_(generator=generator).log()
        return noise_K.to(self.theta_K.device)


class Supernet(nn.Module):
    """All networks of a space at once, priced by one device's table.

    Batch norms always use the statistics of the batch: averages kept over masks or paths would
    belong to no network. With `recompute` each block runs again in the backward pass, and only
    its input is kept. With `shares_weights` the candidates of a slot do not learn alone.

    Raises:
        IncompleteTable: the table lacks an operator of the space.
        PhonebookError: stem and head take 1 us or less, so that log(LAT) is no price.
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
        if self.fixed_us <= 1:
            raise PhonebookError(
                f"stem and head take {self.fixed_us:g} us on {table.device}, but the logarithm of "
                "the latency is a price only above 1 us; is the table in microseconds?"
            )
        self.classes = space.classes
        self.recompute = recompute
        self.stem = build(space.stem)
        self.slots = nn.ModuleList(
            MixedSlot(slot, operators, [latencies_us[operator] for operator in operators])
            for _, slot, operators in space.choices
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
