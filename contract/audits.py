"""An audit: whole networks measured on the device, against the sum of their rows.

It is what keeps a table honest: nothing is fitted to the networks' times before the figures are
taken. Whoever has chosen anything by an audit needs another seed for the next.
"""

from collections.abc import Sequence
from statistics import fmean
from typing import Annotated, Self
from uuid import UUID

from pydantic import (
    AwareDatetime,
    Field,
    NonNegativeFloat,
    PositiveInt,
    StringConstraints,
    model_validator,
)

from contract.devices import Conditions, DeviceName
from contract.estimates import MeasuredEstimate, Microseconds, quantile
from contract.levels import Level
from contract.ranking import kendall_tau, spearman
from contract.runtime import Runtime
from contract.sessions import Origin
from contract.spaces import SpaceName
from contract.values import Value

LEAST_NETWORKS = 3  # that rank correlation and a cross-validated line make sense for
MOST_NETWORKS = 500  # the figures compare each with each

BlockName = Annotated[str, StringConstraints(max_length=50)]
Snapshot = Annotated[str, StringConstraints(pattern=r"^sha256:[0-9a-f]{64}$")]


class AuditedNetwork(Value):
    """One network of an audit.

    `predicted_us` is the sum of the table's rows; `fresh_us` the sum of rows that were measured
    anew in the audit's own session, without which a difference could be that of two days.
    `at_level_us` is what was measured, brought to the level of the table's session.
    """

    name: str = Field(min_length=1, max_length=100)
    blocks: tuple[BlockName, ...] = Field(max_length=200)
    predicted_us: Microseconds
    fresh_us: Microseconds
    measured: MeasuredEstimate
    at_level_us: Microseconds | None = Field(default=None, exclude_if=lambda us: us is None)


class Audit(Value):
    """One audit of one table. The client makes `id`.

    `level` is that of the audit's session against the table's, where both measured the same
    reference networks; then each network has a latency at that level.
    """

    id: UUID
    device: DeviceName
    runtime: Runtime
    space: SpaceName
    origin: Origin
    snapshot: Snapshot  # of the table that was audited
    seed: int = Field(ge=0, lt=2**31)  # of the random networks
    started_at: AwareDatetime
    ended_at: AwareDatetime
    agent_version: str = Field(min_length=1, max_length=50)
    conditions: Conditions
    conditions_after: Conditions
    level: Level | None = Field(default=None, exclude_if=lambda level: level is None)
    networks: tuple[AuditedNetwork, ...] = Field(
        min_length=LEAST_NETWORKS, max_length=MOST_NETWORKS
    )

    @model_validator(mode="after")
    def _names_once(self) -> Self:
        names = [network.name for network in self.networks]
        if len(set(names)) < len(names):
            raise ValueError("a network comes twice")
        return self

    @model_validator(mode="after")
    def _all_at_a_level_or_none(self) -> Self:
        if any((each.at_level_us is None) != (self.level is None) for each in self.networks):
            raise ValueError("give each network a latency at the level, and the level")
        return self


class Errors(Value):
    """How far predictions lie from measurements; all but the ranks are fractions of the latter.

    `bias` is the mean of predicted / measured - 1, `mape` the mean of its absolute value.
    """

    bias: float
    mape: NonNegativeFloat
    p95: NonNegativeFloat
    worst: NonNegativeFloat
    kendall_tau: float
    spearman: float
    within_5_percent: NonNegativeFloat  # the share of networks
    within_10_percent: NonNegativeFloat


class AuditFigures(Value):
    """What an audit found.

    `table` is the sum of the table's rows against the measured network, `at_level` against that at
    the level of the table's session, `fresh` that of the rows of the same session. `fitted` is the
    table's sum after a line `a + b * sum` that was fitted without the network at hand (leave one
    out): what a calibration could gain at best.
    """

    networks: PositiveInt
    table: Errors
    at_level: Errors | None = Field(default=None, exclude_if=lambda errors: errors is None)
    level: Level | None = Field(default=None, exclude_if=lambda level: level is None)
    fresh: Errors
    fitted: Errors


class AuditSummary(AuditFigures):
    """The figures, and where they came from."""

    id: UUID
    space: SpaceName
    snapshot: Snapshot
    ended_at: AwareDatetime


class AuditReport(Value):
    """An audit as it was posted, and what it found."""

    audit: Audit
    summary: AuditSummary


def summary(audit: Audit) -> AuditSummary:
    """The audit's figures."""
    measured = [network.measured.latency_us for network in audit.networks]
    predicted = [network.predicted_us for network in audit.networks]
    at_level = [each.at_level_us for each in audit.networks if each.at_level_us is not None]
    return AuditSummary(
        id=audit.id,
        space=audit.space,
        snapshot=audit.snapshot,
        ended_at=audit.ended_at,
        networks=len(audit.networks),
        table=errors(predicted, measured),
        at_level=errors(predicted, at_level) if audit.level else None,
        level=audit.level,
        fresh=errors([network.fresh_us for network in audit.networks], measured),
        fitted=errors(_leave_one_out(predicted, measured), measured),
    )


def errors(predicted_us: Sequence[float], measured_us: Sequence[float]) -> Errors:
    """The errors of predictions, network by network in the same order.

    Raises:
        ValueError: there is no network, or not a prediction for each.
    """
    off = [
        predicted / measured - 1
        for predicted, measured in zip(predicted_us, measured_us, strict=True)
    ]
    sizes = sorted(abs(error) for error in off)
    return Errors(
        bias=fmean(off),
        mape=fmean(sizes),
        p95=quantile(sizes, 0.95),
        worst=sizes[-1],
        kendall_tau=kendall_tau(predicted_us, measured_us),
        spearman=spearman(predicted_us, measured_us),
        within_5_percent=sum(size <= 0.05 for size in sizes) / len(sizes),
        within_10_percent=sum(size <= 0.10 for size in sizes) / len(sizes),
    )


def _leave_one_out(predicted: Sequence[float], measured: Sequence[float]) -> list[float]:
    """Each network's prediction after a least squares line through all the others."""
    fitted = []
    for left_out, value in enumerate(predicted):
        x = [other for index, other in enumerate(predicted) if index != left_out]
        y = [other for index, other in enumerate(measured) if index != left_out]
        fitted.append(_line(x, y, value))
    return fitted


def _line(x: Sequence[float], y: Sequence[float], at: float) -> float:
    """The least squares line through the points, at that place; flat if all `x` are the same."""
    mean_x, mean_y = fmean(x), fmean(y)
    if min(x) == max(x):
        return mean_y
    spread = sum((a - mean_x) ** 2 for a in x)
    slope = sum((a - mean_x) * (b - mean_y) for a, b in zip(x, y, strict=True)) / spread
    return mean_y + slope * (at - mean_x)
