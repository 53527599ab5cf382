"""Agents, units and jobs."""

from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy import JSON, ForeignKey, Index, String, Text, text
from sqlalchemy.orm import Mapped, mapped_column

from contract.jobs import JobState
from server.database.records.base import Base


class AgentRecord(Base):
    """An agent, as it announced itself last."""

    __tablename__ = "agents"

    id: Mapped[UUID] = mapped_column(primary_key=True)
    host: Mapped[str] = mapped_column(String(200))
    version: Mapped[str] = mapped_column(String(50))
    seen_at: Mapped[datetime]
    made_by: Mapped[str | None] = mapped_column(String(64))


class UnitRecord(Base):
    """One phone, and the agent that had it last.

    Its device need not be registered yet: an agent announces its phones before it measures.
    `lost_at` is null while the agent has it. Since `retired_at` it gets no jobs, whoever has it.
    """

    __tablename__ = "units"

    device: Mapped[str] = mapped_column(String(64), primary_key=True)
    serial: Mapped[str] = mapped_column(String(100), primary_key=True)
    agent: Mapped[UUID] = mapped_column(ForeignKey("agents.id"), index=True)
    lost_at: Mapped[datetime | None]
    retired_at: Mapped[datetime | None]


class JobRecord(Base):
    """A job and its last attempt.

    `attempts` numbers the attempts and only ever grows, so that it fences; `forgiven` of
    them do not count against `most_attempts`. While `expires_at` is set the attempt holds its
    unit. `outcome` is how the last attempt that told its end has ended.
    """

    __tablename__ = "jobs"
    __table_args__ = (
        Index("ix_jobs_device_state", "device", "state"),
        Index(
            "uq_jobs_unit_held",
            "device",
            "unit",
            unique=True,
            sqlite_where=text("expires_at IS NOT NULL"),
            postgresql_where=text("expires_at IS NOT NULL"),
        ),
    )

    id: Mapped[UUID] = mapped_column(primary_key=True)
    device: Mapped[str] = mapped_column(ForeignKey("devices.name"))
    runtime: Mapped[str] = mapped_column(String(255))  # a runtime's key
    work: Mapped[dict[str, Any]] = mapped_column(JSON)
    priority: Mapped[int]
    most_attempts: Mapped[int]
    state: Mapped[JobState] = mapped_column(String(20))
    attempts: Mapped[int]
    forgiven: Mapped[int]
    filed_at: Mapped[datetime] = mapped_column(index=True)
    changed_at: Mapped[datetime]
    made_by: Mapped[str | None] = mapped_column(String(64))
    agent: Mapped[UUID | None] = mapped_column(ForeignKey("agents.id"))
    unit: Mapped[str | None] = mapped_column(String(100))
    expires_at: Mapped[datetime | None]
    progress: Mapped[dict[str, Any] | None] = mapped_column(JSON(none_as_null=True))
    reason: Mapped[str | None] = mapped_column(Text)
    estimate: Mapped[dict[str, Any] | None] = mapped_column(JSON(none_as_null=True))
    outcome: Mapped[dict[str, Any] | None] = mapped_column(JSON(none_as_null=True))
