"""The network that a search found, trained from scratch and judged as it would be deployed.

Shape suffixes: B batch, C channels, H height, W width, N classes.
"""

import math
from collections.abc import Callable, Iterator

import torch
import torch.nn.functional as F
from torch import nn
from torch.optim import SGD
from torch.optim.lr_scheduler import CosineAnnealingLR

from contract.errors import Diverged
from contract.values import Value
from search.config import SearchConfig
from search.data import Images


class FinalEpoch(Value):
    """One epoch of training the network found."""

    epoch: int  # from 1
    cross_entropy: float


def train(
    module: nn.Module,
    images: Images,
    config: SearchConfig,
    *,
    generator: torch.Generator,
    on_step: Callable[[], None],
) -> Iterator[FinalEpoch]:
    """Plain supervised training; yields each epoch's mean loss when it is over.

    Raises:
        Diverged: a loss is not a number; the message names epoch and step.
    """
    optimizer = SGD(
        module.parameters(),
        lr=config.final_lr,
        momentum=config.weight_momentum,
        weight_decay=config.final_weight_decay,
    )
    cosine = CosineAnnealingLR(optimizer, T_max=config.final_epochs)
    module.train()
    for epoch in range(1, config.final_epochs + 1):
        total = 0.0
        shuffle = int(torch.randint(2**62, (), generator=generator))
        for number, (image_BCHW, label_B) in enumerate(
            images.batches(config.batch_size, shuffle=shuffle), start=1
        ):
            loss = F.cross_entropy(module(image_BCHW), label_B)
            if not math.isfinite(loss.item()):
                raise Diverged(
                    f"training the network found: the loss is {loss.item()} in epoch {epoch}, "
                    f"step {number}; lower --final-lr"
                )
            optimizer.zero_grad()
            torch.autograd.backward(loss)
            optimizer.step()
            total += loss.item() * len(label_B)
            on_step()
        cosine.step()
        yield FinalEpoch(epoch=epoch, cross_entropy=total / len(images))


@torch.no_grad()
def accuracy(module: nn.Module, images: Images, *, batch_size: int) -> float:
    """Share of `images` that the network names rightly, with its stored batch statistics."""
    module.eval()
    correct = 0
    for image_BCHW, label_B in images.batches(batch_size):
        logits_BN = module(image_BCHW)
        correct += int((logits_BN.argmax(dim=1) == label_B).sum())
    return correct / len(images)
