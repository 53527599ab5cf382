"""Tables over time, from the rows that they ever had: never from raw samples."""

import json
from collections import OrderedDict, defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from itertools import pairwise
from threading import Lock
from typing import NamedTuple
from uuid import UUID

from sqlalchemy import select
from sqlalchemy.orm import Session as DbSession

from contract.devices import Conditions
from contract.estimates import Grade
from contract.runtime import Runtime
from contract.sessions import Origin
from server.database.records import DeviceRecord, RowVersion, SessionRecord
from server.store.change_points import levels
from server.store.snapshots import NO_ROW

MOST_ROWS = 100_000  # of a table, the newest, in one history
MOST_IN_SERIES = 100  # of an operator's rows, the newest, that are kept and searched for steps
MOST_HISTORIES = 128  # kept at a time
AT_ONCE = 5_000  # rows in memory while a history is read
LEAST_CHANGE = 0.1  # of conditions, as a fraction, to be told beside a step


@dataclass(slots=True)
class Point:
    """A row as it was once. `executorch` is the version that measured it."""

    operator: str
    measured_at: datetime
    latency_us: float
    low_us: float
    high_us: float
    grade: Grade
    samples: int
    calm: int
    session: str  # its id
    executorch: str


@dataclass(frozen=True, kw_only=True, slots=True)
class Step:
    """The level of an operator's latency changed: `first` is the first row of the new level.

    `changes` tells what else was not as before in the session that measured it.
    """

    device: str
    runtime: Runtime
    origin: Origin
    operator: str
    before_us: float
    after_us: float
    points_before: int
    points_after: int
    last: Point
    first: Point
    changes: tuple[str, ...]

    @property
    def ratio(self) -> float:
        """The new level over the old one."""
        return self.after_us / self.before_us


class Sitting(NamedTuple):
    """A session of a table's history: when, on which phone, and how calm that was.

    `calm` is the share of samples whose drift factor was that of the calm device; None where no
    probe ran beside them.
    """

    id: UUID
    started_at: datetime
    unit: str | None
    agent_version: str
    rows: int
    calm: float | None
    conditions: Conditions
    conditions_after: Conditions | None


@dataclass(frozen=True, kw_only=True, slots=True)
class History:
    """The past of one table and of those that differ in ExecuTorch's version alone."""

    device: str
    runtime: Runtime
    origin: Origin
    points: Mapping[str, Sequence[Point]]  # by operator, the newest 100, oldest first
    steps: tuple[Step, ...]  # largest first
    sittings: tuple[Sitting, ...]  # oldest first


class Histories:
    """The histories of tables, kept: when a table has changed, its new rows alone are read.

    Used by many threads: of a table one reads at a time, and the others take what it has read.
    """

    def __init__(self) -> None:
        self._lock = Lock()
        self._kept: OrderedDict[tuple[str, str, Origin], _Growing] = OrderedDict()

    def of(self, session: DbSession, device: str, runtime: Runtime, origin: Origin) -> History:
        """The table's history, and that of those which differ in ExecuTorch's version alone."""
        key = (device, _apart_from_version(runtime), origin)
        with self._lock:
            growing = self._kept.setdefault(key, _Growing(device, runtime, origin))
            self._kept.move_to_end(key)
            if len(self._kept) > MOST_HISTORIES:
                self._kept.popitem(last=False)
        return growing.up_to_date(session)

    def clear(self) -> None:
        """Forget everything."""
        with self._lock:
            self._kept.clear()


def history(
    session: DbSession, device: str, runtime: Runtime, origin: Origin, operator: str
) -> History:
    """What the table was, of one operator alone."""
    return _Growing(device, runtime, origin, operator=operator).up_to_date(session)


def tables(session: DbSession) -> list[tuple[str, Runtime, Origin]]:
    """Every table with a history of its own: of those that differ in ExecuTorch's version alone
    the newest one."""
    found: dict[tuple[str, str, Origin], tuple[str, Runtime, Origin]] = {}
    for device, key, origin in session.execute(
        select(SessionRecord.device, SessionRecord.runtime, SessionRecord.origin)
        .distinct()
        .order_by(SessionRecord.device, SessionRecord.runtime)
    ):
        runtime = Runtime.parse(key)
        found[device, _apart_from_version(runtime), origin] = (device, runtime, origin)
    return list(found.values())


