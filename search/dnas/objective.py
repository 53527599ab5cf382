"""What theta descends: the cross entropy, and a price on the latency."""

from typing import Protocol

from torch import Tensor

# 2 % from the target the penalty pulls as hard as a cross entropy would that changed by 1 where
# the latency changes by a factor of e. What is left, the derivation takes care of.
TARGET_STIFFNESS = 50.0


class Objective(Protocol):
    """Combines a cross entropy and a latency in us, both scalars that may carry gradients."""

    def latency_term(self, latency_us: Tensor) -> Tensor:
        """The price of that latency."""
        ...

    def __call__(self, cross_entropy: Tensor, latency_us: Tensor) -> Tensor: ...


class LatencyAware:
    """Equation 2 of Wu et al. 2019: CE * alpha * log(LAT) ** beta, LAT in us.

    The power is outside the logarithm.
    """

    def __init__(self, *, alpha: float, beta: float) -> None:
        self.alpha = alpha
        self.beta = beta

    def latency_term(self, latency_us: Tensor) -> Tensor:
        return self.alpha * latency_us.log() ** self.beta

    def __call__(self, cross_entropy: Tensor, latency_us: Tensor) -> Tensor:
        return cross_entropy * self.latency_term(latency_us)


class ToTarget:
    """CE + stiffness / 2 * log(LAT / target) ** 2: a quadratic penalty, on either side.

    It needs no tuning to the data or the table: the logarithm makes the constraint free of units,
    and close to the target the cross entropy decides.
    """

    def __init__(self, target_us: float) -> None:
        self.target_us = target_us

    def latency_term(self, latency_us: Tensor) -> Tensor:
        return TARGET_STIFFNESS / 2 * (latency_us / self.target_us).log() ** 2

    def __call__(self, cross_entropy: Tensor, latency_us: Tensor) -> Tensor:
        return cross_entropy + self.latency_term(latency_us)
