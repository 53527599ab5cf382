"""Tables over time, from the rows that they ever had: never from raw samples."""

import json
from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from itertools import pairwise
from typing import NamedTuple
from uuid import UUID

from sqlalchemy import select
from sqlalchemy.orm import Session as DbSession

from contract.estimates import Grade
from contract.timings import Conditions, Origin, Runtime
from server.steps import levels
from server.tables import DeviceRecord, RowVersion, SessionRecord

MOST_REVISIONS = 100_000  # of a device, the newest, in one history
MOST_IN_SERIES = 100  # of an operator's rows, the newest, that are searched for steps
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
    points: dict[str, list[Point]]  # by operator, oldest first
    steps: tuple[Step, ...]  # largest first
    sittings: tuple[Sitting, ...]  # oldest first


def history(
    session: DbSession,
    device: str,
    runtime: Runtime,
    origin: Origin,
    *,
    operator: str | None = None,
) -> History:
    """What the table was, of all operators or of one: what came with the newest 100,000
    changes of the device's tables. The newest 100 rows of each operator are searched for steps."""
    family = _family(session, device, runtime, origin)
    newest = session.scalar(select(DeviceRecord.revision).where(DeviceRecord.name == device)) or 0
    versions = select(RowVersion.runtime, RowVersion.content).where(
        RowVersion.device == device,
        RowVersion.runtime.in_(family),
        RowVersion.origin == origin,
        # A revision brings one row, or those of one import.
        RowVersion.revision > newest - MOST_REVISIONS,
        *([] if operator is None else [RowVersion.operator == operator]),
    )
    points: dict[str, list[Point]] = defaultdict(list)
    found = [(key, content) for key, content in session.execute(versions)]
    for point in _points(found, family):
        points[point.operator].append(point)
    for of_operator in points.values():
        of_operator.sort(key=lambda point: point.measured_at)
    sittings = _sittings(session, device, family, origin, points)
    by_id = {str(sitting.id): sitting for sitting in sittings}
    steps = [
        step
        for of_operator in points.values()
        for step in _steps(device, runtime, origin, of_operator[-MOST_IN_SERIES:], by_id)
    ]
    return History(
        device=device,
        runtime=runtime,
        origin=origin,
        points=points,
        steps=tuple(
            sorted(steps, key=lambda step: (-max(step.ratio, 1 / step.ratio), step.operator))
        ),
        sittings=sittings,
    )


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
    # Not a copy of the value, which would keep the key that was computed for it.
    return Runtime.model_validate({**runtime.model_dump(), "executorch": "0"}).key


def _points(found: Sequence[tuple[str, str]], family: dict[str, str]) -> Iterator[Point]:
    """All rows in one reading of JSON: several times faster than one each."""
    contents = json.loads(f"[{','.join(content for _, content in found)}]")
    for (runtime, _), row in zip(found, contents, strict=True):
        yield Point(
            operator=row["operator"],
            measured_at=datetime.fromisoformat(row["measured_at"]),
            latency_us=row["latency_us"],
            low_us=row["low_us"],
            high_us=row["high_us"],
            grade=row["grade"],
            samples=row["samples"],
            calm=row["calm"],
            session=row["session"],
            executorch=family[runtime],
        )


def _sittings(
    session: DbSession,
    device: str,
    family: dict[str, str],
    origin: Origin,
    points: dict[str, list[Point]],
) -> tuple[Sitting, ...]:
    of_session: dict[str, list[Point]] = defaultdict(list)
    for of_operator in points.values():
        for point in of_operator:
            of_session[point.session].append(point)
    records = session.execute(
        select(
            SessionRecord.id,
            SessionRecord.started_at,
            SessionRecord.unit,
            SessionRecord.agent_version,
            SessionRecord.conditions,
            SessionRecord.conditions_after,
        )
        .where(
            SessionRecord.device == device,
            SessionRecord.runtime.in_(family),
            SessionRecord.origin == origin,
        )
        .order_by(SessionRecord.started_at)
    )
    # Operators measured alone have no probe beside them, and so all their samples count as calm.
    has_probe = all(Runtime.parse(key).protocol == "in_situ" for key in family)
    return tuple(
        Sitting(
            id=id,
            started_at=started_at,
            unit=unit,
            agent_version=agent_version,
            rows=len(its),
            calm=_calm(its, has_probe=has_probe),
            conditions=Conditions.model_validate(before),
            conditions_after=Conditions.model_validate(after) if after else None,
        )
        for id, started_at, unit, agent_version, before, after in records
        if (its := of_session.get(str(id)))
    )


def _calm(points: Sequence[Point], *, has_probe: bool) -> float | None:
    samples, calm = sum(each.samples for each in points), sum(each.calm for each in points)
    return calm / samples if has_probe or calm < samples else None


def _steps(
    device: str,
    runtime: Runtime,
    origin: Origin,
    points: Sequence[Point],
    sittings: dict[str, Sitting],
) -> Iterator[Step]:
    for before, after in pairwise(levels([point.latency_us for point in points])):
        last, first = points[after.start - 1], points[after.start]
        yield Step(
            device=device,
            runtime=runtime,
            origin=origin,
            operator=first.operator,
            before_us=before.value,
            after_us=after.value,
            points_before=before.end - before.start,
            points_after=after.end - after.start,
            last=last,
            first=first,
            changes=tuple(_changes(last, first, sittings[last.session], sittings[first.session])),
        )


def _changes(last: Point, first: Point, old: Sitting, new: Sitting) -> Iterator[str]:
    """What differs between the sessions on both sides of a step, in words."""
    for name, before, after in (
        ("ExecuTorch", last.executorch, first.executorch),
        ("agent", old.agent_version, new.agent_version),
        ("unit", old.unit, new.unit),
        ("governor", old.conditions.governor, new.conditions.governor),
        ("charging", old.conditions.is_charging, new.conditions.is_charging),
    ):
        if before != after:
            yield f"{name} {_told(before)} → {_told(after)}"
    for name, unit, before_is, after_is in (
        ("clock", " MHz", old.conditions.clock_mhz, new.conditions.clock_mhz),
        ("clock limit", " MHz", old.conditions.clock_limit_mhz, new.conditions.clock_limit_mhz),
        ("temperature", " °C", old.conditions.temperature_c, new.conditions.temperature_c),
        ("load", "", old.conditions.load_1min, new.conditions.load_1min),
    ):
        if before_is is None or after_is is None:
            continue
        if abs(after_is - before_is) > LEAST_CHANGE * max(abs(before_is), 1):
            yield f"{name} {before_is:.4g} → {after_is:.4g}{unit}"


def _told(value: object) -> str:
    if isinstance(value, bool):
        return "yes" if value else "no"
    return "unknown" if value is None else str(value)
