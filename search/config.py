"""Every hyper-parameter of a search and of a training, with its unit and its source.

Defaults are the paper's (Wu et al. 2019, arXiv:1812.03443), the unstated ones as its
re-implementations agree on. Presets for smaller machines are in `search.presets`.
"""

import math
from dataclasses import dataclass
from typing import Any, Literal

from contract.errors import PhonebookError

Paths = Literal["all", "1", "2"]

# The paper lowers the temperature once per epoch, for 90 epochs.
PAPER_EPOCHS = 90


@dataclass(frozen=True, kw_only=True)
class SearchConfig:
    """Hyper-parameters of the search.

    Raises:
        PhonebookError: a value that no search can have; the message names the option.
    """

    epochs: int = 90
    "Epochs of the search."
    warmup_share: float = 10 / 90
    "Share of the epochs, at the start, that train weights only."
    batch_size: int = 192
    "Images per step, of all processes together, at most."
    paths: Paths = "all"
    "Candidates mixed per slot (the paper: all), or whole paths drawn from P_theta, per step."
    theta_paths: int = 4
    "Paths that a step of theta compares, running forward only; not with --paths all."

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
    "Gumbel-softmax temperature at the start; --paths all only."
    temperature_decay: float = 0.045
    "It is multiplied by exp(-this) 90 times over the search, however long; --paths all only."
    alpha: float = 0.2
    "Loss = cross entropy * alpha * log(latency in us) ** beta; not with --target-ms."
    beta: float = 0.6
    "See alpha."
    target_ms: float | None = None
    "Find a network at most 3 % faster than this and not slower; replaces alpha and beta."

    weights_share: float = 0.8
    "Share of the training images that train weights; the rest trains theta."
    samples: int = 4
    "Architectures drawn from P_theta and listed beside the one that is trained."
    precision: Literal["float32", "bfloat16"] = "float32"
    "`bfloat16` computes convolutions by autocast: less memory, faster on units made for it."
    checkpointing: bool = False
    "Run each block again in the backward pass instead of keeping what it computed."

    def __post_init__(self) -> None:
        _at_least(self, 1, "epochs", "batch_size")
        _at_least(self, 2, "theta_paths")
        _above_zero(self, "weight_lr", "theta_lr", "temperature", "alpha", "beta")
        if self.target_ms is not None:
            _above_zero(self, "target_ms")
        _zero_or_more(self, "weight_decay", "theta_weight_decay", "temperature_decay", "samples")
        _share(self, "warmup_share", "weight_momentum")
        _require(self, "weights_share", 0 < self.weights_share < 1, "between 0 and 1")
        _require(
            self,
            "warmup_share",
            self.warmup_epochs < self.epochs,
            "less: no epoch is left for theta",
        )

    @property
    def warmup_epochs(self) -> int:
        """Epochs that train weights only."""
        return round(self.epochs * self.warmup_share)

    @property
    def drawn_paths(self) -> int | None:
        """Whole paths per step of the weights; None where all candidates are mixed."""
        return None if self.paths == "all" else int(self.paths)

    @property
    def shares_weights(self) -> bool:
        """Whether a slot's candidates have weights in common: where a step trains few of them."""
        return self.drawn_paths is not None

    @property
    def target_us(self) -> float | None:
        return None if self.target_ms is None else self.target_ms * 1000

    def temperature_of(self, epoch: int) -> float:
        """The temperature of an epoch, counted from 0.

        One epoch of a shorter or longer search stands for several of the paper's, or for a part
        of one, and takes the temperature at its end; so every search ends equally cold.
        """
        paper_epoch = (epoch + 1) * PAPER_EPOCHS / self.epochs - 1
        return self.temperature * math.exp(-self.temperature_decay * paper_epoch)


@dataclass(frozen=True, kw_only=True)
class TrainConfig:
    """Hyper-parameters of training one network from scratch.

    Raises:
        PhonebookError: a value that no training can have; the message names the option.
    """

    epochs: int = 360
    "Epochs, on all training images."
    batch_size: int = 256
    "Images per step, of all processes together, at most."
    lr: float = 0.1
    "Learning rate of SGD."
    schedule: Literal["steps", "cosine"] = "steps"
    "`steps`: a tenth after each quarter (the paper's 90, 180, 270); `cosine`: down to 0."
    momentum: float = 0.9
    "Momentum of SGD."
    weight_decay: float = 4e-5
    "Weight decay of all weights."

    def __post_init__(self) -> None:
        _at_least(self, 1, "epochs", "batch_size")
        _above_zero(self, "lr")
        _zero_or_more(self, "weight_decay")
        _share(self, "momentum")


@dataclass(frozen=True, kw_only=True)
class DataConfig:
    """What a run learns from.

    Raises:
        PhonebookError: a value out of range; the message names the option.
    """

    data: str = "digits"
    "`digits`, a folder (IDX files, pictures by class, parquet), or `hub:OWNER/NAME`."
    classes: int | None = None
    "Learn this many classes, drawn at random; else all."
    workers: int = 0
    "Processes that read pictures ahead."

    def __post_init__(self) -> None:
        _zero_or_more(self, "workers")
        if self.classes is not None:
            _at_least(self, 2, "classes")


@dataclass(frozen=True, kw_only=True)
class MachineConfig:
    """How this computer works on a run.

    Raises:
        PhonebookError: a value out of range; the message names the option.
    """

    seed: int = 0
    "Of the splits, the initial weights, the order of images, the masks and the paths."
    threads: int = 2
    "CPU threads of PyTorch, per process."
    accelerator: bool = True
    "Use the accelerator that PyTorch finds, if any."
    logger: Literal["tensorboard"] | None = None
    "Write the figures of metrics.jsonl for TensorBoard too (the extra `tensorboard`)."

    def __post_init__(self) -> None:
        _at_least(self, 1, "threads")
        _zero_or_more(self, "seed")


def _at_least(config: Any, least: int, *options: str) -> None:
    for option in options:
        _require(config, option, getattr(config, option) >= least, f"at least {least}")


def _above_zero(config: Any, *options: str) -> None:
    for option in options:
        value = getattr(config, option)
        _require(config, option, math.isfinite(value) and value > 0, "a number above 0")


def _zero_or_more(config: Any, *options: str) -> None:
    for option in options:
        value = getattr(config, option)
        _require(config, option, math.isfinite(value) and value >= 0, "0 or more")


def _share(config: Any, *options: str) -> None:
    for option in options:
        _require(config, option, 0 <= getattr(config, option) < 1, "0 or more and below 1")


def _require(config: Any, option: str, holds: bool, what: str) -> None:
    if not holds:
        flag = option.replace("_", "-")
        whose = "the training's " if isinstance(config, TrainConfig) else ""
        raise PhonebookError(f"{whose}--{flag} is {getattr(config, option)}, but must be {what}")
