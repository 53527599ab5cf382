"""Tables as they once were: which there are, and how two of them differ. Latencies are in us."""

from typing import Self
from uuid import UUID

from pydantic import AwareDatetime, NonNegativeFloat, NonNegativeInt

from contract.audits import Snapshot
from contract.devices import DeviceName
from contract.estimates import RowMicroseconds
from contract.runtime import Runtime
from contract.sessions import Origin
from contract.tables import LatencyTable
from contract.values import Value


class SnapshotSummary(Value):
    """A table as a session left it. `space` is null for a whole table."""

    snapshot: Snapshot
    runtime: Runtime
    origin: Origin
    space: str | None
    rows: NonNegativeInt
    session: UUID
    made_at: AwareDatetime


class OperatorRow(Value):
    """An operator that only one of two tables has."""

    operator: str
    latency_us: RowMicroseconds


class RowChange(Value):
    """An operator whose latency differs; `ratio` is the later one over the earlier, null where
    that was 0."""

    operator: str
    from_us: RowMicroseconds
    to_us: RowMicroseconds
    ratio: NonNegativeFloat | None


class TableSide(Value):
    """One of the two tables of a diff."""

    snapshot: Snapshot
    runtime: Runtime
    origin: Origin
    space: str | None
    rows: NonNegativeInt

    @classmethod
    def of(cls, table: LatencyTable) -> Self:
        return cls(
            snapshot=table.snapshot,
            runtime=table.runtime,
            origin=table.origin,
            space=table.space,
            rows=len(table.entries),
        )


class TableDiff(Value):
    """What changed from one table of a device to another.

    `changed` is in the order of `after`; `unchanged` counts the operators of equal latency, even
    if they were measured again.
    """

    device: DeviceName
    before: TableSide
    after: TableSide
    added: tuple[OperatorRow, ...]
    removed: tuple[OperatorRow, ...]
    changed: tuple[RowChange, ...]
    unchanged: NonNegativeInt


def difference(before: LatencyTable, after: LatencyTable) -> TableDiff:
    """The rows of `after` against those of `before`, operator by operator."""
    old = {row.operator: row.latency_us for row in before.entries}
    new = {row.operator: row.latency_us for row in after.entries}
    changed = [key for key in new if key in old and new[key] != old[key]]
    return TableDiff(
        device=after.device,
        before=TableSide.of(before),
        after=TableSide.of(after),
        added=tuple(
            OperatorRow(operator=key, latency_us=new[key]) for key in new if key not in old
        ),
        removed=tuple(
            OperatorRow(operator=key, latency_us=old[key]) for key in old if key not in new
        ),
        changed=tuple(
            RowChange(
                operator=key,
                from_us=old[key],
                to_us=new[key],
                ratio=new[key] / old[key] if old[key] else None,
            )
            for key in changed
        ),
        unchanged=sum(key in old for key in new) - len(changed),
    )
