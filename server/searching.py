"""What the pages of searches draw: theta, the losses, the front, and who is fast where."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple
from uuid import UUID

from contract.runtime import Runtime
from contract.searches import FoundNetwork, SearchEpoch, SearchPlan, SearchReport, SearchSummary
from contract.spaces import SearchSpace
from server.charts import Axis, Chart, Column, Guide
from server.links import operator_url
from server.words import counted, duration, percent, slot_words

EPOCH = Column("epoch", "epoch", "count")


class Terms(NamedTuple):
    """Which runs' accuracies and latencies compare: of one space, device, runtime and data."""

    space: str
    device: str
    runtime: Runtime
    data: str
    classes: int
    images: int  # how they are split may depend on the seed

    @classmethod
    def of(cls, search: SearchSummary) -> "Terms":
        plan, data = search.plan, search.plan.data
        return cls(
            plan.space,
            plan.device,
            plan.runtime,
            data.name,
            data.classes,
            data.training + data.test,
        )

    @property
    def key(self) -> str:
        """As addresses name them."""
        parts = (self.space, self.device, self.runtime.key, self.data, self.classes, self.images)
        return "~".join(map(str, parts))

    @property
    def title(self) -> str:
        return (
            f"{self.space} on {self.device} ({self.runtime.dtype}, "
            f"{counted(self.runtime.threads, 'thread')}, {self.runtime.runner} runner, "
            f"{self.runtime.protocol}), {self.data} with {self.classes} classes, "
            f"{self.images} images"
        )


def named(search: SearchSummary | SearchReport) -> str:
    """What a run is called: its target, seed and the beginning of its id."""
    plan = search.plan if isinstance(search, SearchSummary) else search.run.plan
    return f"{plan.target} seed {plan.seed} ({str(search.id)[:8]})"


def theta_chart(space: SearchSpace, epoch: SearchEpoch) -> Chart:
    """P_theta of every candidate of every slot, after one epoch."""
    rows = []
    for number, (choice, shares) in enumerate(
        zip(space.choices, epoch.theta, strict=True), start=1
    ):
        slot, candidates = choice.slot, choice.candidates
        share_of = {
            candidate.block.name: share
            for candidate, share in zip(candidates, shares, strict=True)
        }
        key_of = {candidate.block.name: candidate.key for candidate in candidates}
        layer = f"{slot_words(slot)}  {number}"
        for block in (block.name for block in space.blocks):
            share = share_of.get(block)
            text = "n/a" if share is None else f"{share:.2f}"
            state = "no candidate" if share is None else "probability"
            rows.append((layer, block, key_of.get(block, ""), share, text, state))
    return Chart(
        id="theta",
        kind="heatmap",
        title=f"Theta after epoch {epoch.epoch}",
        counted=f"probability of each candidate; {counted(len(space.slots), 'layer')}",
        columns=(
            Column("layer", "layer"),
            Column("block", "block"),
            Column("operator", "operator"),
            Column("probability", "probability", "number"),
            Column("text", "text"),
            Column("state", "state"),
        ),
        rows=rows,
        x=Axis(column="block", title="block"),
        y=Axis(column="layer", title="layer"),
        z=Axis(column="probability", title="probability"),
        texts="text",
        states="state",
        labels="operator",
        hidden=frozenset({"text", "state"}),
        height=len(space.slots) * 30 + 60,
    )