def _family(session: DbSession, device: str, runtime: Runtime, origin: Origin) -> dict[str, str]:
    """ExecuTorch's version by the key of each runtime that differs in nothing else."""
    keys = session.scalars(
        select(SessionRecord.runtime)
        .where(SessionRecord.device == device, SessionRecord.origin == origin)
        .distinct()
    )
    same = _apart_from_version(runtime)
    runtimes = [runtime, *map(Runtime.parse, keys)]
    return {each.key: each.executorch for each in runtimes if _apart_from_version(each) == same}


def _apart_from_version(runtime: Runtime) -> str:
    return runtime.evolve(executorch="0").key


class _Tally(NamedTuple):
    """How many rows a session brought, and the samples beneath them."""

    rows: int = 0
    samples: int = 0
    calm: int = 0

    def with_one(self, point: Point) -> "_Tally":
        return _Tally(self.rows + 1, self.samples + point.samples, self.calm + point.calm)


@dataclass(slots=True)
class _Read:
    """What has been read of a history: of which tables and up to which revision, and what."""

    family: Mapping[str, str]
    withdrawn: frozenset[UUID]
    revision: int = 0
    points: dict[str, list[Point]] = field(default_factory=dict)
    steps: dict[str, tuple[Step, ...]] = field(default_factory=dict)
    sessions: dict[str, SessionRecord] = field(default_factory=dict)
    tallies: dict[str, _Tally] = field(default_factory=dict)


class _Growing:
    """One history, which grows with its table. Begun anew where sessions were withdrawn."""

    def __init__(
        self, device: str, runtime: Runtime, origin: Origin, *, operator: str | None = None
    ) -> None:
        self._device = device
        self._runtime = runtime
        self._origin = origin
        self._operator = operator
        self._lock = Lock()
        self._read: _Read | None = None
        self._made: History | None = None

    def up_to_date(self, session: DbSession) -> History:
        """As the database has it at the session's moment."""
        device = select(DeviceRecord.revision).where(DeviceRecord.name == self._device)
        revision = session.scalar(device) or 0
        family = _family(session, self._device, self._runtime, self._origin)
        withdrawn = frozenset(
            session.scalars(
                select(SessionRecord.id).where(
                    SessionRecord.device == self._device, SessionRecord.withdrawn_at.is_not(None)
                )
            )
        )
        with self._lock:
            read = self._read
            if read is None or (read.family, read.withdrawn) != (family, withdrawn):
                read = _Read(family, withdrawn)
            if self._made is None or read is not self._read or read.revision < revision:
                self._grow(session, read, revision)
                self._read, self._made = read, self._history(read)
            return self._made

    def _grow(self, session: DbSession, read: _Read, revision: int) -> None:
        new: dict[str, dict[str, Point]] = defaultdict(dict)  # by operator and session
        for point in self._points(session, read, revision):
            if all(
                point.session != known.session for known in read.points.get(point.operator, ())
            ):
                new[point.operator].setdefault(point.session, point)
        for its in new.values():
            for point in its.values():
                tally = read.tallies.get(point.session, _Tally())
                read.tallies[point.session] = tally.with_one(point)
        unknown = [UUID(id) for id in read.tallies if id not in read.sessions]
        for record in _sessions(session, unknown):
            session.expunge(record)
            read.sessions[str(record.id)] = record
        for operator, its in new.items():
            points = [*read.points.get(operator, ()), *its.values()]
            points.sort(key=lambda point: point.measured_at)
            read.points[operator] = points[-MOST_IN_SERIES:]
            read.steps[operator] = tuple(self._steps(read, read.points[operator]))
        read.revision = revision

    def _points(self, session: DbSession, read: _Read, revision: int) -> Iterator[Point]:
        """The rows since the revision up to which was read, in the order that they came in."""
        of_table = [
            RowVersion.device == self._device,
            RowVersion.runtime.in_(read.family),
            RowVersion.origin == self._origin,
            *([] if self._operator is None else [RowVersion.operator == self._operator]),
        ]
        oldest = (
            select(RowVersion.revision)
            .where(*of_table)
            .order_by(RowVersion.revision.desc())
            .offset(MOST_ROWS)
            .limit(1)
        )
        since = read.revision or session.scalar(oldest) or -1
        found = session.execute(
            select(RowVersion.runtime, RowVersion.content)
            .where(
                *of_table,
                RowVersion.revision > since,
                RowVersion.revision <= revision,
                RowVersion.content != NO_ROW,
            )
            .order_by(RowVersion.revision)
            .execution_options(yield_per=AT_ONCE)
        )
        for rows in found.partitions():
            for point in _parsed(rows, read.family):
                if UUID(point.session) not in read.withdrawn:
                    yield point

    def _steps(self, read: _Read, points: Sequence[Point]) -> Iterator[Step]:
        timed = [point for point in points if point.latency_us]  # 0: no level to step from
        for before, after in pairwise(levels([point.latency_us for point in timed])):
            last, first = timed[after.start - 1], timed[after.start]
            old, new = read.sessions[last.session], read.sessions[first.session]
            yield Step(
                device=self._device,
                runtime=self._runtime,
                origin=self._origin,
                operator=first.operator,
                before_us=before.value,
                after_us=after.value,
                points_before=before.end - before.start,
                points_after=after.end - after.start,
                last=last,
                first=first,
                changes=tuple(_changes(last, first, old, new)),
            )

    def _history(self, read: _Read) -> History:
        steps = [step for of_operator in read.steps.values() for step in of_operator]
        # Operators measured alone have no probe beside them: all their samples count as calm.
        has_probe = all(Runtime.parse(key).protocol == "in_situ" for key in read.family)
        sittings = [
            _sitting(record, read.tallies[id], has_probe=has_probe)
            for id, record in read.sessions.items()
        ]
        return History(
            device=self._device,
            runtime=self._runtime,
            origin=self._origin,
            points=dict(read.points),
            steps=tuple(
                sorted(steps, key=lambda step: (-max(step.ratio, 1 / step.ratio), step.operator))
            ),
            sittings=tuple(sorted(sittings, key=lambda sitting: sitting.started_at)),
        )


