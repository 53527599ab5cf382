"""How much slower a device is at one time than at another, by networks measured both times.

A device that shares its caches and memory with other work is some percent slower on one day than
on another, of which its probes tell a part, and not all networks alike. So two latencies are
compared at one level: both beside the same reference networks. What differs from network to
network is a random effect (DerSimonian and Laird, 1986, "Meta-analysis in clinical trials"), and
part of the interval.
"""

import math
from collections.abc import Sequence
from statistics import fmean
from typing import Protocol
from uuid import UUID

from pydantic import Field, PositiveFloat, model_validator

from contract.estimates import NORMAL, Estimate, Microseconds, student_quantile
from contract.values import Value
from contract.visits import ProgramName

LEAST_REFERENCES = 3  # from which a level can be told, and how sure it is
_LEAST_SD = 1e-4  # of a logarithm: samples that are all equal are not certain


class Reference(Value):
    """A network that a session timed whole, in us, with its 95 % interval."""

    program: ProgramName
    latency_us: Microseconds
    low_us: Microseconds
    high_us: Microseconds

    @classmethod
    def of(cls, program: str, estimate: Estimate) -> "Reference":
        return cls(
            program=program,
            latency_us=estimate.latency_us,
            low_us=estimate.low_us,
            high_us=estimate.high_us,
        )

    def multiplied(self, factor: float) -> "Reference":
        return self.evolve(
            latency_us=self.latency_us * factor,
            low_us=self.low_us * factor,
            high_us=self.high_us * factor,
        )


class Level(Value):
    """How many times longer a network takes now than it took in `session`.

    By `references` networks that were measured both times. `low` and `high` bound it with 95 %
    confidence for one network more, not for the mean of them all.
    """

    session: UUID
    factor: PositiveFloat
    low: PositiveFloat
    high: PositiveFloat
    references: int = Field(ge=LEAST_REFERENCES)

    @property
    def words(self) -> str:
        """`took 1.031 times as long as in its table's session 90ce8fee (1.02 to 1.04, by 6
        networks)`."""
        return (
            f"took {self.factor:.3f} times as long as in its table's session "
            f"{str(self.session)[:8]} ({self.low:.2f} to {self.high:.2f}, by {self.references} "
            "networks)"
        )

    @model_validator(mode="after")
    def _in_order(self) -> "Level":
        if not self.low <= self.factor <= self.high:
            raise ValueError("the interval must hold the factor")
        return self


class AtLevel(Value):
    """A latency in us as it would have been in `level.session`, with its 95 % interval."""

    level: Level
    latency_us: Microseconds
    low_us: Microseconds
    high_us: Microseconds

    @property
    def words(self) -> str:
        """`took 1.031 times as long as [...]; at that level 404.1 us (399.0 to 409.3)`."""
        return (
            f"{self.level.words}; at that level {self.latency_us:,.1f} us "
            f"({self.low_us:,.1f} to {self.high_us:,.1f})"
        )

    @classmethod
    def of(cls, measured: Estimate, level: Level) -> "AtLevel":
        latency_us = measured.latency_us / level.factor
        apart = math.hypot(
            _half_width(measured.latency_us, measured.low_us, measured.high_us),
            _half_width(level.factor, level.low, level.high),
        )
        return cls(
            level=level,
            latency_us=round(latency_us, 4),
            low_us=round(latency_us * math.exp(-apart), 4),
            high_us=round(latency_us * math.exp(apart), 4),
        )


def level(session: UUID, then: Sequence[Reference], now: Sequence[Reference]) -> Level | None:
    """The device's level now, against the session that measured those references then.

    None where fewer than 3 programs are in both.
    """
    again_by_program = {each.program: each for each in now}
    logs, variances = [], []
    for reference in then:
        again = again_by_program.get(reference.program)
        if again is None:
            continue
        logs.append(math.log(again.latency_us / reference.latency_us))
        apart = math.hypot(
            _half_width(reference.latency_us, reference.low_us, reference.high_us),
            _half_width(again.latency_us, again.low_us, again.high_us),
        )
        variances.append(max(apart / NORMAL, _LEAST_SD) ** 2)
    if len(logs) < LEAST_REFERENCES:
        return None
    between = _between(logs, variances)
    weights = [1 / (variance + between) for variance in variances]
    mean = fmean(logs, weights)
    apart = student_quantile(len(logs) - 1) * math.sqrt(between + 1 / sum(weights))
    return Level(
        session=session,
        factor=math.exp(mean),
        low=math.exp(mean - apart),
        high=math.exp(mean + apart),
        references=len(logs),
    )


class Interval(Protocol):
    """A latency in us with its 95 % interval."""

    @property
    def latency_us(self) -> float: ...
    @property
    def low_us(self) -> float: ...
    @property
    def high_us(self) -> float: ...


def is_within(first: Interval, second: Interval, level: Level | None = None) -> bool:
    """Whether two latencies lie no farther apart than their joint 95 % interval; with a level, the
    second at that of the first."""
    apart = math.log(second.latency_us / first.latency_us / (level.factor if level else 1))
    unsure = [_half_width(each.latency_us, each.low_us, each.high_us) for each in (first, second)]
    if level is not None:
        unsure.append(_half_width(level.factor, level.low, level.high))
    return abs(apart) <= math.hypot(*unsure)


def _between(logs: Sequence[float], variances: Sequence[float]) -> float:
    """The variance from network to network, beyond that of each one's own uncertainty."""
    weights = [1 / variance for variance in variances]
    mean = fmean(logs, weights)
    q = sum(w * (log - mean) ** 2 for w, log in zip(weights, logs, strict=True))
    scale = sum(weights) - sum(w * w for w in weights) / sum(weights)
    return max(0.0, (q - (len(logs) - 1)) / scale)


def _half_width(middle: float, low: float, high: float) -> float:
    """Half of the interval, in logarithms; the wider side where they differ."""
    return max(math.log(high / middle), math.log(middle / low))
