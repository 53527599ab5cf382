"""What visits to programs recorded, and the rounds of samples that they add up to.

Everything here is by name: an operator's key, or the name of a network that ran whole.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Annotated, Self

import numpy as np
from pydantic import Field, PositiveFloat, model_validator

from contract.estimates import Estimate, estimate
from contract.networks import Network
from contract.values import Value

# Of a session's probes: what the calm device needs. Not the least, which may be a freak.
CALM_PROBE_QUANTILE = 0.02

Samples = Annotated[tuple[PositiveFloat, ...], Field(min_length=1)]


class Series(Value):
    """The timed runs of a visit under one plan, in us: all of `samples_us` cover the same runs.

    `probes_us` has the probe before each run and the one after the last.
    """

    samples_us: dict[str, Samples]
    probes_us: Samples

    @model_validator(mode="after")
    def _a_probe_on_either_side(self) -> Self:
        if any(len(samples) != len(self.probes_us) - 1 for samples in self.samples_us.values()):
            raise ValueError("there must be a probe before each run and one after the last")
        return self


class Visit(Value):
    """One visit to a program: a series per plan."""

    series: tuple[Series, ...]

    @property
    def names(self) -> frozenset[str]:
        """Everything that it timed."""
        return frozenset(name for series in self.series for name in series.samples_us)


@dataclass(frozen=True, slots=True)
class Recorded:
    """A visit as the journal kept it."""

    program: str
    visit: Visit
    made: datetime


@dataclass(slots=True)
class Rounds:
    """All samples of one name, by visit, with the drift factor of each; `at` is the last visit."""

    at: datetime
    us: list[list[float]] = field(default_factory=list)
    drift: list[list[float]] = field(default_factory=list)

    def estimate(self) -> Estimate:
        return estimate(self.us, self.drift)

    def multiply(self, factor: float) -> None:
        self.us = [[round(us * factor, 3) for us in samples] for samples in self.us]


def rounds_by_name(recorded: Sequence[Recorded]) -> dict[str, Rounds]:
    """Every name's samples, with how disturbed the device was at each.

    A run's drift factor is the slower of the probes before and after it, over what the probe
    takes on the calm device in this session.
    """
    probes_us = [
        us for each in recorded for series in each.visit.series for us in series.probes_us
    ]
    if not probes_us:
        return {}
    calm_us = float(np.quantile(probes_us, CALM_PROBE_QUANTILE))
    found: dict[str, Rounds] = {}
    for each in recorded:
        for series in each.visit.series:
            drift = _drift(series.probes_us, calm_us)
            for name, samples_us in series.samples_us.items():
                rounds = found.setdefault(name, Rounds(each.made))
                rounds.us.append(list(samples_us))
                rounds.drift.append(drift)
                rounds.at = max(rounds.at, each.made)
    return found


def latency_of(network: Network, latency_us: Mapping[str, float]) -> float:
    """The sum over the network's operators, in us; a skip that is free adds nothing."""
    return sum(latency_us[op.key] for op in network.operators if not op.is_free)


def _drift(probes_us: Sequence[float], calm_us: float) -> list[float]:
    slower = np.maximum(probes_us[:-1], probes_us[1:]) / calm_us
    drift: list[float] = np.round(slower, 3).tolist()
    return drift
