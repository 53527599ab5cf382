"""The chart of a comparison."""

from collections.abc import Sequence

from server.pages.charts import Axis, Chart, Column, Guide
from server.pages.compare.comparison import TwoTables
from server.pages.formatting import counted, slot_words
from server.pages.links import operator_of


def pairs_chart(found: TwoTables, *, names: Sequence[str]) -> Chart:
    """Each common operator: its latency on a and on b, by kind of block."""
    a, b = names
    slowest = [pair.first.latency_us for pair in found.pairs]
    ends = (min(slowest), max(slowest)) if slowest else ()
    k = found.k or 1
    return Chart(
        id="pairs",
        kind="scatter",
        title=f"{b} against {a}",
        counted=counted(len(found.pairs), "operator") + " that both have",
        columns=(
            Column("operator", "operator"),
            Column("block", "block"),
            Column("shape", "shape"),
            Column("a_us", f"{a}, µs", "us"),
            Column("b_us", f"{b}, µs", "us"),
            Column("ratio", "b / a", "ratio"),
            Column("rank_a", "place on a", "number"),
            Column("rank_b", "place on b", "number"),
        ),
        rows=[
            (
                pair.operator.key,
                pair.operator.block.name,
                slot_words(pair.operator.slot),
                pair.first.latency_us,
                pair.second.latency_us,
                pair.ratio,
                pair.first.rank,
                pair.second.rank,
            )
            for pair in found.pairs
        ],
        x=Axis(column="a_us", title=f"{a}, µs (log)", scale="log"),
        y=Axis(column="b_us", title=f"{b}, µs (log)", scale="log"),
        series="block",
        labels="operator",
        guides=(
            Guide(name=f"b = {k:.3g} a, the geometric mean", x=ends, y=[k * us for us in ends]),
        )
        if ends
        else (),
        links=[operator_of(pair.operator.key, found.a) for pair in found.pairs],
        height=560,
    )
