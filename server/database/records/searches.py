"""Searches and their epochs."""

from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy import JSON, ForeignKey, String, Text
from sqlalchemy.orm import Mapped, mapped_column

from contract.searches import SearchState
from server.database.records.base import Base


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