def _parsed(rows: Iterable[Sequence[str]], family: Mapping[str, str]) -> Iterator[Point]:
    """All rows in one reading of JSON: several times faster than one each."""
    found = list(rows)
    contents = json.loads(f"[{','.join(content for _, content in found)}]")
    for (runtime, _), row in zip(found, contents, strict=True):
        own = row.get("newest", row)
        yield Point(
            operator=row["operator"],
            measured_at=datetime.fromisoformat(row["measured_at"]),
            latency_us=own["latency_us"],
            low_us=own["low_us"],
            high_us=own["high_us"],
            grade=own["grade"],
            samples=row["samples"],
            calm=row["calm"],
            session=row["session"],
            executorch=family[runtime],
        )


def _sessions(session: DbSession, ids: Sequence[UUID]) -> Iterator[SessionRecord]:
    for first in range(0, len(ids), AT_ONCE):
        these = ids[first : first + AT_ONCE]
        yield from session.scalars(select(SessionRecord).where(SessionRecord.id.in_(these)))


def _sitting(record: SessionRecord, tally: _Tally, *, has_probe: bool) -> Sitting:
    tells = has_probe or tally.calm < tally.samples
    return Sitting(
        id=record.id,
        started_at=record.started_at,
        unit=record.unit,
        agent_version=record.agent_version,
        rows=tally.rows,
        calm=tally.calm / tally.samples if tells else None,
        conditions=Conditions.model_validate(record.conditions),
        conditions_after=(
            Conditions.model_validate(record.conditions_after) if record.conditions_after else None
        ),
    )


def _changes(last: Point, first: Point, old: SessionRecord, new: SessionRecord) -> Iterator[str]:
    """What differs between the sessions on both sides of a step, in words."""
    was, is_ = (Conditions.model_validate(each.conditions) for each in (old, new))
    for name, before, after in (
        ("ExecuTorch", last.executorch, first.executorch),
        ("agent", old.agent_version, new.agent_version),
        ("unit", old.unit, new.unit),
        ("governor", was.governor, is_.governor),
        ("charging", was.is_charging, is_.is_charging),
    ):
        if before != after:
            yield f"{name} {_told(before)} → {_told(after)}"
    for name, unit, before_is, after_is in (
        ("clock", " MHz", was.clock_mhz, is_.clock_mhz),
        ("clock limit", " MHz", was.clock_limit_mhz, is_.clock_limit_mhz),
        ("temperature", " °C", was.temperature_c, is_.temperature_c),
        ("load", "", was.load_1min, is_.load_1min),
    ):
        if before_is is None or after_is is None:
            continue
        if abs(after_is - before_is) > LEAST_CHANGE * max(abs(before_is), 1):
            yield f"{name} {before_is:.4g} → {after_is:.4g}{unit}"


def _told(value: object) -> str:
    if isinstance(value, bool):
        return "yes" if value else "no"
    return "unknown" if value is None else str(value)
