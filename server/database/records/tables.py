"""What tables tell: current rows and failures, and every row and table that there ever was."""

from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy import JSON, ForeignKey, Index, String, Text
from sqlalchemy.orm import Mapped, mapped_column

from contract.estimates import Grade
from contract.sessions import Origin
from contract.timings import FailureCode
from server.database.records.base import Base


class CurrentOperator(Base):
    """What a table tells about an operator now: the key of `rows` and of `failures`."""

    __abstract__ = True

    device: Mapped[str] = mapped_column(ForeignKey("devices.name"), primary_key=True)
    runtime: Mapped[str] = mapped_column(String(255), primary_key=True)
    origin: Mapped[Origin] = mapped_column(String(20), primary_key=True)
    operator: Mapped[str] = mapped_column(String(100), primary_key=True)
    session: Mapped[UUID] = mapped_column(ForeignKey("sessions.id"))
    measured_at: Mapped[datetime]


class RowRecord(CurrentOperator):
    """A table's row, kept here so that tables never read the history.

    `pool` has what each session says that the row rests on, the newest first: a list of
    `server.store.pooling.SessionFigures`. It is null of imported rows, and of rows that were
    stored before rows rested on several sessions.
    """

    __tablename__ = "rows"

    latency_us: Mapped[float]
    low_us: Mapped[float]
    high_us: Mapped[float]
    grade: Mapped[Grade] = mapped_column(String(1))
    median_us: Mapped[float]
    p90_us: Mapped[float]
    min_us: Mapped[float]
    samples: Mapped[int]
    calm: Mapped[int]
    rounds: Mapped[int]
    sessions: Mapped[int] = mapped_column(server_default="1")
    newest: Mapped[dict[str, Any] | None] = mapped_column(JSON(none_as_null=True))
    pool: Mapped[list[dict[str, Any]] | None] = mapped_column(JSON(none_as_null=True))

    # The device's revision that the row came with: which of `row_versions` it is. The default
    # is for rows that were stored before there were versions.
    version: Mapped[int] = mapped_column(server_default="0")


class FailureRecord(CurrentOperator):
    """The newest failure, forgotten when a good timing is stored."""

    __tablename__ = "failures"

    code: Mapped[FailureCode] = mapped_column(String(50))
    message: Mapped[str] = mapped_column(Text)


class RowVersion(Base):
    """Every row that a table ever had, by the device's revision that it came with.

    `content` is the row as tables tell it: canonical JSON, so that a snapshot's hash is taken
    over these very texts. It needs neither samples nor sessions. It is JSON's `null` from a
    revision on at which the row's session was withdrawn and no other had measured the operator.
    """

    __tablename__ = "row_versions"

    device: Mapped[str] = mapped_column(ForeignKey("devices.name"), primary_key=True)
    runtime: Mapped[str] = mapped_column(String(255), primary_key=True)
    origin: Mapped[Origin] = mapped_column(String(20), primary_key=True)
    operator: Mapped[str] = mapped_column(String(100), primary_key=True)
    revision: Mapped[int] = mapped_column(primary_key=True)
    content: Mapped[str] = mapped_column(Text)


class SnapshotRecord(Base):
    """What a snapshot's id stands for: a table, whole or of a space, at a revision.

    `device_then` is what the table itself calls its device, where that has another name now: the
    id is a hash over it.
    """

    __tablename__ = "snapshots"
    __table_args__ = (Index("ix_snapshots_table", "device", "runtime", "origin", "revision"),)

    id: Mapped[str] = mapped_column(String(71), primary_key=True)
    device: Mapped[str] = mapped_column(ForeignKey("devices.name"))
    runtime: Mapped[str] = mapped_column(String(255))
    origin: Mapped[Origin] = mapped_column(String(20))
    space: Mapped[str | None] = mapped_column(String(50))
    revision: Mapped[int]
    rows: Mapped[int]
    session: Mapped[UUID]  # whose timing, or whose withdrawal, made it
    made_at: Mapped[datetime]
    device_then: Mapped[str | None] = mapped_column(String(64))
