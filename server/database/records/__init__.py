"""ORM classes: every table that the database has, and the names of their constraints."""

from server.database.records.base import Base, UtcDateTime
from server.database.records.devices import DeviceRecord, FormerNameRecord, SpaceRecord
from server.database.records.fleet import AgentRecord, JobRecord, UnitRecord
from server.database.records.measurements import (
    AuditRecord,
    LayoutRecord,
    NoteRecord,
    SessionRecord,
    TimingRecord,
    VisitRecord,
)
from server.database.records.people import DeedRecord, SignInRecord, TokenRecord
from server.database.records.searches import SearchEpochRecord, SearchRecord
from server.database.records.tables import (
    CurrentOperator,
    FailureRecord,
    RowRecord,
    RowVersion,
    SnapshotRecord,
)

__all__ = [
    "AgentRecord",
    "AuditRecord",
    "Base",
    "CurrentOperator",
    "DeedRecord",
    "DeviceRecord",
    "FailureRecord",
    "FormerNameRecord",
    "JobRecord",
    "LayoutRecord",
    "NoteRecord",
    "RowRecord",
    "RowVersion",
    "SearchEpochRecord",
    "SearchRecord",
    "SessionRecord",
    "SignInRecord",
    "SnapshotRecord",
    "SpaceRecord",
    "TimingRecord",
    "TokenRecord",
    "UnitRecord",
    "UtcDateTime",
    "VisitRecord",
]
