"""A chart of what a search told after each of its epochs."""

from collections.abc import Sequence

from server.pages.charts import Axis, Chart, Column, Guide
from server.pages.formatting import counted

EPOCH = Column("epoch", "epoch", "count")


def epochs_chart(
    id: str,
    title: str,
    rows: Sequence[tuple[int, str, float]],
    value: Column,
    series: str = "term",
    *,
    guides: tuple[Guide, ...] = (),
) -> Chart:
    """Lines over the epochs, one per series."""
    epochs = len({epoch for epoch, _, _ in rows})
    several = len({name for _, name, _ in rows}) > 1
    return Chart(
        id=id,
        kind="lines",
        title=title,
        counted=counted(epochs, "epoch"),
        columns=(EPOCH, Column(series, series), value),
        rows=rows,
        x=Axis(column="epoch", title="epoch"),
        y=Axis(column=value.key, title=value.title),
        series=series if several else None,
        guides=guides,
        hidden=frozenset() if several else frozenset({series}),
        height=300,
    )
