"""Two tables of a space side by side: how much slower, and where they rank operators otherwise."""

from collections.abc import Sequence
from dataclasses import dataclass

from contract.comparison import ComparedOperator, compare
from contract.spaces import SearchSpace
from contract.tables import LatencyTable
from server.charts import Axis, Chart, Column, Guide
from server.links import operator_of
from server.words import counted, slot_words

MOST_INVERSIONS = 20


@dataclass(frozen=True, kw_only=True, slots=True)
class TwoTables:
    """Table b against table a, and how many operators only one of them has."""

    a: LatencyTable
    b: LatencyTable
    pairs: tuple[ComparedOperator, ...]
    k: float | None  # how many times slower b is overall; None without a common operator
    spearman: float | None
    kendall: float | None
    inversions: tuple[ComparedOperator, ...]  # whose places differ most
    only_a: int
    only_b: int


def compare_tables(a: LatencyTable, b: LatencyTable, space: SearchSpace) -> TwoTables:
    """The operators of the space that both tables have."""
    found = compare(a, b, space.operators)
    moved = [pair for pair in found.by_shift if pair.shift]
    return TwoTables(
        a=a,
        b=b,
        pairs=found.operators,
        k=found.speed_ratio,
        spearman=found.spearman,
        kendall=found.kendall_tau,
        inversions=tuple(moved[:MOST_INVERSIONS]),
        only_a=len(a.entries) - len(found.operators),
        only_b=len(b.entries) - len(found.operators),
    )


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
