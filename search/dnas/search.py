"""The search itself: steps of the weights and steps of theta, epoch by epoch.

Wu et al. 2019 (arXiv:1812.03443), sections 3.2 and 3.3; where whole paths are drawn, theta
descends by the score function (Williams 1992) with each other path as the baseline (Kool et al.
2019, "Buy 4 REINFORCE samples, get a baseline for free").

Shape suffixes: B batch, C channels, H height, W width, N classes.
"""

import math
import time
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass, field
from statistics import fmean
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor
from torch.optim import SGD, Adam

from contract.errors import Collapsed, Diverged
from search.config import SearchConfig
from search.data import Batch, Images
from search.data.images import pass_seed
from search.dnas.figures import EpochResult, StepResult
from search.dnas.objective import LatencyAware, Objective, ToTarget
from search.processes import Processes, Stopped
from search.supernet.supernet import Supernet

# A search that skips this share of what it may, on average, has lost sight of the images.
COLLAPSED_SHARE = 0.9
# Times the cross entropy of guessing: weights that do worse over an epoch have diverged.
NO_BETTER_THAN = 2.0


@dataclass(kw_only=True)
class Place:
    """How far a search is: the epoch and the steps done in it."""

    epoch: int = 0
    of_weights: list[StepResult] = field(default_factory=list)
    of_theta: list[StepResult] = field(default_factory=list)
    seconds: float = 0.0


