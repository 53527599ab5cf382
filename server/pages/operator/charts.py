"""Charts of one operator: its samples, their order, its history, and the same on other tables."""

from collections.abc import Iterable, Sequence
from itertools import chain
from typing import TypeVar

from contract.estimates import CALM
from contract.runtime import Runtime
from server.pages.charts import Axis, Chart, Column, Guide
from server.pages.formatting import counted, runtime_brief
from server.pages.links import operator_url
from server.store.change_points import Level
from server.store.history import Point
from server.store.samples import MeasuredTiming, OperatorRow

Item = TypeVar("Item")
MOST_DRAWN = 2400  # samples in the violins, of all sessions together
MOST_IN_ORDER = 2000  # samples in the order in which they were taken
_SAMPLE = Column("sample_us", "sample, µs", "us")


def samples_chart(timings: Sequence[MeasuredTiming]) -> Chart:
    """Every kept sample of each session: calm ones to the left, disturbed ones to the right."""
    rows = []
    total = 0
    for number, timing in enumerate(reversed(timings), start=1):
        samples = list(_samples(timing))
        total += len(samples)
        label = f"{number}: {timing.started_at:%d %b %H:%M}"
        rows += [(label, *sample) for sample in _thinned(samples, MOST_DRAWN // len(timings))]
    drawn = (
        counted(total, "sample") if len(rows) == total else f"{len(rows):,} of {total:,} samples"
    )
    return Chart(
        id="samples",
        kind="violin",
        title="Raw samples by session",
        counted=f"{drawn}, {counted(len({row[0] for row in rows}), 'session')}",
        columns=(
            Column("session", "session began"),
            Column("round", "round", "count"),
            Column("number", "number in the session", "count"),
            _SAMPLE,
            Column("drift", "drift factor", "number"),
            Column("state", "device"),
        ),
        rows=rows,
        x=Axis(column="session", title="session, by when it began (UTC)"),
        y=Axis(column="sample_us", title="sample, µs (log)", scale="log"),
        series="state",
        height=400,
    )


def order_chart(timing: MeasuredTiming) -> Chart:
    """One session's samples in the order in which they were taken."""
    samples = list(_samples(timing))
    rows = _thinned(samples, MOST_IN_ORDER)
    return Chart(
        id="order",
        kind="scatter",
        title="Order within the session",
        counted=f"{counted(len(samples), 'sample')}, {counted(len(timing.rounds_us), 'round')}, "
        f"session of {timing.started_at:%Y-%m-%d %H:%M}",
        columns=(
            Column("round", "round", "count"),
            Column("number", "number", "count"),
            _SAMPLE,
            Column("drift", "drift factor", "number"),
            Column("state", "device"),
        ),
        rows=rows,
        x=Axis(column="number", title="number of the sample"),
        y=Axis(column="sample_us", title="sample, µs (log)", scale="log"),
        series="state",
        height=320,
    )


def drift_chart(timing: MeasuredTiming) -> Chart | None:
    """By its probes, how many times longer than on the calm device each sample took; None where
    none ran."""
    if not timing.drift:
        return None
    factors = list(enumerate(chain.from_iterable(timing.drift), start=1))
    ends = [1, len(factors)]
    return Chart(
        id="drift",
        kind="lines",
        title="Drift within the session",
        counted=f"{counted(len(factors), 'probe')}, calm up to {CALM}",
        columns=(Column("number", "number", "count"), Column("drift", "drift factor", "number")),
        rows=_thinned(factors, MOST_IN_ORDER),
        x=Axis(column="number", title="number of the sample"),
        y=Axis(column="drift", title="times as long as on the calm device"),
        guides=(Guide(name="calm up to here", x=ends, y=[CALM, CALM]),),
        height=320,
    )


def history_chart(
    points: Sequence[Point], levels: Sequence[Level], links: Sequence[str | None]
) -> Chart:
    """The operator's rows over time, and the level of each stretch between steps."""
    return Chart(
        id="history",
        kind="lines",
        title="History",
        counted=f"{counted(len(points), 'row')}, 95 % intervals, "
        f"{counted(len(levels) - 1, 'step') if levels else 'no step'}",
        columns=(
            Column("measured_at", "measured (UTC)", "time"),
            Column("latency_us", "latency, µs", "us"),
            Column("low_us", "low, µs", "us"),
            Column("high_us", "high, µs", "us"),
            Column("grade", "grade"),
            Column("samples", "samples", "count"),
            Column("executorch", "ExecuTorch"),
        ),
        rows=[
            (
                point.measured_at.isoformat(timespec="seconds"),
                point.latency_us,
                point.low_us,
                point.high_us,
                point.grade,
                point.samples,
                point.executorch,
            )
            for point in points
        ],
        x=Axis(column="measured_at", title="measured (UTC)", scale="date"),
        y=Axis(column="latency_us", title="latency, µs"),
        low="low_us",
        high="high_us",
        guides=tuple(
            Guide(
                name=f"level {level.value:,.1f} µs",
                x=[
                    points[place].measured_at.isoformat() for place in (level.start, level.end - 1)
                ],
                y=[level.value, level.value],
            )
            for level in (levels if len(levels) > 1 else ())
        ),
        links=links,
        height=340,
    )


def elsewhere_chart(operator: str, rows: Sequence[OperatorRow]) -> Chart:
    """The operator's row in every table."""
    return Chart(
        id="elsewhere",
        kind="bars",
        title="The same operator elsewhere",
        counted=f"{counted(len(rows), 'table')}, 95 % intervals",
        columns=(
            Column("table", "table"),
            Column("runtime", "runtime", "key"),
            Column("latency_us", "latency, µs", "us"),
            Column("low_us", "low, µs", "us"),
            Column("high_us", "high, µs", "us"),
            Column("grade", "grade"),
            Column("samples", "samples", "count"),
            Column("origin", "origin"),
            Column("measured_at", "measured (UTC)", "time"),
        ),
        rows=[
            (
                f"{row.device}: {runtime_brief(Runtime.parse(row.runtime))}",
                row.runtime,
                row.estimate.latency_us,
                row.estimate.low_us,
                row.estimate.high_us,
                row.estimate.grade,
                row.estimate.samples,
                row.origin,
                row.measured_at.isoformat(timespec="seconds"),
            )
            for row in rows
        ],
        x=Axis(column="latency_us", title="latency, µs"),
        y=Axis(column="table", title="table"),
        labels="table",
        low="low_us",
        high="high_us",
        links=[operator_url(row.device, operator, row.runtime, origin=row.origin) for row in rows],
        height=90 + 28 * max(len(rows), 2),
    )


def _samples(timing: MeasuredTiming) -> Iterable[tuple[int, int, float, float | None, str]]:
    """Round, number, time, drift factor, and whether the device was calm."""
    number = 0
    for index, samples in enumerate(timing.rounds_us):
        for place, us in enumerate(samples):
            number += 1
            factor = timing.drift[index][place] if timing.drift else None
            state = "no probe" if factor is None else "calm" if factor <= CALM else "disturbed"
            yield index + 1, number, us, factor, state


def _thinned(found: Sequence[Item], most: int) -> list[Item]:
    """At most so many of them, evenly spread."""
    every = -(-len(found) // most) or 1
    return list(found[::every])
