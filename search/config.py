"""Every hyper-parameter of a search, with its unit and its source.

Defaults are the paper's (Wu et al. 2019, arXiv:1812.03443), the unstated ones as its
re-implementations agree on.
"""

import math
from dataclasses import dataclass

from contract.errors import PhonebookError
from contract.spaces import FBNET_BLOCKS

# The paper lowers the temperature once per epoch, for 90 epochs.
PAPER_EPOCHS = 90


@dataclass(frozen=True, kw_only=True)
class SearchConfig:
    """Hyper-parameters of the search and of training what it found.

    Raises:
        PhonebookError: a value that no search can have; the message names the option.
    """

    epochs: int = 90
    "Epochs of the search."
    warmup_share: float = 10 / 90
    "Share of the epochs, at the start, that train weights only."
    batch_size: int = 192
    "Images per step, at most."
    paths: int = 9
    """Candidates of each slot that run per step: 9 is the paper's way; fewer take less time and
    memory per step, but many more steps until the weights have learned anything."""

    weight_lr: float = 0.1
    "Learning rate of the weights (SGD), lowered to 0 by a cosine."
    weight_momentum: float = 0.9
    "Momentum of the weights."
    weight_decay: float = 1e-4
    "Weight decay of the weights."
    theta_lr: float = 0.01
    "Learning rate of theta (Adam)."
    theta_weight_decay: float = 5e-4
    "Weight decay of theta."

    temperature: float = 5.0
    "Gumbel-softmax temperature at the start."
    temperature_decay: float = 0.045
    "The temperature is multiplied by exp(-this) 90 times over the search, however long."
    alpha: float = 0.2
    "Loss = cross entropy * alpha * log(latency in us) ** beta."
    beta: float = 0.6
    "See alpha."

    weights_share: float = 0.8
    "Share of the training images that train weights; the rest trains theta."
    samples: int = 4
    "Architectures drawn from P_theta and listed beside the most probable one."
    seed: int = 0
    "Of the splits, the initial weights, the order of images and the Gumbel noise."
    threads: int = 2
    "CPU threads of PyTorch."

    final_epochs: int = 90
    "Epochs that train the network found, from scratch, on all training images; the paper's 360."
    final_lr: float = 0.1
    "Its learning rate (SGD, the weights' momentum), lowered to 0 by a cosine."
    final_weight_decay: float = 4e-5
    "Its weight decay."

    def __post_init__(self) -> None:
        for option in ("epochs", "batch_size", "paths", "threads", "final_epochs"):
            self._require(option, getattr(self, option) >= 1, "at least 1")
        self._require("paths", self.paths <= len(FBNET_BLOCKS), f"at most {len(FBNET_BLOCKS)}")
        for option in ("weight_lr", "theta_lr", "temperature", "alpha", "beta", "final_lr"):
            value = getattr(self, option)
            self._require(option, math.isfinite(value) and value > 0, "a number above 0")
        for option in (
            "weight_decay",
            "theta_weight_decay",
            "temperature_decay",
            "final_weight_decay",
            "samples",
            "seed",
        ):
            value = getattr(self, option)
            self._require(option, math.isfinite(value) and value >= 0, "0 or more")
        for option in ("warmup_share", "weight_momentum"):
            self._require(option, 0 <= getattr(self, option) < 1, "0 or more and below 1")
        self._require("weights_share", 0 < self.weights_share < 1, "between 0 and 1")
        self._require(
            "warmup_share", self.warmup_epochs < self.epochs, "less: no epoch is left for theta"
        )

    @property
    def warmup_epochs(self) -> int:
        """Epochs that train weights only."""
        return round(self.epochs * self.warmup_share)

    def temperature_of(self, epoch: int) -> float:
        """The temperature of an epoch, counted from 0.

        One epoch of a shorter or longer search stands for several of the paper's, or for a part
        of one, and takes the temperature at its end; so every search ends equally cold.
        """
        paper_epoch = (epoch + 1) * PAPER_EPOCHS / self.epochs - 1
        return self.temperature * math.exp(-self.temperature_decay * paper_epoch)

    def _require(self, option: str, holds: bool, what: str) -> None:
        if not holds:
            flag = option.replace("_", "-")
            raise PhonebookError(f"--{flag} is {getattr(self, option)}, but must be {what}")