class Search:
    """Alternates per epoch: weights on their split, then, after the warm-up, theta on its own.

    Whatever it needs to go on is in `state()`: a search that is stopped and loaded into a new
    one ends as if it had never been.
    """

    def __init__(
        self,
        supernet: Supernet,
        *,
        weight_split: Images,
        theta_split: Images,
        config: SearchConfig,
        seed: int,
        processes: Processes | None = None,
        autocast: torch.dtype | None = None,
        on_step: Callable[[], bool] = lambda: False,
    ) -> None:
        """`on_step` is called after each step; the search stops where it says so."""
        self.supernet = supernet
        self.weight_split = weight_split
        self.theta_split = theta_split
        self.config = config
        self.seed = seed
        self.processes = processes or Processes()
        self.autocast = autocast
        self.on_step = on_step
        self.generator = torch.Generator().manual_seed(seed)
        self.place = Place()
        self.objective: Objective = (
            LatencyAware(alpha=config.alpha, beta=config.beta)
            if config.target_us is None
            else ToTarget(config.target_us)
        )
        self.weight_optimizer = SGD(
            supernet.weights(),
            lr=config.weight_lr,
            momentum=config.weight_momentum,
            weight_decay=config.weight_decay,
        )
        self.theta_optimizer = Adam(
            supernet.thetas(), lr=config.theta_lr, weight_decay=config.theta_weight_decay
        )
        self._let_learn(theta=False)  # the shared module learns its weights alone
        self.shared_supernet = self.processes.shared(supernet)

    def epochs(self) -> Iterator[EpochResult]:
        """Yield each epoch's figures when it is over; begins where the state left off.

        Raises:
            Diverged: a loss is not a number, or an epoch is worse than guessing.
            Collapsed: theta skips nearly everything it may.
            Stopped: `on_step` asked for it; `state()` is that after the last step.
        """
        while self.place.epoch < self.config.epochs:
            if self.config.target_us is not None and self._theta_begins():
                # Not before: along paths that few large blocks are on, these stay untrained, and
                # theta would take what learnt for what is good.
                self.supernet.expect(self.config.target_us)
            began = time.monotonic()
            try:
                self._weights_pass()
                self._theta_pass()
            finally:
                self.place.seconds += time.monotonic() - began
            result = self._result()
            self.place = Place(epoch=self.place.epoch + 1)
            yield result
            self.check(result)

    def weight_step(self, batch: Batch) -> StepResult:
        """One update of the weights; theta stays as it is.

        They descend the plain cross entropy: the latency does not depend on them, so that their
        gradient of equation 2 is that of the cross entropy times a factor of the batch's mask.
        """
        self._let_learn(theta=False)
        choices = self._draw_choices()
        images, label_B = self._moved(batch)
        logits_BN = self._forward(self.shared_supernet, images, choices)
        cross_entropy = torch.stack([F.cross_entropy(one, label_B) for one in logits_BN]).mean()
        torch.autograd.backward(cross_entropy)
        result = self._sum_up(label_B, logits_BN, cross_entropy, self._latency_us(choices))
        if math.isfinite(result.loss):
            self.weight_optimizer.step()
        # Here and not before the next step: gradients that lived on would hold pages apart.
        self.weight_optimizer.zero_grad()
        return result

    def theta_step(self, batch: Batch, *, update: bool) -> StepResult:
        """One update of theta, or a look; the weights stay as they are.

        With masks the gradient flows through output and latency of the same mask. With paths,
        loss = E[CE] combined with E[LAT], both under P_theta: the latter's gradient is exact,
        the former's unbiased.
        """
        self._let_learn(theta=True)
        choices = self._draw_choices(paths=self.config.theta_paths if update else None)
        images, label_B = self._moved(batch)
        by_paths = self.config.drawn_paths is not None
        with torch.set_grad_enabled(update and not by_paths):
            logits_BN = self._forward(self.supernet, images, choices)
            cross_entropies = torch.stack([F.cross_entropy(one, label_B) for one in logits_BN])
        cross_entropy = cross_entropies.mean()
        with torch.set_grad_enabled(update):
            latency_us = self._latency_us(choices)
            if by_paths and update:
                world = self.processes.world
                means = self.processes.add_up([one / world for one in cross_entropies.tolist()])
                cross_entropy = self._scored(means, choices)
            loss = self.objective(cross_entropy, latency_us)
        result = self._sum_up(label_B, logits_BN, cross_entropy, latency_us)
        if update:
            torch.autograd.backward(loss)
            self.processes.average_gradients(self.supernet.thetas())
            if math.isfinite(result.loss):
                self.theta_optimizer.step()
            self.theta_optimizer.zero_grad()
        return result

    def state(self) -> dict[str, Any]:
        """All that changes as the search goes on, as plain values and tensors."""
        return {
            "supernet": self.supernet.state_dict(),
            "weight_optimizer": self.weight_optimizer.state_dict(),
            "theta_optimizer": self.theta_optimizer.state_dict(),
            "generator": self.generator.get_state(),
            "place": asdict(self.place),
        }

    def load(self, state: dict[str, Any]) -> None:
        """Go on from `state()` of a search of the same space, data and hyper-parameters."""
        self.supernet.load_state_dict(state["supernet"])
        self.weight_optimizer.load_state_dict(state["weight_optimizer"])
        self.theta_optimizer.load_state_dict(state["theta_optimizer"])
        self.generator.set_state(state["generator"])
        place = state["place"]
        self.place = Place(
            epoch=place["epoch"],
            of_weights=[StepResult(**step) for step in place["of_weights"]],
            of_theta=[StepResult(**step) for step in place["of_theta"]],
            seconds=place["seconds"],
        )

    def _theta_begins(self) -> bool:
        return self.place == Place(epoch=self.config.warmup_epochs)

    def _weights_pass(self) -> None:
        epoch = self.place.epoch
        cosine = (1 + math.cos(math.pi * epoch / self.config.epochs)) / 2
        for group in self.weight_optimizer.param_groups:
            group["lr"] = self.config.weight_lr * cosine
        for batch in self._batches(self.weight_split, "weights", self.place.of_weights):
            self._take_in(self.weight_step(batch), self.place.of_weights, "--weight-lr")

    def _theta_pass(self) -> None:
        update = self.place.epoch >= self.config.warmup_epochs
        # The weights' last step shows only here.
        option = "--weight-lr or --theta-lr" if update else "--weight-lr"
        for batch in self._batches(self.theta_split, "theta", self.place.of_theta):
            self._take_in(self.theta_step(batch, update=update), self.place.of_theta, option)

    def _batches(self, split: Images, name: str, done: list[StepResult]) -> Iterator[Batch]:
        return split.batches(
            self.config.batch_size,
            shuffle=pass_seed(self.seed, name, self.place.epoch),
            skip=len(done),
            rank=self.processes.rank,
            world=self.processes.world,
        )

    def _take_in(self, result: StepResult, done: list[StepResult], option: str) -> None:
        if not math.isfinite(result.loss):
            raise Diverged(
                f"the search's loss is {result.loss} in epoch {self.place.epoch + 1}, step "
                f"{len(self.place.of_weights) + len(self.place.of_theta) + 1}; lower {option}"
            )
        done.append(result)
        asked = self.on_step()
        if any(self.processes.add_up([asked])):
            raise Stopped

    def _draw_choices(self, paths: int | None = None) -> list[Any]:
        """What runs in a step: one mask per slot, or some whole paths."""
        if self.config.drawn_paths is None:
            temperature = self.config.temperature_of(self.place.epoch)
            return [self.supernet.masks(temperature, self.generator)]
        count = paths or self.config.drawn_paths
        return [self.supernet.path(self.generator) for _ in range(count)]

    def _latency_us(self, choices: list[Any]) -> Tensor:
        if self.config.drawn_paths is None:
            return self.supernet.latency_us(choices[0])
        return self.supernet.expected_latency_us()

    def _scored(self, cross_entropies: list[float], paths: list[Any]) -> Tensor:
        """Their mean, with the gradient of its expectation under P_theta (score function)."""
        mean = fmean(cross_entropies)
        # Each path against the mean of the others: (CE - others) = n / (n - 1) * (CE - mean).
        scores = [
            (cross_entropy - mean) * self.supernet.log_probability(path)
            for cross_entropy, path in zip(cross_entropies, paths, strict=True)
        ]
        score = torch.stack(scores).sum() / (len(paths) - 1)
        return mean + score - score.detach()

    def _sum_up(
        self, label_B: Tensor, logits_BN: list[Tensor], cross_entropy: Tensor, latency_us: Tensor
    ) -> StepResult:
        correct = sum(int((one.argmax(dim=1) == label_B).sum()) for one in logits_BN)
        world = self.processes.world
        images, right, mean = self.processes.add_up(
            [len(label_B), correct / len(logits_BN), cross_entropy.item() / world]
        )
        latency_us = latency_us.detach()
        return StepResult(
            images=int(images),
            cross_entropy=mean,
            latency_term=self.objective.latency_term(latency_us).item(),
            loss=self.objective(torch.tensor(mean), latency_us.cpu()).item(),
            correct=round(right),
        )

    def _forward(
        self, supernet: torch.nn.Module, image_BCHW: Tensor, choices: list[Any]
    ) -> list[Tensor]:
        with torch.autocast(
            image_BCHW.device.type, dtype=self.autocast, enabled=self.autocast is not None
        ):
            logits_BN: list[Tensor] = supernet(image_BCHW, choices)
        return [one.float() for one in logits_BN]

    def _let_learn(self, *, theta: bool) -> None:
        """Let autograd follow theta or the weights alone: half the work, and nothing kept."""
        for parameter in self.supernet.parameters():
            parameter.requires_grad_(not theta)
        for parameter in self.supernet.thetas():
            parameter.requires_grad_(theta)

    def _moved(self, batch: Batch) -> Batch:
        image_BCHW, label_B = batch
        return image_BCHW.to(self.processes.device), label_B.to(self.processes.device)

    def _result(self) -> EpochResult:
        of_weights, of_theta = self.place.of_weights, self.place.of_theta
        images = [step.images for step in of_theta]

        def mean(figure: str) -> float:
            return fmean((getattr(step, figure) for step in of_theta), weights=images)

        return EpochResult(
            epoch=self.place.epoch + 1,
            trains_theta=self.place.epoch >= self.config.warmup_epochs,
            temperature=(
                self.config.temperature_of(self.place.epoch)
                if self.config.drawn_paths is None
                else None
            ),
            weight_cross_entropy=fmean(
                (step.cross_entropy for step in of_weights),
                weights=[step.images for step in of_weights],
            ),
            theta_cross_entropy=mean("cross_entropy"),
            latency_term=mean("latency_term"),
            theta_loss=mean("loss"),
            theta_accuracy=sum(step.correct for step in of_theta) / sum(images),
            expected_latency_us=self.supernet.expected_latency_us().item(),
            theta_entropy=self.supernet.theta_entropy(),
            theta=tuple(
                tuple(slot.probabilities().tolist()) for slot in self.supernet.mixed_slots()
            ),
            seconds=self.place.seconds,
        )

    def check(self, result: EpochResult) -> None:
        """Stop a search that no longer searches; its state was given out by then.

        Raises:
            Diverged: the epoch's weights were far worse than guessing.
            Collapsed: theta skips nearly everything it may, and no target latency holds it.
        """
        guessing = math.log(self.supernet.classes)
        if result.weight_cross_entropy > NO_BETTER_THAN * guessing:
            raise Diverged(
                f"the weights' cross entropy is {result.weight_cross_entropy:.3g} over epoch "
                f"{result.epoch}, that of guessing among the space's "
                f"{self.supernet.classes} classes is {guessing:.3g}; lower --weight-lr, or "
                "take a --preset"
            )
        skips = [slot.skip_probability() for slot in self.supernet.mixed_slots()]
        may_skip = [probability for probability in skips if probability is not None]
        if self.config.target_us is None and may_skip and fmean(may_skip) > COLLAPSED_SHARE:
            raise Collapsed(
                f"after epoch {result.epoch} theta skips {fmean(may_skip):.0%} of what may be "
                "skipped: the latency outweighs the images; raise --warmup-share, lower "
                "--theta-lr or --beta, or say how fast the network shall be with --target-ms"
            )
