"""The chart of what changed from one state of a table to another."""

from contract.snapshots import TableDiff
from server.pages.charts import Axis, Chart, Column, Guide
from server.pages.formatting import counted
from server.pages.links import operator_url


def changes_chart(found: TableDiff) -> Chart:
    """Each operator whose latency differs: the earlier one and the later one."""
    before = [change.from_us for change in found.changed]
    ends = (min(before), max(before))
    return Chart(
        id="changes",
        kind="scatter",
        title="Operators whose latency changed",
        counted=counted(len(found.changed), "operator"),
        columns=(
            Column("operator", "operator"),
            Column("from_us", "before, µs", "us"),
            Column("to_us", "after, µs", "us"),
            Column("ratio", "after / before", "ratio"),
        ),
        rows=[
            (change.operator, change.from_us, change.to_us, change.ratio)
            for change in found.changed
        ],
        x=Axis(column="from_us", title="before, µs (log)", scale="log"),
        y=Axis(column="to_us", title="after, µs (log)", scale="log"),
        labels="operator",
        guides=(Guide(name="unchanged", x=ends, y=ends),),
        links=[
            operator_url(
                found.device, change.operator, found.after.runtime.key, origin=found.after.origin
            )
            for change in found.changed
        ],
        height=460,
    )
