"""The figures of a search's steps and epochs."""

from dataclasses import dataclass


@dataclass(frozen=True, kw_only=True, slots=True)
class StepResult:
    """What one batch showed, before its update, over all processes."""

    images: int
    cross_entropy: float
    latency_term: float
    loss: float
    correct: int


@dataclass(frozen=True, kw_only=True, slots=True)
class EpochResult:
    """One epoch's figures: what weights met on their split, then theta on its own."""

    epoch: int  # from 1
    trains_theta: bool
    temperature: float | None  # of the masks; no mask, no temperature
    weight_cross_entropy: float
    theta_cross_entropy: float
    latency_term: float  # alpha * log(LAT) ** beta, or the penalty for missing the target
    theta_loss: float
    theta_accuracy: float  # share of the theta split, under its masks or along its paths
    expected_latency_us: float  # under P_theta, without noise
    theta_entropy: float  # nats, mean over slots
    theta: tuple[tuple[float, ...], ...]  # P_theta of each candidate, one tuple per slot
    seconds: float
