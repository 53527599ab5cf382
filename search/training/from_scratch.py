"""One network trained from scratch, and judged as it would be deployed.

Shape suffixes: B batch, C channels, H height, W width, N classes.
"""

import math
from collections.abc import Callable, Iterator
from itertools import islice
from typing import Any

import torch
import torch.nn.functional as F
from torch import nn
from torch.nn.utils import convert_conv2d_weight_memory_format
from torch.optim import SGD

from contract.errors import Diverged
from search.config import TrainConfig
from search.data import Images
from search.data.images import pass_seed
from search.processes import Processes, Stopped
from search.training.figures import FinalEpoch

CALIBRATION_IMAGES = 10_000


class Training:
    """Plain supervised training, data parallel; stops and resumes like a search."""

    def __init__(
        self,
        module: nn.Module,
        images: Images,
        *,
        config: TrainConfig,
        seed: int,
        processes: Processes | None = None,
        on_step: Callable[[], bool] = lambda: False,
    ) -> None:
        """`on_step` is called after each step; the training stops where it says so."""
        self.module = convert_conv2d_weight_memory_format(module, torch.channels_last)
        self.images = images
        self.config = config
        self.seed = seed
        self.processes = processes or Processes()
        self.on_step = on_step
        self.optimizer = SGD(
            module.parameters(),
            lr=config.lr,
            momentum=config.momentum,
            weight_decay=config.weight_decay,
        )
        self.epoch = 0
        self.losses: list[tuple[float, int]] = []  # of the epoch so far, with their images
        self.shared_module = self.processes.shared(module)

    def epochs(self) -> Iterator[FinalEpoch]:
        """Yield each epoch's mean loss when it is over; begins where the state left off.

        After the last one the module's batch statistics are those of the images.

        Raises:
            Diverged: a loss is not a number; the message names epoch and step.
            Stopped: `on_step` asked for it; `state()` is that after the last step.
        """
        while self.epoch < self.config.epochs:
            self._pass()
            self.processes.adopt_buffers(self.module)
            count = sum(images for _, images in self.losses)
            mean = sum(loss * images for loss, images in self.losses) / count
            self.epoch, self.losses = self.epoch + 1, []
            yield FinalEpoch(epoch=self.epoch, cross_entropy=mean)
        self._calibrate()

    def state(self) -> dict[str, Any]:
        """All that changes as the training goes on, as plain values and tensors."""
        return {
            "module": self.module.state_dict(),
            "optimizer": self.optimizer.state_dict(),
            "epoch": self.epoch,
            "losses": self.losses,
        }

    def load(self, state: dict[str, Any]) -> None:
        """Go on from `state()` of a training of the same network, data and hyper-parameters."""
        self.module.load_state_dict(state["module"])
        self.optimizer.load_state_dict(state["optimizer"])
        self.epoch = state["epoch"]
        self.losses = [(loss, images) for loss, images in state["losses"]]

    @torch.no_grad()
    def _calibrate(self) -> None:
        """Set each batch norm's statistics to their mean over the images, or 10,000 of them.

        The running ones remember the last ten batches, and one of these with an odd image can
        cost a small network a third of its accuracy (Wu and Johnson 2021, "Rethinking 'Batch' in
        BatchNorm", section 3).
        """
        layers = [layer for layer in self.module.modules() if isinstance(layer, nn.BatchNorm2d)]
        momenta = [layer.momentum for layer in layers]
        for layer in layers:
            layer.reset_running_stats()
            layer.momentum = None  # the mean over all batches from here on
        self.module.train()
        batches = self.images.batches(
            self.config.batch_size,
            shuffle=pass_seed(self.seed, "calibration", 0),
            rank=self.processes.rank,
            world=self.processes.world,
        )
        for image_BCHW, _ in islice(
            batches, math.ceil(CALIBRATION_IMAGES / self.config.batch_size)
        ):
            self.module(image_BCHW.to(self.processes.device))
        for layer, momentum in zip(layers, momenta, strict=True):
            layer.momentum = momentum
        self.processes.adopt_buffers(self.module)

    def _pass(self) -> None:
        for group in self.optimizer.param_groups:
            group["lr"] = learning_rate(self.config, self.epoch)
        self.module.train()
        device = self.processes.device
        for image_BCHW, label_B in self.images.batches(
            self.config.batch_size,
            shuffle=pass_seed(self.seed, "final", self.epoch),
            skip=len(self.losses),
            rank=self.processes.rank,
            world=self.processes.world,
        ):
            logits_BN = self.shared_module(image_BCHW.to(device))
            cross_entropy = F.cross_entropy(logits_BN, label_B.to(device))
            torch.autograd.backward(cross_entropy)
            images, total = self.processes.add_up(
                [len(label_B), cross_entropy.item() * len(label_B)]
            )
            if not math.isfinite(total):
                raise Diverged(
                    f"training the network: the loss is {total / images} in epoch "
                    f"{self.epoch + 1}, step {len(self.losses) + 1}; lower its learning rate"
                )
            self.optimizer.step()
            self.optimizer.zero_grad()
            self.losses.append((total / images, int(images)))
            if any(self.processes.add_up([self.on_step()])):
                raise Stopped


def learning_rate(config: TrainConfig, epoch: int) -> float:
    """The learning rate of an epoch, counted from 0."""
    done = epoch / config.epochs
    if config.schedule == "cosine":
        return config.lr * (1 + math.cos(math.pi * done)) / 2
    return config.lr * 0.1 ** int(done * 4)


@torch.no_grad()
def accuracy(module: nn.Module, images: Images, *, batch_size: int, processes: Processes) -> float:
    """Share of `images` that the network names rightly, with its stored batch statistics."""
    module.eval()
    correct = count = 0
    for image_BCHW, label_B in images.batches(
        batch_size, rank=processes.rank, world=processes.world
    ):
        logits_BN = module(image_BCHW.to(processes.device))
        correct += int((logits_BN.argmax(dim=1).cpu() == label_B).sum())
        count += len(label_B)
    all_correct, everything = processes.add_up([correct, count])
    return all_correct / everything
