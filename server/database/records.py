"""ORM classes and the names of their constraints."""

from datetime import UTC, datetime
from typing import Any
from uuid import UUID

from sqlalchemy import (
    JSON,
    BigInteger,
    DateTime,
    Dialect,
    ForeignKey,
    ForeignKeyConstraint,
    Index,
    LargeBinary,
    MetaData,
    String,
    Text,
    TypeDecorator,
    UniqueConstraint,
    text,
)
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column

from contract.deeds import What
from contract.estimates import Grade
from contract.jobs import JobState
from contract.searches import SearchState
from contract.sessions import Effort, Origin
from contract.timings import FailureCode
from server.roles import Role

NAMING_CONVENTION = {
    "ix": "ix_%(column_0_label)s",
    "uq": "uq_%(table_name)s_%(column_0_N_name)s",
    "ck": "ck_%(table_name)s_%(constraint_name)s",
    "fk": "fk_%(table_name)s_%(column_0_name)s_%(referred_table_name)s",
    "pk": "pk_%(table_name)s",
}


class UtcDateTime(TypeDecorator[datetime]):
    """An instant: aware and in UTC on both sides, though SQLite keeps no time zone."""

    impl = DateTime(timezone=True)
    cache_ok = True

    def process_bind_param(self, value: datetime | None, dialect: Dialect) -> datetime | None:
        return value.astimezone(UTC) if value else None

    def process_result_value(self, value: datetime | None, dialect: Dialect) -> datetime | None:
        if value is None:
            return None
        return value.replace(tzinfo=UTC) if value.tzinfo is None else value.astimezone(UTC)


class Base(DeclarativeBase):
    metadata = MetaData(naming_convention=NAMING_CONVENTION)
    type_annotation_map = {datetime: UtcDateTime}  # noqa: RUF012 - SQLAlchemy's own declaration


class DeviceRecord(Base):
    """A device.

    `default_runtime` is the key of the table served when none is asked for; `revision` counts
    the changes to all of the device's tables.
    """

    __tablename__ = "devices"

    name: Mapped[str] = mapped_column(String(64), primary_key=True)
    model: Mapped[str] = mapped_column(String(200))
    soc: Mapped[str] = mapped_column(String(200))
    cores: Mapped[int]
    memory_bytes: Mapped[int] = mapped_column(BigInteger)
    os: Mapped[str] = mapped_column(String(200))
    registered_at: Mapped[datetime]
    default_runtime: Mapped[str | None] = mapped_column(String(255))
    revision: Mapped[int]


class SpaceRecord(Base):
    """A search space that the server learned; `document` is the space as JSON."""

    __tablename__ = "spaces"

    name: Mapped[str] = mapped_column(String(50), primary_key=True)
    content_hash: Mapped[str] = mapped_column(String(64))
    document: Mapped[str] = mapped_column(Text)
    learned_at: Mapped[datetime]
    made_by: Mapped[str | None] = mapped_column(String(64))


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
    """The newest good timing's figures, copied here so that tables never read the history."""

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

    # The device's revision that the row came with: which of `row_versions` it is. The default
    # is for rows that were stored before there were versions.
    version: Mapped[int] = mapped_column(server_default="0")


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
    """What a snapshot's id stands for: a table, whole or of a space, at a revision."""

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


class FailureRecord(CurrentOperator):
    """The newest failure, forgotten when a good timing is stored."""

    __tablename__ = "failures"

    code: Mapped[FailureCode] = mapped_column(String(50))
    message: Mapped[str] = mapped_column(Text)


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
    `lost_at` is null while the agent has it.
    """

    __tablename__ = "units"

    device: Mapped[str] = mapped_column(String(64), primary_key=True)
    serial: Mapped[str] = mapped_column(String(100), primary_key=True)
    agent: Mapped[UUID] = mapped_column(ForeignKey("agents.id"), index=True)
    lost_at: Mapped[datetime | None]


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


class SearchRecord(Base):
    """A search as it stands. `figures` are the network's, `parts` its layers, stem and head."""

    __tablename__ = "searches"

    id: Mapped[UUID] = mapped_column(primary_key=True)
    device: Mapped[str] = mapped_column(ForeignKey("devices.name"), index=True)
    runtime: Mapped[str] = mapped_column(String(255))  # a runtime's key
    space: Mapped[str] = mapped_column(String(50))
    started_at: Mapped[datetime] = mapped_column(index=True)
    heard_at: Mapped[datetime]
    state: Mapped[SearchState] = mapped_column(String(20))
    reason: Mapped[str | None] = mapped_column(Text)
    plan: Mapped[dict[str, Any]] = mapped_column(JSON)
    figures: Mapped[dict[str, Any] | None] = mapped_column(JSON(none_as_null=True))
    parts: Mapped[dict[str, Any] | None] = mapped_column(JSON(none_as_null=True))
    elsewhere: Mapped[list[dict[str, Any]]] = mapped_column(JSON)
    made_by: Mapped[str | None] = mapped_column(String(64))


class SearchEpochRecord(Base):
    """One epoch of a search, as it was told."""

    __tablename__ = "search_epochs"

    search: Mapped[UUID] = mapped_column(ForeignKey("searches.id"), primary_key=True)
    epoch: Mapped[int] = mapped_column(primary_key=True, autoincrement=False)
    content: Mapped[dict[str, Any]] = mapped_column(JSON)


class TokenRecord(Base):
    """Somebody's right to use the server: the digest of the token, never the token itself."""

    __tablename__ = "tokens"

    id: Mapped[UUID] = mapped_column(primary_key=True)
    name: Mapped[str] = mapped_column(String(64), unique=True)
    role: Mapped[Role] = mapped_column(String(20))
    sha256: Mapped[str] = mapped_column(String(64), unique=True)
    created_at: Mapped[datetime]
    last_used_at: Mapped[datetime | None]  # to the hour
    revoked_at: Mapped[datetime | None]
    expires_at: Mapped[datetime | None]


class SignInRecord(Base):
    """A browser that has shown a token: the digest of its cookie. It can do what the token can."""

    __tablename__ = "sign_ins"

    sha256: Mapped[str] = mapped_column(String(64), primary_key=True)
    token: Mapped[UUID] = mapped_column(ForeignKey("tokens.id"))
    expires_at: Mapped[datetime] = mapped_column(index=True)


class DeedRecord(Base):
    """The log of who did what: whatever was made, and what admins did to it.

    `who` is a token's name, null for somebody at the server's computer without one.
    """

    __tablename__ = "deeds"

    id: Mapped[int] = mapped_column(primary_key=True)
    at: Mapped[datetime] = mapped_column(index=True)
    who: Mapped[str | None] = mapped_column(String(64))
    what: Mapped[What] = mapped_column(String(40))
    subject: Mapped[str] = mapped_column(String(100), index=True)
    detail: Mapped[str | None] = mapped_column(Text)
