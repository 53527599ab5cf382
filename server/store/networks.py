"""Whole networks as the store knows them: the rows that they sum up, and jobs' measurements."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from sqlalchemy import select
from sqlalchemy.orm import Session as DbSession

from contract.estimates import Estimate
from contract.footprint import Footprint
from contract.levels import AtLevel
from contract.table_keys import TableKey
from server.database.records import JobRecord, RowRecord
from server.store.jobs import at_level_of, footprint_of

MOST_MEASURED = 200  # jobs that measured a network


@dataclass(frozen=True, kw_only=True, slots=True)
class MeasuredNetwork:
    """A network that a job has had measured whole."""

    job: UUID
    device: str
    runtime: str
    space: str
    blocks: tuple[str, ...]
    estimate: Estimate
    footprint: Footprint | None
    at_level: AtLevel | None
    measured_at: datetime


def measured_networks(session: DbSession) -> list[MeasuredNetwork]:
    """What the newest jobs have measured, newest first."""
    found = session.execute(
        select(JobRecord)
        .where(JobRecord.state == "done", JobRecord.estimate.is_not(None))
        .order_by(JobRecord.changed_at.desc(), JobRecord.id)
        .limit(MOST_MEASURED)
    ).scalars()
    return [
        MeasuredNetwork(
            job=record.id,
            device=record.device,
            runtime=record.runtime,
            space=record.work["space"],
            blocks=tuple(record.work["blocks"]),
            estimate=Estimate.model_validate(record.estimate),
            footprint=footprint_of(record),
            at_level=at_level_of(record),
            measured_at=record.changed_at,
        )
        for record in found
        if record.work["kind"] == "measure"
    ]


def latencies_us(session: DbSession, device: str = "") -> Mapping[TableKey, Mapping[str, float]]:
    """The current row of each operator, in every table, or in those of a device."""
    query = select(
        RowRecord.device,
        RowRecord.runtime,
        RowRecord.origin,
        RowRecord.operator,
        RowRecord.latency_us,
    )
    if device:
        query = query.where(RowRecord.device == device)
    tables: dict[TableKey, dict[str, float]] = {}
    for name, runtime, origin, operator, us in session.execute(query):
        tables.setdefault(TableKey(name, runtime, origin), {})[operator] = us
    return tables
