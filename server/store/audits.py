"""Audits: stored once with their figures, whoever repeats the post."""

from collections import defaultdict
from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from sqlalchemy import func, select
from sqlalchemy.orm import Session as DbSession

from contract.audits import Audit, AuditReport, AuditSummary, summary
from contract.sessions import Origin
from contract.table_keys import TableKey
from server.database.records import AuditRecord
from server.database.upserts import insert_once
from server.errors import Conflict, NotFound, Unprocessable
from server.roles import Caller
from server.store.clocks import check_clock
from server.store.deeds import note
from server.store.devices import count_change, device_to_write
from server.store.spaces import known_spaces

MOST_AUDITS = 50  # in the choice


@dataclass(frozen=True, kw_only=True, slots=True)
class ListedAudit:
    """An audit in a choice."""

    id: UUID
    device: str
    runtime: str
    origin: Origin
    summary: AuditSummary


def add_audit(
    session: DbSession, new: Audit, by: Caller, now: datetime
) -> tuple[AuditReport, bool]:
    """Store an audit and its figures; True if it was not stored before.

    Raises:
        NotFound: no such device or space.
        Conflict: the id belongs to another audit.
        Unprocessable: it began or ended before 2000 or in the future, or is of imported rows.
    """
    if new.origin == "imported":
        raise Unprocessable(
            f"an imported table cannot be audited: nobody here measured the rows of {new.device}, "
            "so whole networks measured here tell nothing of them"
        )
    check_clock("started_at", new.started_at, now)
    check_clock("ended_at", new.ended_at, now)
    figures = summary(new)
    new = new.evolve(device=device_to_write(session, new.device).name)
    known_spaces(session).find(new.space)
    created = insert_once(
        session,
        AuditRecord,
        {
            "id": new.id,
            "device": new.device,
            "runtime": new.runtime.key,
            "space": new.space,
            "origin": new.origin,
            "ended_at": new.ended_at,
            "body": new.model_dump(mode="json"),
            "summary": figures.model_dump(mode="json"),
        },
    )
    stored = find_audit(session, new.id)
    if stored.audit != new:
        raise Conflict(f"audit {new.id} is stored with other content; give this one a new id")
    if created:
        note(session, by, "posted the audit", new.id, now)
        count_change(session, new.device)
    return stored, created


def find_audit(session: DbSession, audit_id: UUID) -> AuditReport:
    """The stored audit and its figures.

    Raises:
        NotFound: no such audit.
    """
    record = session.get(AuditRecord, audit_id)
    if record is None:
        raise NotFound(f"no audit {audit_id}; `GET /lut/DEVICE` names the latest one of a table")
    return AuditReport(
        audit=Audit.model_validate({**record.body, "device": record.device}),
        summary=AuditSummary.model_validate(record.summary),
    )


def latest_audits(session: DbSession) -> dict[TableKey, list[AuditSummary]]:
    """The latest audit of each space of each table."""
    rank = func.row_number().over(
        partition_by=(
            AuditRecord.device,
            AuditRecord.runtime,
            AuditRecord.origin,
            AuditRecord.space,
        ),
        order_by=(AuditRecord.ended_at.desc(), AuditRecord.id),
    )
    ranked = select(AuditRecord.id, rank.label("rank")).subquery()
    found: dict[TableKey, list[AuditSummary]] = defaultdict(list)
    for device, runtime, origin, figures in session.execute(
        select(AuditRecord.device, AuditRecord.runtime, AuditRecord.origin, AuditRecord.summary)
        .join(ranked, ranked.c.id == AuditRecord.id)
        .where(ranked.c.rank == 1)
        .order_by(AuditRecord.space)
    ):
        found[TableKey(device, runtime, origin)].append(AuditSummary.model_validate(figures))
    return found


def list_audits(session: DbSession) -> list[ListedAudit]:
    """The newest audits, newest first, without their networks."""
    found = session.execute(
        select(
            AuditRecord.id,
            AuditRecord.device,
            AuditRecord.runtime,
            AuditRecord.origin,
            AuditRecord.summary,
        )
        .order_by(AuditRecord.ended_at.desc(), AuditRecord.id)
        .limit(MOST_AUDITS)
    )
    return [
        ListedAudit(
            id=id,
            device=device,
            runtime=runtime,
            origin=origin,
            summary=AuditSummary.model_validate(figures),
        )
        for id, device, runtime, origin, figures in found
    ]
