"""The search itself: FBNet's loss, one step, one epoch.

Wu et al. 2019 (arXiv:1812.03443), sections 3.2 and 3.3.

Shape suffixes: B batch, C channels, H height, W width, N classes, K candidates of a slot.
"""

import math
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from statistics import fmean

import torch
import torch.nn.functional as F
from torch import Tensor
from torch.optim import SGD, Adam, Optimizer
from torch.optim.lr_scheduler import CosineAnnealingLR

from contract.errors import Diverged, PhonebookError
from search.config import SearchConfig
from search.data import Batch, Images
from search.supernet import Supernet

Objective = Callable[[Tensor, Tensor], Tensor]  # of the cross entropy and the latency in us


def latency_aware_loss(
    cross_entropy: Tensor, latency_us: Tensor, *, alpha: float, beta: float
) -> Tensor:
    """Equation 2: CE * alpha * log(LAT) ** beta, with LAT in us and the power outside the log.

    Raises:
        PhonebookError: LAT is 1 us or less, where the logarithm is no longer a price.
    """
    if latency_us.item() <= 1:
        raise PhonebookError(
            f"the expected latency is {latency_us.item():g} us, but its logarithm is a price only "
            "above 1 us; is the table in microseconds?"
        )
    return cross_entropy * alpha * latency_us.log() ** beta


def cross_entropy_alone(cross_entropy: Tensor, latency_us: Tensor) -> Tensor:
    """What the weights descend.

    The latency does not depend on them, so their gradient of equation 2 is that of the cross
    entropy times a factor of the batch's mask: the same direction at an unsteady learning rate.
    """
    return cross_entropy


@dataclass(frozen=True, kw_only=True, slots=True)
class StepResult:
    """What one batch showed, before its update."""

    images: int
    cross_entropy: float
    latency_us: float
    loss: float
    correct: int


def step(
    supernet: Supernet,
    batch: Batch,
    objective: Objective,
    optimizer: Optimizer | None,
    *,
    temperature: float,
    generator: torch.Generator,
) -> StepResult:
    """One update of whichever parameters `optimizer` owns; without one, only a look."""
    image_BCHW, label_B = batch
    with torch.set_grad_enabled(optimizer is not None):
        logits_BN, latency_us = supernet(image_BCHW, temperature, generator)
        cross_entropy = F.cross_entropy(logits_BN, label_B)
        loss = objective(cross_entropy, latency_us)
    if optimizer is not None:
        optimizer.zero_grad()
        # Naming the inputs spares the gradients of the parameters that the other optimizer owns.
        owned = [p for group in optimizer.param_groups for p in group["params"]]
        torch.autograd.backward(loss, inputs=owned)
        optimizer.step()
    return StepResult(
        images=len(label_B),
        cross_entropy=cross_entropy.item(),
        latency_us=latency_us.item(),
        loss=loss.item(),
        correct=int((logits_BN.argmax(dim=1) == label_B).sum()),
    )


@dataclass(frozen=True, kw_only=True, slots=True)
class EpochResult:
    """One epoch's figures: what weights met on their split, then theta on its own."""

    epoch: int  # from 1
    trains_theta: bool
    temperature: float
    weight_cross_entropy: float
    theta_cross_entropy: float
    latency_factor: float  # alpha * log(LAT) ** beta
    theta_loss: float  # the product of the two
    theta_accuracy: float  # share, of the mixed network on the theta split
    expected_latency_us: float  # under P_theta, without noise
    theta_entropy: float  # nats, mean over slots
    seconds: float


class Search:
    """Alternates per epoch: weights on their split, then, after the warm-up, theta on its own."""

    def __init__(
        self,
        supernet: Supernet,
        *,
        weight_split: Images,
        theta_split: Images,
        config: SearchConfig,
        generator: torch.Generator,
        on_step: Callable[[], None],
    ) -> None:
        self.supernet = supernet
        self.weight_split = weight_split
        self.theta_split = theta_split
        self.config = config
        self.generator = generator
        self.on_step = on_step
        self.weight_optimizer = SGD(
            supernet.weights(),
            lr=config.weight_lr,
            momentum=config.weight_momentum,
            weight_decay=config.weight_decay,
        )
        self.theta_optimizer = Adam(
            supernet.thetas(), lr=config.theta_lr, weight_decay=config.theta_weight_decay
        )
        self.latency_aware = partial(latency_aware_loss, alpha=config.alpha, beta=config.beta)

    def epochs(self) -> Iterator[EpochResult]:
        """Yield each epoch's figures when it is over.

        Raises:
            Diverged: a loss is not a number; the message names epoch and step.
            PhonebookError: the expected latency is 1 us or less.
        """
        cosine = CosineAnnealingLR(self.weight_optimizer, T_max=self.config.epochs)
        for epoch in range(self.config.epochs):
            began = time.monotonic()
            trains_theta = epoch >= self.config.warmup_epochs
            of_weights = self._pass(
                epoch, self.weight_split, cross_entropy_alone, self.weight_optimizer
            )
            of_theta = self._pass(
                epoch,
                self.theta_split,
                self.latency_aware,
                self.theta_optimizer if trains_theta else None,
            )
            cosine.step()
            images = [result.images for result in of_theta]
            yield EpochResult(
                epoch=epoch + 1,
                trains_theta=trains_theta,
                temperature=self.config.temperature_of(epoch),
                weight_cross_entropy=fmean(
                    (result.cross_entropy for result in of_weights),
                    weights=[result.images for result in of_weights],
                ),
                theta_cross_entropy=fmean((r.cross_entropy for r in of_theta), weights=images),
                latency_factor=fmean((r.loss / r.cross_entropy for r in of_theta), weights=images),
                theta_loss=fmean((r.loss for r in of_theta), weights=images),
                theta_accuracy=sum(r.correct for r in of_theta) / sum(images),
                expected_latency_us=self.supernet.expected_latency_us(),
                theta_entropy=self.supernet.theta_entropy(),
                seconds=time.monotonic() - began,
            )

    def _pass(
        self, epoch: int, split: Images, objective: Objective, optimizer: Optimizer | None
    ) -> list[StepResult]:
        results: list[StepResult] = []
        shuffle = int(torch.randint(2**62, (), generator=self.generator))
        for batch in split.batches(self.config.batch_size, shuffle=shuffle):
            result = step(
                self.supernet,
                batch,
                objective,
                optimizer,
                temperature=self.config.temperature_of(epoch),
                generator=self.generator,
            )
            results.append(result)
            if not math.isfinite(result.loss):
                raise Diverged(
                    f"the search's loss is {result.loss} in epoch {epoch + 1}, "
                    f"step {len(results)}; lower --weight-lr or --theta-lr"
                )
            self.on_step()
        return results
