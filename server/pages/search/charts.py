"""Charts of one search: theta, what it told of its epochs, and the network that it found."""

from contract.searches import FoundNetwork, SearchEpoch, SearchPlan, SearchReport
from contract.spaces import SearchSpace
from server.pages.charts import Axis, Chart, Column, Guide
from server.pages.epochs_chart import epochs_chart
from server.pages.formatting import counted, duration, slot_words
from server.pages.links import operator_url


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


def epoch_charts(search: SearchReport) -> list[Chart]:
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
        epochs_chart("loss", "Terms of the loss", losses, Column("value", "value", "number")),
        epochs_chart(
            "latency",
            "Expected latency",
            [(epoch.epoch, "expected", epoch.expected_latency_us) for epoch in epochs],
            Column("expected_us", "expected, µs", "us"),
            guides=within,
        ),
        epochs_chart(
            "accuracy",
            "Accuracy on the theta split",
            [(epoch.epoch, "accuracy", epoch.theta_accuracy) for epoch in epochs],
            Column("accuracy", "accuracy", "percent"),
        ),
        epochs_chart(
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
        operator_url(plan.device, layer.operator, plan.runtime.key, origin=plan.origin)
        if layer.latency_us
        else None
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
