"""Networks whose latency lies in a window: the most probable one, or fair draws among them.

A knapsack with one choice per slot, solved by dynamic programming over latencies rounded up to a
grid, so that what lies within 0.02 % of the window's edges may be missed (Kellerer
et al. 2004, "Knapsack Problems", chapter 11).

Shape suffixes: K candidates of a slot, U units of latency.
"""

import math
from collections.abc import Callable, Sequence

import torch
from torch import Tensor

from contract.errors import PhonebookError

UNITS = 100_000  # 22 slots, rounded up, overstate a network by 0.02 % at most
Combine = Callable[[Tensor, Tensor], Tensor]  # of two log weights
Pick = Callable[[Tensor], int]  # an index of log weights

# A probability that underflowed to 0: where nothing else fits, it counts all the same.
LEAST_LOG = -1e4

SLACK = 0.03  # a network for a target may be this share faster than it


class Window:
    """The choices, one per slot, whose latencies sum up to a target or at most 3 % less.

    Args:
        latencies_us: per slot, of each candidate.
        fixed_us: of stem and head.
        target_us: of the whole network.

    Raises:
        PhonebookError: no network of the space lies in the window; the message says the range.
    """

    def __init__(
        self, latencies_us: Sequence[Sequence[float]], *, fixed_us: float, target_us: float
    ) -> None:
        fastest_us = fixed_us + sum(map(min, latencies_us))
        slowest_us = fixed_us + sum(map(max, latencies_us))
        spread = f"the networks of the space take {fastest_us / 1000:.4g} to "
        spread += f"{slowest_us / 1000:.4g} ms on this device"
        shown = f"--target-ms {target_us / 1000:g}"
        if not fastest_us <= target_us <= slowest_us / (1 - SLACK):
            raise PhonebookError(f"{shown} is out of reach: {spread}; give one between")
        unit_us = max((target_us - fixed_us) / UNITS, 1e-9)
        self._units = [[math.ceil(us / unit_us) for us in slot] for slot in latencies_us]
        rounded_up = len(latencies_us)  # units at most
        least_us = target_us * (1 - SLACK) - fixed_us
        self._least = max(math.ceil(least_us / unit_us) + rounded_up, 0)
        even = [torch.zeros(len(slot)) for slot in latencies_us]
        if not self._sums(even, combine=torch.maximum)[0][self._least :].isfinite().any():
            raise PhonebookError(
                f"{shown} is met by no network within {SLACK:.0%}, though {spread}; "
                "give another target"
            )

    def most_probable(self, probabilities: Sequence[Tensor]) -> tuple[int, ...]:
        """The choice within the window whose product of probabilities is largest."""
        logs_K = [_logs(probability_K) for probability_K in probabilities]
        best = self._sums(logs_K, combine=torch.maximum)
        return self._walk(logs_K, best, pick=lambda score: int(score.argmax()))

    def draws(
        self, probabilities: Sequence[Tensor], generator: torch.Generator, *, count: int
    ) -> list[tuple[int, ...]]:
        """Independent choices, each with its probability among those within the window."""
        logs_K = [_logs(probability_K) for probability_K in probabilities]
        total = self._sums(logs_K, combine=torch.logaddexp)

        def pick(score: Tensor) -> int:
            return int(torch.multinomial(score.softmax(dim=0), 1, generator=generator))

        return [self._walk(logs_K, total, pick=pick) for _ in range(count)]

    def _sums(self, logs_K: Sequence[Tensor], *, combine: Combine) -> list[Tensor]:
        """Per slot and units left: the log weight of all ways to spend just these from there on.

        After the last slot only nothing is left to spend.
        """
        end_U = torch.full((UNITS + 1,), -math.inf, dtype=torch.float64)
        end_U[0] = 0.0
        sums = [end_U]
        for units, log_K in zip(reversed(self._units), reversed(logs_K), strict=True):
            here_U = torch.full_like(end_U, -math.inf)
            for cost, log in zip(units, log_K.tolist(), strict=True):
                if cost <= UNITS:
                    here_U[cost:] = combine(here_U[cost:], sums[0][: UNITS + 1 - cost] + log)
            sums.insert(0, here_U)
        return sums

    def _walk(
        self, logs_K: Sequence[Tensor], sums: Sequence[Tensor], *, pick: Pick
    ) -> tuple[int, ...]:
        left = self._least + pick(sums[0][self._least :])
        choice = []
        for units, log_K, after_U in zip(self._units, logs_K, sums[1:], strict=True):
            score_K = torch.tensor(
                [
                    log + after_U[left - cost].item() if cost <= left else -math.inf
                    for cost, log in zip(units, log_K.tolist(), strict=True)
                ],
                dtype=torch.float64,
            )
            choice.append(pick(score_K))
            left -= units[choice[-1]]
        return tuple(choice)


def _logs(probability_K: Tensor) -> Tensor:
    return probability_K.detach().double().cpu().log().clamp(min=LEAST_LOG)
