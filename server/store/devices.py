"""Devices, and a summary of each one's tables."""

from collections import defaultdict
from collections.abc import Mapping, Sequence
from datetime import datetime

from sqlalchemy import ColumnElement, select, true, update
from sqlalchemy.orm import Session

from contract import commands
from contract.devices import DeviceDescription
from contract.problems import NO_DEVICE, NO_TABLE
from contract.runtime import Runtime
from contract.sessions import Origin
from contract.tables import Device, RuntimeSummary, SpaceCompleteness
from server.database.records import DeviceRecord, FormerNameRecord, RowRecord, SessionRecord
from server.database.upserts import insert_once
from server.errors import Busy, Conflict, NotFound, Renamed, unknown
from server.roles import Caller
from server.store.deeds import note
from server.store.spaces import known_spaces

_IN_ORDER = (DeviceRecord.retired_at.is_not(None), DeviceRecord.name)


def register(
    session: Session, name: str, description: DeviceDescription, by: Caller, now: datetime
) -> tuple[Device, bool]:
    """Store or refresh a device's description; True if the device is new.

    By a former name it is the device that had it: so the answer tells an agent its present one.

    Raises:
        Conflict: the name belongs to a device of another model or SoC.
    """
    name = present_name(session, name)
    created = insert_once(
        session,
        DeviceRecord,
        {
            "name": name,
            "registered_at": now,
            "revision": 0,
            **description.model_dump(),
        },
    )
    record = find_device(session, name)
    for identity in ("model", "soc"):
        stored, given = getattr(record, identity), getattr(description, identity)
        if stored != given:
            raise Conflict(
                f"device {name} is registered with {identity} {stored!r}, not {given!r}; "
                "register this one under another name with `--name`"
            )
    for field, value in description:
        setattr(record, field, value)
    if created:
        note(session, by, "registered the device", name, now)
    session.flush()
    return device(session, name), created


def devices(session: Session, *, origin: Origin = "measured") -> list[Device]:
    """Every device, by name, and its tables with rows of that origin; retired ones come last."""
    return _summaries(session, true(), origin)


def device(session: Session, name: str, *, origin: Origin = "measured") -> Device:
    """One device, and its tables with rows of that origin.

    Raises:
        NotFound: no such device.
    """
    find_device(session, name)
    return _summaries(session, DeviceRecord.name == name, origin)[0]


def set_default_runtime(
    session: Session, name: str, runtime: Runtime, by: Caller, now: datetime
) -> Device:
    """Serve this runtime's table when none is asked for.

    Raises:
        NotFound: no such device, or no session measured on it with this runtime.
    """
    record = find_device(session, name)
    measured = session.scalars(
        select(SessionRecord.runtime)
        .where(SessionRecord.device == name, SessionRecord.origin == "measured")
        .distinct()
    ).all()
    if runtime.key not in measured:
        raise unknown(f"session on {name} with runtime", runtime.key, sorted(measured))
    record.default_runtime = runtime.key
    note(session, by, "chose the default runtime", name, now, detail=runtime.key)
    session.flush()
    return device(session, name)


def find_device(session: Session, name: str) -> DeviceRecord:
    """The device's record.

    Raises:
        Renamed: it is called otherwise now.
        NotFound: no such device; the message lists near names.
    """
    record = session.get(DeviceRecord, name)
    if record is None:
        check_name(session, name)
        raise unknown("device", name, names(session), type=NO_DEVICE)
    return record


def device_to_write(session: Session, name: str) -> DeviceRecord:
    """The device that a program means which stores something of it, be it by a former name: what
    was measured under that is not lost. It keeps its name until the transaction ends.

    Raises:
        NotFound: no such device; the message lists near names.
    """
    called = name
    while (record := _held(session, called)) is None:
        present = present_name(session, name)
        if present == called:
            return find_device(session, name)
        called = present  # which may be another already, once its lock is free
    return record


def present_name(session: Session, name: str) -> str:
    """What the device is called now that is or was called that."""
    former = select(FormerNameRecord.device).where(FormerNameRecord.name == name)
    return session.scalar(former) or name