def run_charts(search: SearchReport) -> list[Chart]:
    """The terms of the loss, the latency against its target, the temperature and the entropy."""
    epochs = search.epochs
    if not epochs:
        return []
    first, last, target = epochs[0].epoch, epochs[-1].epoch, search.run.plan.target_us
    losses = [
        *(
            (epoch.epoch, "cross entropy of weights", epoch.weight_cross_entropy)
            for epoch in epochs
        ),
        *((epoch.epoch, "cross entropy of theta", epoch.theta_cross_entropy) for epoch in epochs),
        *((epoch.epoch, "latency term", epoch.latency_term) for epoch in epochs),
        *((epoch.epoch, "loss of theta", epoch.theta_loss) for epoch in epochs),
    ]
    within = () if target is None else (Guide(name="target", x=[first, last], y=[target] * 2),)
    return [
        _over_epochs("loss", "Terms of the loss", losses, Column("value", "value", "number")),
        _over_epochs(
            "latency",
            "Expected latency",
            [(epoch.epoch, "expected", epoch.expected_latency_us) for epoch in epochs],
            Column("expected_us", "expected, µs", "us"),
            guides=within,
        ),
        _over_epochs(
            "accuracy",
            "Accuracy on the theta split",
            [(epoch.epoch, "accuracy", epoch.theta_accuracy) for epoch in epochs],
            Column("accuracy", "accuracy", "percent"),
        ),
        _over_epochs(
            "certainty",
            "Temperature and entropy of theta",
            [
                *(
                    (epoch.epoch, "temperature", epoch.temperature)
                    for epoch in epochs
                    if epoch.temperature is not None
                ),
                *((epoch.epoch, "entropy, nats", epoch.theta_entropy) for epoch in epochs),
            ],
            Column("value", "value", "number"),
        ),
    ]


def layers_chart(plan: SearchPlan, found: FoundNetwork) -> Chart:
    """What each part of the network found costs by its row."""
    links = [
        operator_url(plan.device, layer.operator, plan.runtime.key) if layer.latency_us else None
        for layer in found.layers
    ]
    rows = [
        ("stem", "stem", "", None, found.stem_us),
        *(
            (f"{layer.number}", layer.block, layer.operator, layer.probability, layer.latency_us)
            for layer in found.layers
        ),
        ("head", "head", "", None, found.head_us),
    ]
    return Chart(
        id="layers",
        kind="bars",
        title="The network found, layer by layer",
        counted=f"{counted(len(found.layers), 'layer')}, together {duration(found.predicted_us)}",
        columns=(
            Column("layer", "layer"),
            Column("block", "block"),
            Column("operator", "operator"),
            Column("probability", "probability", "number"),
            Column("latency_us", "latency, µs", "us"),
        ),
        rows=rows,
        x=Axis(column="layer", title="layer"),
        y=Axis(column="latency_us", title="µs"),
        series="block",
        labels="operator",
        links=[None, *links, None],
        height=340,
    )


def compared_charts(searches: Sequence[SearchReport]) -> list[Chart]:
    """The chosen runs over their epochs."""
    rows = [
        (epoch.epoch, named(search), epoch.expected_latency_us, epoch.theta_cross_entropy)
        for search in searches
        for epoch in search.epochs
    ]
    latency = Column("expected_us", "expected latency, µs", "us")
    entropy = Column("cross_entropy", "cross entropy of theta", "number")
    return [
        _over_epochs("latency", "Expected latency", [row[:3] for row in rows], latency, "run"),
        _over_epochs(
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
                named(search),
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


@dataclass(frozen=True, kw_only=True, slots=True)
class Group:
    """The searches of one command, one per target."""

    id: UUID
    searches: tuple[SearchSummary, ...]

    @property
    def title(self) -> str:
        targets = ", ".join(search.plan.target for search in self.searches)
        return f"{targets} · {self.searches[0].plan.space} · {str(self.id)[:8]}"


def groups(searches: Sequence[SearchSummary]) -> list[Group]:
    """Commands that searched for several targets and know each network's latency on them."""
    found: dict[UUID, list[SearchSummary]] = {}
    for search in searches:
        if search.plan.group is not None and search.elsewhere and search.result is not None:
            found.setdefault(search.plan.group, []).append(search)
    return [
        Group(id=id, searches=tuple(sorted(its, key=lambda each: each.plan.target)))
        for id, its in found.items()
    ]


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


def _over_epochs(
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
