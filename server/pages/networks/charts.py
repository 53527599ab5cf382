"""Charts of whole networks: layer by layer, and predicted beside measured."""

from collections.abc import Mapping, Sequence

from contract.audits import AuditReport
from contract.table_keys import TableKey
from server.pages.charts import Axis, Chart, Column, Guide
from server.pages.formatting import counted, duration, slot_words
from server.pages.links import operator_url
from server.pages.networks.known_networks import InTable, KnownNetwork


def layers_chart(known: KnownNetwork, key: TableKey, rows: Mapping[str, float]) -> Chart:
    """What each part of the network costs in one table."""
    device, runtime, origin = key
    parts = [("stem", known.network.stem), ("head", known.network.head)]
    layers = [(str(number), layer) for number, layer in enumerate(known.network.layers, start=1)]
    parts[1:1] = layers
    costs = [(name, part, 0.0 if part.is_free else rows.get(part.key)) for name, part in parts]
    known_us = [us for _, _, us in costs if us is not None]
    missing = len(costs) - len(known_us)
    together = f"together {duration(sum(known_us))}"
    return Chart(
        id="layers",
        kind="bars",
        title=f"{known.title} on {device}, layer by layer",
        counted=f"{counted(len(layers), 'layer')}, "
        + (f"{counted(missing, 'row')} missing" if missing else together),
        columns=(
            Column("layer", "layer"),
            Column("block", "block"),
            Column("shape", "shape"),
            Column("operator", "operator"),
            Column("latency_us", "latency, µs", "us"),
        ),
        rows=[
            (name, part.block.name, slot_words(part.slot), part.key, us)
            for name, part, us in costs
        ],
        x=Axis(column="layer", title="layer"),
        y=Axis(column="latency_us", title="µs"),
        series="block",
        labels="operator",
        links=[
            None if part.is_free else operator_url(device, part.key, runtime, origin=origin)
            for _, part, _ in costs
        ],
        height=360,
    )


def compared_chart(placed: Sequence[tuple[KnownNetwork, InTable]]) -> Chart | None:
    """Predictions beside measurements, of whatever has both."""
    both = [
        (known, where, where.measured)
        for known, where in placed
        if where.predicted_us is not None and where.measured is not None
    ]
    if not both:
        return None
    ends = _ends([where.predicted_us or 0 for _, where, _ in both], [it.us for _, _, it in both])
    return Chart(
        id="networks",
        kind="scatter",
        title="Measured against predicted",
        counted=counted(len(both), "network"),
        columns=(
            Column("network", "network"),
            Column("device", "device"),
            Column("runtime", "runtime"),
            Column("predicted_us", "predicted, µs", "us"),
            Column("measured_us", "measured, µs", "us"),
            Column("low_us", "low, µs", "us"),
            Column("high_us", "high, µs", "us"),
            Column("at_level_us", "at the table's level, µs", "us"),
            Column("error", "error", "percent"),
        ),
        rows=[
            (
                known.title,
                where.key.device_and_origin,
                where.key.runtime,
                where.predicted_us,
                measured.us,
                measured.low_us,
                measured.high_us,
                measured.at_level.latency_us if measured.at_level else None,
                where.error,
            )
            for known, where, measured in both
        ],
        x=Axis(column="predicted_us", title="predicted, µs"),
        y=Axis(column="measured_us", title="measured, µs"),
        series="device",
        labels="network",
        low="low_us",
        high="high_us",
        guides=(Guide(name="measured = predicted", x=ends, y=ends),),
        links=[measured.link for _, _, measured in both],
    )


def calibration_chart(report: AuditReport) -> Chart:
    """The networks of an audit: what they took against the sum of their rows."""
    audit = report.audit
    ends = _ends(
        [each.predicted_us for each in audit.networks],
        [each.measured.latency_us for each in audit.networks],
    )
    return Chart(
        id="calibration",
        kind="scatter",
        title=f"Audit of {audit.device}: measured against predicted",
        counted=f"{counted(len(audit.networks), 'network')} of {audit.space}, seed {audit.seed}",
        columns=(
            Column("network", "network"),
            Column("predicted_us", "predicted, µs", "us"),
            Column("measured_us", "measured, µs", "us"),
            Column("low_us", "low, µs", "us"),
            Column("high_us", "high, µs", "us"),
            Column("at_level_us", "at the table's level, µs", "us"),
            Column("fresh_us", "rows measured beside it, µs", "us"),
            Column("error", "error", "percent"),
        ),
        rows=[
            (
                each.name,
                each.predicted_us,
                each.measured.latency_us,
                each.measured.low_us,
                each.measured.high_us,
                each.at_level_us,
                each.fresh_us,
                each.predicted_us / each.measured.latency_us - 1,
            )
            for each in audit.networks
        ],
        x=Axis(column="predicted_us", title="predicted, µs"),
        y=Axis(column="measured_us", title="measured, µs"),
        labels="network",
        low="low_us",
        high="high_us",
        guides=(Guide(name="measured = predicted", x=ends, y=ends),),
    )


def _ends(first: Sequence[float], second: Sequence[float]) -> tuple[float, float]:
    return min(*first, *second), max(*first, *second)
