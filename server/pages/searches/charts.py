"""Charts of several searches: over their epochs, the front, and who is fast where."""

from collections.abc import Sequence

from contract.searches import SearchReport, SearchSummary
from server.pages.charts import Axis, Chart, Column, Guide
from server.pages.epochs_chart import epochs_chart
from server.pages.formatting import counted, duration, percent, search_title
from server.pages.searches.comparable import Group, Terms


def compared_charts(searches: Sequence[SearchReport]) -> list[Chart]:
    """The chosen runs over their epochs."""
    rows = [
        (epoch.epoch, search_title(search), epoch.expected_latency_us, epoch.theta_cross_entropy)
        for search in searches
        for epoch in search.epochs
    ]
    latency = Column("expected_us", "expected latency, µs", "us")
    entropy = Column("cross_entropy", "cross entropy of theta", "number")
    return [
        epochs_chart("latency", "Expected latency", [row[:3] for row in rows], latency, "run"),
        epochs_chart(
            "cross_entropy",
            "Cross entropy on the theta split",
            [(*row[:2], row[3]) for row in rows],
            entropy,
            "run",
        ),
    ]


def front_chart(terms: Terms, searches: Sequence[SearchSummary]) -> Chart:
    """Accuracy against predicted latency, and which runs no other one beats in both."""
    done = [(search, search.result) for search in searches if search.result is not None]
    done.sort(key=lambda each: (each[1].predicted_us, -each[1].accuracy))
    best, rows, edge = -1.0, [], []
    for search, found in done:
        is_on = found.accuracy > best
        if is_on:
            best = found.accuracy
            edge.append((found.predicted_us, found.accuracy))
        rows.append(
            (
                search_title(search),
                "on the front" if is_on else "not on the front",
                found.predicted_us,
                found.measured_us,
                found.accuracy,
                found.macs,
                found.params,
            )
        )
    return Chart(
        id="front",
        kind="scatter",
        title="Accuracy against latency",
        counted=f"{counted(len(rows), 'run')} of {terms.title}",
        columns=(
            Column("run", "run"),
            Column("front", "front"),
            Column("predicted_us", "predicted, µs", "us"),
            Column("measured_us", "measured, µs", "us"),
            Column("accuracy", "accuracy", "percent"),
            Column("macs", "MACs", "count"),
            Column("params", "weights", "count"),
        ),
        rows=rows,
        x=Axis(column="predicted_us", title="predicted latency, µs"),
        y=Axis(column="accuracy", title="accuracy of test images"),
        series="front",
        labels="run",
        guides=(Guide(name="front", x=[at for at, _ in edge], y=[at for _, at in edge]),)
        if len(edge) > 1
        else (),
        links=[f"/searches/{search.id}" for search, _ in done],
    )


def cross_chart(group: Group) -> Chart:
    """What was searched for one target, run on another, by the tables."""
    rows: list[tuple[str, str, float, str, str]] = []
    for search in group.searches:
        assert search.result is not None
        target, own = search.plan.target, search.result.predicted_us
        on = {target: own, **{each.target: each.predicted_us for each in search.elsewhere}}
        label = f"for {target}: accuracy {percent(search.result.accuracy)}"
        rows += [
            (f"for {target}", f"on {other}", us, duration(us), label)
            for other, us in sorted(on.items())
        ]
    return Chart(
        id="cross",
        kind="heatmap",
        title="Searched for one, run on another",
        counted=f"predicted latency; {counted(len(group.searches), 'network')}",
        columns=(
            Column("searched_for", "searched for"),
            Column("run_on", "run on"),
            Column("predicted_us", "predicted, µs", "us"),
            Column("text", "text"),
            Column("about", "network"),
        ),
        rows=rows,
        x=Axis(column="run_on", title="run on"),
        y=Axis(column="searched_for", title="searched for"),
        z=Axis(column="predicted_us", title="µs"),
        texts="text",
        labels="about",
        hidden=frozenset({"text"}),
        height=90 + 60 * len(group.searches),
    )
