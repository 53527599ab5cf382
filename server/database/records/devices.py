"""Devices, and the spaces that they are measured for."""

from datetime import datetime

from sqlalchemy import BigInteger, ForeignKey, String, Text
from sqlalchemy.orm import Mapped, mapped_column

from server.database.records.base import Base


class DeviceRecord(Base):
    """A device.

    `default_runtime` is the key of the table served when none is asked for; `revision` counts
    the changes to all of the device's tables. Since `retired_at` it takes no jobs.
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
    retired_at: Mapped[datetime | None]


class FormerNameRecord(Base):
    """What a device was called until `until`: whoever uses that name is told the present one."""

    __tablename__ = "former_names"

    name: Mapped[str] = mapped_column(String(64), primary_key=True)
    device: Mapped[str] = mapped_column(ForeignKey("devices.name"), index=True)
    until: Mapped[datetime]


class SpaceRecord(Base):
    """A search space that the server learned; `document` is the space as JSON."""

    __tablename__ = "spaces"

    name: Mapped[str] = mapped_column(String(50), primary_key=True)
    content_hash: Mapped[str] = mapped_column(String(64))
    document: Mapped[str] = mapped_column(Text)
    learned_at: Mapped[datetime]
    made_by: Mapped[str | None] = mapped_column(String(64))
