"""Devices given another name: all that is theirs goes with them, and the old name leads to it.

What is read under the old name is answered with the present one (`Renamed`); what is stored under
it, such as a session that was begun before, is stored under the present one; and an agent that
announces it is told to start again. Snapshots keep the name that they are a hash over.
"""

from datetime import datetime

from sqlalchemy import String, cast, delete, insert, select, update
from sqlalchemy.orm import Session

from contract import commands
from contract.devices import NewName
from contract.tables import Device
from contract.times import stamp
from server.database.records import (
    Base,
    DeviceRecord,
    FormerNameRecord,
    JobRecord,
    SearchRecord,
    SnapshotRecord,
    UnitRecord,
)
from server.database.upserts import insert_once
from server.errors import Conflict
from server.roles import Caller
from server.store.deeds import note
from server.store.devices import device, find_device
from server.store.snapshots import name_tables_of_device


def rename(session: Session, name: str, new: NewName, by: Caller, now: datetime) -> Device:
    """Call the device otherwise. One that is called that already stays so.

    Raises:
        NotFound: no such device.
        Conflict: the new name is or was another device's, or an agent is at a job of it.
    """
    find_device(session, name)
    # Whoever stores something of it ends first, and whoever comes later finds the new name.
    record = session.get_one(DeviceRecord, name, with_for_update=True, populate_existing=True)
    if new.name == name:
        return device(session, name)
    _must_be_free(session, new.name, of=name)
    _must_be_at_rest(session, name, now)
    values = {
        column.name: getattr(record, column.name) for column in DeviceRecord.__table__.columns
    }
    revision = record.revision + 1
    if not insert_once(session, DeviceRecord, {**values, "name": new.name, "revision": revision}):
        raise Conflict(f"there is a device {new.name} already; choose another name")
    _move(session, name, new.name)
    session.execute(delete(DeviceRecord).where(DeviceRecord.name == name))
    session.execute(insert(FormerNameRecord).values(name=name, device=new.name, until=now))
    session.expire_all()
    name_tables_of_device(session, new.name, revision=revision, now=now)
    note(session, by, "renamed the device", new.name, now, detail=f"it was {name}: {new.reason}")
    return device(session, new.name)


def _must_be_free(session: Session, name: str, *, of: str) -> None:
    """A name that the device itself once had is free for it, and no longer a former one."""
    former = session.get(FormerNameRecord, name)
    if former is None:
        return
    if former.device != of:
        raise Conflict(
            f"{former.device} was called {name} until {stamp(former.until)}, and what is known "
            "under that name leads there; choose another name"
        )
    session.delete(former)
    session.flush()


def _must_be_at_rest(session: Session, name: str, now: datetime) -> None:
    """An agent at a job would lose it with the name under which it has announced its unit."""
    at = session.scalars(
        select(JobRecord.id)
        .where(JobRecord.device == name, JobRecord.state == "leased", JobRecord.expires_at > now)
        .limit(1)
    ).one_or_none()
    if at is not None:
        raise Conflict(
            f"an agent is at job {at} of {name}; wait for its end, or cancel it first with "
            f"`{commands.cancel_job(at)}`"
        )


def _move(session: Session, name: str, to: str) -> None:
    """Whatever names the device, but for the log of who did what."""
    session.execute(
        update(SnapshotRecord)
        .where(SnapshotRecord.device == name, SnapshotRecord.device_then.is_(None))
        .values(device_then=name)
    )
    for table in Base.metadata.sorted_tables:
        for key in table.foreign_keys:
            if key.target_fullname == "devices.name":
                session.execute(
                    table.update().where(key.parent == name).values({key.parent.name: to})
                )
    # Units need no registered device: one may be announced under the new name already.
    announced = select(UnitRecord.serial).where(UnitRecord.device == to)
    session.execute(
        delete(UnitRecord).where(UnitRecord.device == name, UnitRecord.serial.in_(announced))
    )
    session.execute(update(UnitRecord).where(UnitRecord.device == name).values(device=to))
    mentioned = cast(SearchRecord.elsewhere, String).contains(f'"{name}"')
    for search in session.scalars(select(SearchRecord).where(mentioned)):
        search.elsewhere = [
            {**each, "device": to if each["device"] == name else each["device"]}
            for each in search.elsewhere
        ]
    session.flush()
