"""What the operator page shows, gathered from the store."""

from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from sqlalchemy.orm import Session as DbSession

from contract import commands
from contract.operators import Operator
from contract.sessions import Origin
from contract.tables import Device, RuntimeSummary
from server.errors import unknown
from server.pages.charts import Chart
from server.pages.links import operator_url, table_url
from server.pages.operator.charts import (
    drift_chart,
    elsewhere_chart,
    history_chart,
    order_chart,
    samples_chart,
)
from server.store.change_points import levels
from server.store.devices import device, nothing_measured
from server.store.history import Step, history
from server.store.lookup import find_summary
from server.store.notes import SessionNote, session_notes
from server.store.samples import MeasuredTiming, OperatorRow, rows_everywhere, timings
from server.store.spaces import known_spaces

LEAST_HISTORY = 2  # rows that make a chart of them worth drawing


@dataclass(frozen=True, kw_only=True, slots=True)
class OperatorView:
    """An operator in one table.

    `row` is None where there is none; `shown` is the timing whose samples are shown in order.
    """

    device: Device
    summary: RuntimeSummary
    origin: Origin
    operator: Operator
    row: OperatorRow | None
    timings: tuple[MeasuredTiming, ...]
    shown: MeasuredTiming | None
    steps: tuple[Step, ...]
    spaces: tuple[str, ...]
    charts: list[Chart]
    notes: tuple[SessionNote, ...]  # on the sessions of the timings and points

    @property
    def shown_dropped(self) -> datetime | None:
        """When the samples that would be shown in order were dropped; None if they are there."""
        looked_at = self.shown or next(iter(self.timings), None)
        return looked_at.dropped_at if looked_at else None

    @property
    def table_url(self) -> str:
        """The page of the table."""
        return table_url(self.device.name, self.summary.key, origin=self.origin)

    def url(self, timing: MeasuredTiming) -> str:
        """This page with that timing's samples."""
        return operator_url(
            self.device.name,
            self.operator.key,
            self.summary.key,
            origin=self.origin,
            sitting=str(timing.session),
        )

    @property
    def command(self) -> str | None:
        """What measures the operator again, with its whole space; None of imported rows."""
        if self.origin == "imported":
            return None
        space = self.timings[0].space if self.timings else self.spaces[0]
        runtime = self.summary.runtime
        return commands.profile(self.device.name, space=space, runtime=runtime, again=True)


def operator_view(
    session: DbSession,
    name: str,
    key: str,
    *,
    runtime: str,
    origin: Origin,
    wanted: UUID | None,
) -> OperatorView:
    """The page of an operator. An empty runtime stands for the device's default one.

    Raises:
        NotFound: no such device, operator, table of the device, or session of the operator.
        Unprocessable: not a runtime's key.
    """
    operator = known_spaces(session).operator(key)
    found = device(session, name, origin=origin)
    if not found.runtimes:
        raise nothing_measured(name)
    summary = find_summary(found, runtime)
    newest = timings(session, name, summary.key, origin, key)
    everywhere = rows_everywhere(session, key)
    here = (name, summary.key, origin)
    past = history(session, name, summary.runtime, origin, key)
    points = [point for point in past.points.get(key, ()) if point.latency_us]  # 0 has no level
    kept = [timing for timing in newest if timing.rounds_us]
    shown = _shown(newest, wanted) if wanted else next(iter(kept), None)
    charts = []
    if kept:
        charts.append(samples_chart(kept))
    if shown and shown.rounds_us:
        drift = drift_chart(shown)
        charts += [order_chart(shown), *([drift] if drift else [])]
    if len(points) >= LEAST_HISTORY:
        found_levels = levels([point.latency_us for point in points])
        links = [
            operator_url(name, key, summary.key, origin=origin, sitting=point.session)
            if any(point.session == str(timing.session) for timing in newest)
            else None
            for point in points
        ]
        charts.append(history_chart(points, found_levels, links))
    if everywhere:
        charts.append(elsewhere_chart(key, everywhere))
    return OperatorView(
        device=found,
        summary=summary,
        origin=origin,
        operator=operator,
        row=next(
            (row for row in everywhere if (row.device, row.runtime, row.origin) == here), None
        ),
        timings=tuple(newest),
        shown=shown,
        steps=past.steps,
        spaces=known_spaces(session).that_need([key]),
        charts=charts,
        notes=session_notes(
            session,
            {timing.session for timing in newest} | {UUID(point.session) for point in points},
        ),
    )


def _shown(newest: list[MeasuredTiming], wanted: UUID) -> MeasuredTiming:
    by_id = {timing.session: timing for timing in newest}
    if wanted not in by_id:
        raise unknown("recent session of this operator", str(wanted), list(map(str, by_id)))
    return by_id[wanted]
