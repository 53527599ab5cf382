"""Charts of the past: steps of latencies, and how calm the sessions were."""

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Literal
from uuid import UUID

from contract.estimates import CALM
from server.pages.charts import Axis, Chart, Column
from server.pages.formatting import counted, runtime_brief
from server.pages.links import step_of
from server.store.history import History, Step

Direction = Literal["slower", "faster", "both"]
MOST_STEPS = 200


def steps_chart(histories: Sequence[History], direction: Direction) -> Chart:
    """The steps in that direction, the largest first."""
    found = [step for each in histories for step in each.steps if _goes(step, direction)]
    found.sort(key=lambda step: (-max(step.ratio, 1 / step.ratio), step.operator))
    shown = found[:MOST_STEPS]
    series = sum(len(points) > 1 for each in histories for points in each.points.values())
    drawn = f"the {MOST_STEPS} largest of " if len(found) > MOST_STEPS else ""
    return Chart(
        id="steps",
        kind="scatter",
        title={
            "slower": "Regressions, the largest first",
            "faster": "Improvements, the largest first",
            "both": "Steps, the largest first",
        }[direction],
        counted=f"{drawn}{counted(len(found), 'step')} in {counted(series, 'series', 'series')} "
        "of more than one row",
        columns=(
            Column("operator", "operator", "key"),
            Column("change", "change", "change"),
            Column("ratio", "new / old", "ratio"),
            Column("before_us", "before, µs", "us"),
            Column("after_us", "after, µs", "us"),
            Column("changes", "what changed"),
            Column("measured_at", "first seen (UTC)", "time"),
            Column("device", "device"),
            Column("runtime", "runtime"),
            Column("origin", "origin"),
            Column("rows_before", "rows before", "count"),
            Column("rows_after", "rows after", "count"),
        ),
        rows=[
            (
                step.operator,
                step.ratio - 1,
                step.ratio,
                step.before_us,
                step.after_us,
                "; ".join(step.changes) or "nothing that was recorded",
                _time(step.first.measured_at),
                step.device,
                runtime_brief(step.runtime),
                step.origin,
                step.points_before,
                step.points_after,
            )
            for step in shown
        ],
        x=Axis(column="measured_at", title="first seen (UTC)", scale="date"),
        y=Axis(column="ratio", title="new level / old level", scale="log"),
        series="device",
        labels="operator",
        links=list(map(step_of, shown)),
        hidden=frozenset({"ratio"}),
        height=300,
    )


def calm_chart(histories: Sequence[History], notes: Mapping[UUID, str]) -> Chart:
    """How calm each session was, by unit, and what people wrote down about it."""
    rows = []
    for each in histories:
        for sitting in each.sittings:
            conditions, after = sitting.conditions, sitting.conditions_after
            rows.append(
                (
                    _time(sitting.started_at),
                    f"{each.device} {sitting.unit or ''}".strip(),
                    sitting.calm,
                    sitting.rows,
                    conditions.temperature_c,
                    after.temperature_c if after else None,
                    conditions.clock_mhz,
                    conditions.load_1min,
                    sitting.agent_version,
                    each.runtime.key,
                    each.origin,
                    notes.get(sitting.id, ""),
                )
            )
    rows.sort(key=lambda row: row[0])
    return Chart(
        id="calm",
        kind="lines",
        title="How calm the sessions were",
        counted=f"{counted(len(rows), 'session')}; share of samples whose probe took up to "
        f"{CALM} times its calm time; none where operators were measured alone, without a probe",
        columns=(
            Column("started_at", "session began (UTC)", "time"),
            Column("unit", "device and unit"),
            Column("calm", "calm samples", "percent"),
            Column("rows", "rows", "count"),
            Column("temperature_before_c", "before, °C", "number"),
            Column("temperature_after_c", "after, °C", "number"),
            Column("clock_mhz", "clock, MHz", "count"),
            Column("load_1min", "load", "number"),
            Column("agent_version", "agent"),
            Column("runtime", "runtime"),
            Column("origin", "origin"),
            Column("notes", "notes"),
        ),
        rows=rows,
        x=Axis(column="started_at", title="session began (UTC)", scale="date"),
        y=Axis(column="calm", title="share of calm samples", scale="share"),
        series="unit",
        labels="runtime",
        hidden=frozenset({"runtime"}),
        height=320,
    )


def _goes(step: Step, direction: Direction) -> bool:
    return direction == "both" or (step.ratio > 1) == (direction == "slower")


def _time(moment: datetime) -> str:
    return moment.astimezone(UTC).isoformat(timespec="minutes")
