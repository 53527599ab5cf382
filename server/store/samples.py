"""What was measured of one operator: raw samples while they are kept, and its rows everywhere."""

from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from sqlalchemy import select
from sqlalchemy.orm import Session as DbSession

from contract.estimates import Estimate
from contract.sessions import Effort, Origin
from server.database.records import RowRecord, SessionRecord, TimingRecord

MOST_TIMINGS = 8  # of one operator, the newest


@dataclass(frozen=True, kw_only=True, slots=True)
class MeasuredTiming:
    """One operator in one session.

    `rounds_us` is empty where there was a failure, and where the samples were dropped since;
    `drift` has a factor for each sample, or is empty where no probe ran.
    """

    session: UUID
    space: str
    started_at: datetime
    measured_at: datetime
    unit: str | None
    effort: Effort
    agent_version: str
    rounds_us: tuple[tuple[float, ...], ...]
    drift: tuple[tuple[float, ...], ...]
    dropped_at: datetime | None
    failure: str | None


@dataclass(frozen=True, kw_only=True, slots=True)
class OperatorRow:
    """An operator's current row in one table."""

    device: str
    runtime: str
    origin: Origin
    measured_at: datetime
    sessions: int
    estimate: Estimate


def timings(
    session: DbSession, device: str, runtime: str, origin: Origin, operator: str
) -> list[MeasuredTiming]:
    """The operator's newest timings in that table, at most 8, newest first."""
    found = session.execute(
        select(TimingRecord, SessionRecord)
        .join(SessionRecord, SessionRecord.id == TimingRecord.session)
        .where(
            SessionRecord.device == device,
            SessionRecord.runtime == runtime,
            SessionRecord.origin == origin,
            SessionRecord.withdrawn_at.is_(None),
            TimingRecord.operator == operator,
        )
        .order_by(TimingRecord.measured_at.desc(), TimingRecord.id)
        .limit(MOST_TIMINGS)
    )
    return [
        MeasuredTiming(
            session=sitting.id,
            space=sitting.space,
            started_at=sitting.started_at,
            measured_at=timing.measured_at,
            unit=sitting.unit,
            effort=sitting.effort,
            agent_version=sitting.agent_version,
            rounds_us=tuple(map(tuple, timing.rounds_us or ())),
            drift=tuple(map(tuple, timing.drift or ())),
            dropped_at=timing.samples_dropped_at,
            failure=timing.failure_code and f"{timing.failure_code}: {timing.failure_message}",
        )
        for timing, sitting in found
    ]


def rows_everywhere(session: DbSession, operator: str) -> list[OperatorRow]:
    """The operator's current row in every table, fastest first."""
    found = session.scalars(
        select(RowRecord)
        .where(RowRecord.operator == operator)
        .order_by(RowRecord.latency_us, RowRecord.device, RowRecord.runtime)
    )
    return [
        OperatorRow(
            device=record.device,
            runtime=record.runtime,
            origin=record.origin,
            measured_at=record.measured_at,
            sessions=record.sessions,
            estimate=Estimate(
                **{field: getattr(record, field) for field in Estimate.model_fields}
            ),
        )
        for record in found
    ]