def check_name(session: Session, name: str) -> None:
    """
    Raises:
        Renamed: a device had that name, and has another now.
    """
    former = session.get(FormerNameRecord, name)
    if former is not None:
        raise Renamed(former.name, former.device, former.until)


def retired_devices(session: Session) -> dict[str, datetime]:
    """Since when each of the retired devices is that, by name."""
    found = session.execute(
        select(DeviceRecord.name, DeviceRecord.retired_at)
        .where(DeviceRecord.retired_at.is_not(None))
        .order_by(DeviceRecord.name)
    )
    return {name: retired_at for name, retired_at in found if retired_at is not None}


def count_change(session: Session, name: str) -> int:
    """Tell whoever keeps an answer that the device's tables have changed; the new revision.

    Until the transaction ends no other one changes the device's tables.

    Raises:
        Busy: it got another name since the transaction began.
    """
    revision = session.execute(
        update(DeviceRecord)
        .where(DeviceRecord.name == name)
        .values(revision=DeviceRecord.revision + 1)
        .returning(DeviceRecord.revision)
    ).scalar_one_or_none()
    if revision is None:
        raise Busy(f"device {name} was given another name at this moment; send it again")
    return revision


def nothing_measured(name: str) -> NotFound:
    """The refusal for a device that is known but has no table."""
    return NotFound(
        f"nothing was measured on {name} yet; run `{commands.profile(name)}`", type=NO_TABLE
    )


def names(session: Session) -> Sequence[str]:
    """The names of all devices, in order; retired ones come last."""
    return session.scalars(select(DeviceRecord.name).order_by(*_IN_ORDER)).all()


def _held(session: Session, name: str) -> DeviceRecord | None:
    lock = {"read": True, "key_share": True}  # as PostgreSQL itself does for a foreign key
    return session.get(DeviceRecord, name, with_for_update=lock)


def _summaries(session: Session, which: ColumnElement[bool], origin: Origin) -> list[Device]:
    """The chosen devices in three queries, however many there are. Rows of one origin only."""
    known = known_spaces(session)
    spaces_of: dict[tuple[str, str], set[str]] = defaultdict(set)
    for name, runtime, space in session.execute(
        select(SessionRecord.device, SessionRecord.runtime, SessionRecord.space)
        .join(DeviceRecord, DeviceRecord.name == SessionRecord.device)
        .where(which, SessionRecord.origin == origin, SessionRecord.withdrawn_at.is_(None))
        .distinct()
    ):
        spaces_of[name, runtime].add(space)

    rows_of: dict[tuple[str, str], dict[str, datetime]] = defaultdict(dict)
    for name, runtime, operator, measured_at in session.execute(
        select(RowRecord.device, RowRecord.runtime, RowRecord.operator, RowRecord.measured_at)
        .join(DeviceRecord, DeviceRecord.name == RowRecord.device)
        .where(which, RowRecord.origin == origin)
    ):
        rows_of[name, runtime][operator] = measured_at

    records = session.scalars(select(DeviceRecord).where(which).order_by(*_IN_ORDER))
    return [
        Device(
            name=record.name,
            description=DeviceDescription.model_validate(record, from_attributes=True),
            registered_at=record.registered_at,
            runtimes=tuple(
                _summary(
                    runtime,
                    is_default=runtime == record.default_runtime,
                    keys={space: known.keys(space) for space in sorted(spaces)},
                    rows=rows_of[name, runtime],
                )
                for (name, runtime), spaces in sorted(spaces_of.items())
                if name == record.name
            ),
        )
        for record in records
    ]


def _summary(
    runtime: str,
    *,
    is_default: bool,
    keys: Mapping[str, Sequence[str]],
    rows: Mapping[str, datetime],
) -> RuntimeSummary:
    return RuntimeSummary(
        runtime=Runtime.parse(runtime),
        key=runtime,
        is_default=is_default,
        rows=len(rows),
        newest=max(rows.values(), default=None),
        oldest=min(rows.values(), default=None),
        spaces=tuple(
            SpaceCompleteness(
                space=space,
                rows=sum(key in rows for key in needed),
                total=len(needed),
            )
            for space, needed in keys.items()
        ),
    )
