"""Devices and units that take no jobs: retired and brought back, with who did it and why.

Nothing is deleted: tables are served and drawn as before, and come last in listings.
"""

from datetime import datetime

from sqlalchemy import select
from sqlalchemy.orm import Session

from contract.deeds import What
from contract.retired import Retired, RetiredDevice, RetiredUnit
from server.database.records import DeviceRecord, UnitRecord
from server.errors import unknown
from server.roles import Caller
from server.store.deeds import note
from server.store.devices import find_device, retired_devices
from server.store.jobs import cancel_all


def retired(session: Session) -> Retired:
    """Everything that is retired, by name."""
    units = session.scalars(
        select(UnitRecord)
        .where(UnitRecord.retired_at.is_not(None))
        .order_by(UnitRecord.device, UnitRecord.serial)
    )
    return Retired(
        devices=tuple(
            RetiredDevice(device=name, retired_at=since)
            for name, since in retired_devices(session).items()
        ),
        units=tuple(
            RetiredUnit(device=unit.device, serial=unit.serial, retired_at=unit.retired_at)
            for unit in units
            if unit.retired_at is not None
        ),
    )


def retire_device(session: Session, name: str, reason: str, by: Caller, now: datetime) -> Retired:
    """Let the device take no jobs, and cancel those that have not ended. One that is retired
    already stays so.

    Raises:
        NotFound: no such device.
    """
    record = _lock(session, name)
    if record.retired_at is None:
        record.retired_at = now
        session.flush()
        note(session, by, "retired the device", name, now, detail=reason)
        cancel_all(session, name, f"{name} was retired: {reason}", by, now)
    return retired(session)


def bring_back_device(
    session: Session, name: str, reason: str, by: Caller, now: datetime
) -> Retired:
    """Let the device take jobs again. One that was not retired stays as it is.

    Raises:
        NotFound: no such device.
    """
    record = _lock(session, name)
    if record.retired_at is not None:
        record.retired_at = None
        note(session, by, "brought back the device", name, now, detail=reason)
    session.flush()
    return retired(session)


def retire_unit(
    session: Session, device: str, serial: str, reason: str, by: Caller, now: datetime
) -> Retired:
    """Give the unit no further jobs; the one that it is at goes on to its end.

    Raises:
        NotFound: no such device, or no such unit of it.
    """
    return _turn_unit(session, device, serial, "retired the unit", reason, by, now)


def bring_back_unit(
    session: Session, device: str, serial: str, reason: str, by: Caller, now: datetime
) -> Retired:
    """Let the unit get jobs again.

    Raises:
        NotFound: no such device, or no such unit of it.
    """
    return _turn_unit(session, device, serial, "brought back the unit", reason, by, now)


def _lock(session: Session, name: str) -> DeviceRecord:
    """Whoever files a job for it ends first, and whoever comes later sees what it is then."""
    find_device(session, name)
    return session.get_one(DeviceRecord, name, with_for_update=True, populate_existing=True)


def _turn_unit(
    session: Session,
    device: str,
    serial: str,
    what: What,
    reason: str,
    by: Caller,
    now: datetime,
) -> Retired:
    record = session.get(UnitRecord, (device, serial), with_for_update=True)
    if record is None:
        find_device(session, device)
        its = select(UnitRecord.serial).where(UnitRecord.device == device)
        raise unknown(f"unit of {device}", serial, sorted(session.scalars(its)))
    retires = what == "retired the unit"
    if (record.retired_at is not None) != retires:
        record.retired_at = now if retires else None
        note(session, by, what, f"{device} {serial}"[:100], now, detail=reason)
    session.flush()
    return retired(session)
