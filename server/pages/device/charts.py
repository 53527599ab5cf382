"""Charts of one table: work against latency, the dearest operators, how complete each stage is."""

from contract.operators import Operator
from contract.spaces import SearchSpace
from contract.tables import LatencyTable
from server.pages.charts import Axis, Chart, Column
from server.pages.formatting import counted
from server.pages.links import operator_of

TOP = 20
_LATENCY = Column("latency_us", "latency, µs", "us")
_INTERVAL = (Column("low_us", "low, µs", "us"), Column("high_us", "high, µs", "us"))


def work_chart(table: LatencyTable, space: SearchSpace) -> Chart:
    """Multiply-accumulates against latency: what counting them cannot tell."""
    operators = {operator.key: operator for operator in space.operators}
    rows = [
        (
            row.operator,
            operators[row.operator].block.name,
            operators[row.operator].macs(),
            row.latency_us,
            row.low_us,
            row.high_us,
        )
        for row in table.entries
    ]
    return Chart(
        id="work",
        kind="scatter",
        title="Work against latency",
        counted=counted(len(rows), "operator"),
        columns=(
            Column("operator", "operator", "key"),
            Column("block", "block"),
            Column("macs", "MACs", "count"),
            _LATENCY,
            *_INTERVAL,
        ),
        rows=rows,
        x=Axis(column="macs", title="multiply-accumulates (MACs)", scale="log"),
        y=Axis(column="latency_us", title="latency, µs", scale="log"),
        series="block",
        labels="operator",
        links=_links(table, [row[0] for row in rows]),
    )


def dearest_chart(table: LatencyTable) -> Chart:
    """The operators that take longest."""
    dearest = sorted(table.entries, key=lambda row: -row.latency_us)[:TOP]
    return Chart(
        id="top",
        kind="bars",
        title="Dearest operators",
        counted=f"{len(dearest)} of {counted(len(table.entries), 'operator')}, 95 % intervals",
        columns=(
            Column("operator", "operator", "key"),
            _LATENCY,
            *_INTERVAL,
            Column("grade", "grade"),
            Column("samples", "samples", "count"),
        ),
        rows=[
            (row.operator, row.latency_us, row.low_us, row.high_us, row.grade, row.samples)
            for row in dearest
        ],
        x=Axis(column="latency_us", title="latency, µs"),
        y=Axis(column="operator", title="operator"),
        labels="operator",
        low="low_us",
        high="high_us",
        links=_links(table, [row.operator for row in dearest]),
        height=60 + 21 * max(len(dearest), 3),
    )


def stages_chart(table: LatencyTable, space: SearchSpace) -> Chart:
    """How many operators of each stage are measured, missing, and failed."""
    measured = {row.operator for row in table.entries}
    failed = {failure.operator for failure in table.failures}
    rows = []
    for name, operators in _by_stage(space):
        keys = {operator.key for operator in operators if not operator.is_free}
        counts = {
            "measured": len(keys & measured),
            "missing": len(keys - measured - failed),
            "failed": len(keys & failed),
        }
        rows += [(name, state, count, len(keys)) for state, count in counts.items()]
    return Chart(
        id="stages",
        kind="bars",
        title="Completeness by stage",
        counted=f"{counted(len(measured), 'operator')} of {len(space.operators)} measured",
        columns=(
            Column("stage", "stage"),
            Column("state", "state"),
            Column("operators", "operators", "count"),
            Column("total", "of the stage", "count"),
        ),
        rows=rows,
        x=Axis(column="operators", title="operators"),
        y=Axis(column="stage", title="stage"),
        series="state",
        height=330,
    )


def _by_stage(space: SearchSpace) -> list[tuple[str, list[Operator]]]:
    """The operators of the stem, of each stage and of the heads."""
    found = [("stem", [space.stem])]
    for number, stage in enumerate(space.stages, start=1):
        mine = [choice for choice in space.choices if choice.stage == number]
        name = f"stage {number}, {stage.channels} ch"
        found.append((name, [operator for choice in mine for operator in choice.candidates]))
    return [*found, ("head", list(space.heads))]


def _links(table: LatencyTable, operators: list[str]) -> list[str]:
    return [operator_of(key, table) for key in operators]
