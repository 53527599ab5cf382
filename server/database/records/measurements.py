"""What was measured: sessions, visits, timings and audits."""

from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy import (
    JSON,
    ForeignKey,
    ForeignKeyConstraint,
    LargeBinary,
    String,
    Text,
    UniqueConstraint,
)
from sqlalchemy.orm import Mapped, mapped_column

from contract.sessions import Effort, Origin
from contract.timings import FailureCode
from server.database.records.base import Base


class SessionRecord(Base):
    """One agent's sitting on one device with one runtime.

    `made_by` is the token that posted it, as everywhere: it alone may add to it. Null where nobody
    had a token, or before owners were kept.
    """

    __tablename__ = "sessions"

    id: Mapped[UUID] = mapped_column(primary_key=True)
    device: Mapped[str] = mapped_column(ForeignKey("devices.name"), index=True)
    runtime: Mapped[str] = mapped_column(String(255))  # a runtime's key
    space: Mapped[str] = mapped_column(String(50))
    origin: Mapped[Origin] = mapped_column(String(20))
    # The default is for sessions that were stored before there was a choice.
    effort: Mapped[Effort] = mapped_column(String(20), server_default="standard")
    source: Mapped[str | None] = mapped_column(String(500))  # of imported timings
    started_at: Mapped[datetime]
    agent_version: Mapped[str] = mapped_column(String(50))
    conditions: Mapped[dict[str, Any]] = mapped_column(JSON)
    ended_at: Mapped[datetime | None]
    conditions_after: Mapped[dict[str, Any] | None] = mapped_column(JSON(none_as_null=True))
    unit: Mapped[str | None] = mapped_column(String(100))  # a serial number
    made_by: Mapped[str | None] = mapped_column(String(64))
    withdrawn_at: Mapped[datetime | None]  # since then its timings count for nothing
    # How the samples came of the visits; null where these were not kept.
    derivation: Mapped[dict[str, Any] | None] = mapped_column(JSON(none_as_null=True))


class NoteRecord(Base):
    """What somebody wrote down about a session; `who` is a token's name, as in the deeds."""

    __tablename__ = "notes"

    id: Mapped[int] = mapped_column(primary_key=True)
    session: Mapped[UUID] = mapped_column(ForeignKey("sessions.id"), index=True)
    at: Mapped[datetime]
    who: Mapped[str | None] = mapped_column(String(64))
    text: Mapped[str] = mapped_column(Text)


class LayoutRecord(Base):
    """A program of a session: `content` is its `contract.visits.Layout` as JSON."""

    __tablename__ = "layouts"

    session: Mapped[UUID] = mapped_column(ForeignKey("sessions.id"), primary_key=True)
    program: Mapped[str] = mapped_column(String(200), primary_key=True)
    content: Mapped[str] = mapped_column(Text)


class VisitRecord(Base):
    """A visit as it was measured: `series` is JSON, compressed by zlib."""

    __tablename__ = "visits"
    __table_args__ = (
        ForeignKeyConstraint(["session", "program"], ["layouts.session", "layouts.program"]),
    )

    session: Mapped[UUID] = mapped_column(primary_key=True)
    round: Mapped[int] = mapped_column(primary_key=True, autoincrement=False)
    program: Mapped[str] = mapped_column(String(200), primary_key=True)
    made_at: Mapped[datetime]
    series: Mapped[bytes] = mapped_column(LargeBinary)


class TimingRecord(Base):
    """The full history: raw samples by round, or the failure, of one operator in one session.

    `drift` has a factor for each sample, or is null where no probe ran. `figures` is the estimate
    that the samples gave; null of a failure, and of what versions before 0.2 stored. Old samples
    may be dropped, or made anew of the visits: `samples_digest` knows those that were posted.
    """

    __tablename__ = "timings"
    __table_args__ = (UniqueConstraint("session", "operator"),)

    id: Mapped[UUID] = mapped_column(primary_key=True)
    session: Mapped[UUID] = mapped_column(ForeignKey("sessions.id"))
    operator: Mapped[str] = mapped_column(String(100))
    measured_at: Mapped[datetime]
    rounds_us: Mapped[list[list[float]] | None] = mapped_column(JSON(none_as_null=True))
    drift: Mapped[list[list[float]] | None] = mapped_column(JSON(none_as_null=True))
    failure_code: Mapped[FailureCode | None] = mapped_column(String(50))
    failure_message: Mapped[str | None] = mapped_column(Text)
    samples_dropped_at: Mapped[datetime | None]
    figures: Mapped[dict[str, Any] | None] = mapped_column(JSON(none_as_null=True))
    samples_digest: Mapped[str | None] = mapped_column(String(64))


class AuditRecord(Base):
    """An audit: `body` is all of it, `summary` its figures, so that tables compute nothing."""

    __tablename__ = "audits"

    id: Mapped[UUID] = mapped_column(primary_key=True)
    device: Mapped[str] = mapped_column(ForeignKey("devices.name"), index=True)
    runtime: Mapped[str] = mapped_column(String(255))  # a runtime's key
    space: Mapped[str] = mapped_column(String(50))
    origin: Mapped[Origin] = mapped_column(String(20))
    ended_at: Mapped[datetime]
    body: Mapped[dict[str, Any]] = mapped_column(JSON)
    summary: Mapped[dict[str, Any]] = mapped_column(JSON)
