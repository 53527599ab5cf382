"""Whole networks: the sum of their rows in each table, beside what the device itself took."""

from collections.abc import Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field

from contract.audits import AuditReport
from contract.errors import PhonebookError
from contract.networks import NETWORK_NAMES, Network, network, published
from contract.runtime import Runtime
from contract.searches import SearchSummary
from contract.spaces import SearchSpace
from contract.spaces import space as space_named
from server.charts import Axis, Chart, Column, Guide
from server.links import operator_url
from server.store.networks import MeasuredNetwork, TableKey
from server.words import counted, duration, slot_words


@dataclass(frozen=True, kw_only=True, slots=True)
class Measurement:
    """How long the network took on the device, and by whom that is known."""

    us: float
    low_us: float | None
    high_us: float | None
    by: str
    link: str


@dataclass(frozen=True, kw_only=True, slots=True)
class InTable:
    """A network in one table: the sum of its rows, or how many of them are missing."""

    key: TableKey
    predicted_us: float | None
    missing: int
    measured: Measurement | None

    @property
    def device(self) -> str:
        """The device, with a word for rows that were not measured on it."""
        return self.key[0] if self.key[2] == "measured" else f"{self.key[0]} ({self.key[2]})"

    @property
    def runtime(self) -> Runtime:
        return Runtime.parse(self.key[1])

    @property
    def error(self) -> float | None:
        """How far the prediction lies from the measurement, as a fraction of that."""
        if self.predicted_us is None or self.measured is None:
            return None
        return self.predicted_us / self.measured.us - 1


@dataclass(kw_only=True, slots=True)
class Known:
    """A network that has a name: published, found by a search, or measured by a job."""

    id: str
    title: str
    network: Network
    link: str | None = None
    accuracy: float | None = None
    only: TableKey | None = None  # the table that it was made for; None: all
    measured: dict[TableKey, Measurement] = field(default_factory=dict)

    def place(self, tables: Mapping[TableKey, Mapping[str, float]]) -> list[InTable]:
        """The network in every table that has any of its rows, or that it was measured under."""
        needed = [operator.key for operator in self.network.operators if not operator.is_free]
        found = []
        for key in sorted({*tables, *self.measured}):
            rows = tables.get(key, {})
            missing = sum(operator not in rows for operator in needed)
            if missing == len(needed) and key not in self.measured:
                continue
            predicted = None if missing else sum(rows[operator] for operator in needed)
            measured = self.measured.get(key)
            found.append(
                InTable(key=key, predicted_us=predicted, missing=missing, measured=measured)
            )
        return found


def published_in(space: SearchSpace | None) -> dict[str, Known]:
    """The published networks, in their own spaces or with their blocks put into another.

    A network that skips where the other space changes the shape is left out.
    """
    found = {}
    for name in NETWORK_NAMES:
        with suppress(PhonebookError):
            its = published(name, in_space=space)
            found[name] = Known(id=name, title=name, network=its)
    return found


def known_networks(
    space: SearchSpace | None,
    searches: Iterable[SearchSummary],
    measured: Sequence[MeasuredNetwork],
) -> dict[str, Known]:
    """The published networks, those that searches found, and others that jobs have measured.

    The published ones in their own spaces, or put into the given one.
    """
    networks = published_in(space)
    for search in searches:
        found, plan = search.result, search.plan
        if found is None:
            continue
        key: TableKey = (plan.device, plan.runtime.key, "measured")
        id = f"search:{search.id}"
        known = Known(
            id=id,
            title=f"searched for {plan.target} ({str(search.id)[:8]})",
            network=network(found.architecture, space=space_named(plan.space), name=id),
            link=f"/searches/{search.id}",
            accuracy=found.accuracy,
            only=key,
        )
        if found.measured_us is not None:
            known.measured[key] = Measurement(
                us=found.measured_us,
                low_us=found.measured_low_us,
                high_us=found.measured_high_us,
                by=found.measured_by or "the search",
                link=f"/searches/{search.id}",
            )
        networks[id] = known
    by_blocks = {
        (known.network.space, known.network.blocks, known.network.head.key): known
        for known in networks.values()
    }
    for each in reversed(measured):  # of several the newest counts
        timed = network(each.blocks, space=space_named(each.space), name="measured")
        blocks = (each.space, each.blocks, timed.head.key)
        if blocks not in by_blocks:
            id = f"job:{each.job}"
            by_blocks[blocks] = networks[id] = Known(
                id=id,
                title=f"measured by job {str(each.job)[:8]}",
                network=timed,
                link=f"/jobs/{each.job}",
                only=(each.device, each.runtime, "measured"),
            )
        by_blocks[blocks].measured[each.device, each.runtime, "measured"] = Measurement(
            us=each.estimate.latency_us,
            low_us=each.estimate.low_us,
            high_us=each.estimate.high_us,
            by=f"job {str(each.job)[:8]}",
            link=f"/jobs/{each.job}",
        )
    return networks


def layers_chart(known: Known, key: TableKey, rows: Mapping[str, float]) -> Chart:
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


def compared_chart(placed: Sequence[tuple[Known, InTable]]) -> Chart | None:
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
            Column("error", "error", "percent"),
        ),
        rows=[
            (
                known.title,
                where.device,
                where.key[1],
                where.predicted_us,
                measured.us,
                measured.low_us,
                measured.high_us,
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
