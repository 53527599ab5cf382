"""What the service answers: latency tables, and which devices have them. Durations are in us."""

from collections import Counter
from collections.abc import Sequence
from functools import cached_property
from typing import Literal
from uuid import UUID

from pydantic import AwareDatetime, ConfigDict, Field

from contract import commands
from contract.audits import AuditSummary, Snapshot
from contract.devices import DeviceDescription, DeviceName
from contract.errors import IncompleteTable, listing
from contract.estimates import Estimate, Grade, RowMicroseconds
from contract.imports import Sources, provenance
from contract.operators import Operator
from contract.runtime import Runtime
from contract.sessions import Origin, Session
from contract.table_keys import TableKey
from contract.timings import Failure, StoredTiming
from contract.values import Value


class NewestFigures(Value):
    """What the newest session alone says of an operator whose row rests on several."""

    latency_us: RowMicroseconds
    low_us: RowMicroseconds
    high_us: RowMicroseconds
    grade: Grade


class Row(Estimate):
    """One operator of a table.

    The latency, its interval and its grade rest on so many `sessions`, and allow for how sessions
    of one device differ; what is of one alone tells of that one. Everything else, `session` and
    `measured_at` too, is the newest session's, whose own figures are `newest`. Both fields are
    left out of a row that rests on one session.
    """

    operator: str
    measured_at: AwareDatetime
    origin: Origin
    session: UUID
    sessions: int = Field(default=1, ge=1, exclude_if=lambda sessions: sessions == 1)
    newest: NewestFigures | None = Field(default=None, exclude_if=lambda figures: figures is None)


class FailedOperator(Value):
    """An operator whose last measurement failed and that has no row."""

    operator: str
    failure: Failure
    measured_at: AwareDatetime


class LatencyTable(Value):
    """The current row of each operator, for one device and one runtime.

    `space`, `complete` and `missing` are null unless the table was asked for by space. `audit`
    is the latest one: of that space, or of any. `sources` says where imported rows come from, and
    is left out of other tables.
    """

    model_config = ConfigDict(validate_by_name=True, serialize_by_alias=True)

    schema_version: Literal[1] = Field(alias="schema")
    device: DeviceName
    runtime: Runtime
    origin: Origin
    space: str | None
    complete: bool | None
    missing: tuple[str, ...] | None
    failures: tuple[FailedOperator, ...]
    snapshot: Snapshot
    audit: AuditSummary | None
    sources: Sources = ()
    entries: tuple[Row, ...]

    @property
    def key(self) -> TableKey:
        """Which table it is."""
        return TableKey(self.device, self.runtime.key, self.origin)

    @property
    def provenance(self) -> str:
        """`imported from SOURCE, of DATE`; nothing where the rows were measured."""
        return provenance(self.origin, self.sources)

    @property
    def title(self) -> str:
        """Which table it is, and where it comes from, for a person."""
        words = f"{self.device} under {self.runtime.key}"
        return f"{words} ({self.provenance})" if self.provenance else words

    @property
    def main_session(self) -> UUID | None:
        """The session that most of its rows come from; None where it has no row."""
        counts = Counter(row.session for row in self.entries)
        return max(counts, key=counts.__getitem__) if counts else None

    @cached_property
    def _latency_us(self) -> dict[str, float]:
        return {row.operator: row.latency_us for row in self.entries}

    def missing_of(self, operators: Sequence[Operator]) -> tuple[Operator, ...]:
        """Those that need a row and have none, each once."""
        return tuple(
            operator
            for operator in dict.fromkeys(operators)
            if not operator.is_free and operator.key not in self._latency_us
        )

    def latencies_us(self, operators: Sequence[Operator]) -> tuple[float, ...]:
        """Each operator's latency in us, 0 for a skip.

        Raises:
            IncompleteTable: rows are missing; the message names the command that measures them.
        """
        missing = [operator.key for operator in self.missing_of(operators)]
        if missing:
            command = commands.profile(self.device, space=self.space, runtime=self.runtime)
            remedy = (
                "only its source could have them"
                if self.origin == "imported"
                else f"run `{command}` to measure them"
            )
            raise IncompleteTable(
                f"no timing on {self.title} for {listing(missing)}; {remedy}",
                missing=missing,
            )
        return tuple(0.0 if op.is_free else self._latency_us[op.key] for op in operators)

    def interval_us(self, operators: Sequence[Operator]) -> tuple[float, float]:
        """The 95 % interval of what the operators take together, in us: the sums of their rows'
        bounds, as rows of one session err together. All of them have rows."""
        rows = {row.operator: row for row in self.entries}
        found = [rows[operator.key] for operator in operators if not operator.is_free]
        return sum(row.low_us for row in found), sum(row.high_us for row in found)


class SpaceCompleteness(Value):
    """How much of a space that some session profiled has rows."""

    space: str
    rows: int
    total: int


class RuntimeSummary(Value):
    """One table of a device."""

    runtime: Runtime
    key: str
    is_default: bool
    rows: int
    newest: AwareDatetime | None
    oldest: AwareDatetime | None
    spaces: tuple[SpaceCompleteness, ...]


class Device(Value):
    """A registered device and its tables."""

    name: DeviceName
    description: DeviceDescription
    registered_at: AwareDatetime
    runtimes: tuple[RuntimeSummary, ...]


class SessionReport(Value):
    """A session and what it measured: one timing per operator, in the order of its space.

    `withdrawn_at` is left out unless its timings count for nothing.
    """

    session: Session
    timings: tuple[StoredTiming, ...]
    withdrawn_at: AwareDatetime | None = Field(default=None, exclude_if=lambda at: at is None)
