"""Networks that have a name: the sum of their rows in each table, beside what the device took."""

from collections.abc import Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field

from contract.errors import PhonebookError
from contract.footprint import Footprint
from contract.levels import AtLevel
from contract.networks import NETWORK_NAMES, Network, network, published
from contract.runtime import Runtime
from contract.searches import SearchSummary
from contract.spaces import SearchSpace
from contract.table_keys import TableKey
from server.store.networks import MeasuredNetwork
from server.store.spaces import KnownSpaces


@dataclass(frozen=True, kw_only=True, slots=True)
class Measurement:
    """How long the network took on the device, and by whom that is known."""

    us: float
    low_us: float | None
    high_us: float | None
    by: str
    link: str
    footprint: Footprint | None = None
    at_level: AtLevel | None = None


@dataclass(frozen=True, kw_only=True, slots=True)
class InTable:
    """A network in one table: the sum of its rows, or how many of them are missing."""

    key: TableKey
    predicted_us: float | None
    missing: int
    measured: Measurement | None

    @property
    def runtime(self) -> Runtime:
        return Runtime.parse(self.key.runtime)

    @property
    def error(self) -> float | None:
        """How far the prediction lies from the measurement, as a fraction of that; at the table's
        level, where that is known."""
        if self.predicted_us is None or self.measured is None:
            return None
        at = self.measured.at_level
        return self.predicted_us / (at.latency_us if at else self.measured.us) - 1


@dataclass(kw_only=True, slots=True)
class KnownNetwork:
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


def published_in(space: SearchSpace | None) -> dict[str, KnownNetwork]:
    """The published networks, in their own spaces or with their blocks put into another.

    A network that skips where the other space changes the shape is left out.
    """
    found = {}
    for name in NETWORK_NAMES:
        with suppress(PhonebookError):
            its = published(name, in_space=space)
            found[name] = KnownNetwork(id=name, title=name, network=its)
    return found


def known_networks(
    spaces: KnownSpaces,
    space: SearchSpace | None,
    searches: Iterable[SearchSummary],
    measured: Sequence[MeasuredNetwork],
) -> dict[str, KnownNetwork]:
    """The published networks, those that searches found, and others that jobs have measured.

    The published ones in their own spaces, or put into the given one.
    """
    networks = published_in(space)
    for search in searches:
        found, plan = search.result, search.plan
        if found is None:
            continue
        key = TableKey(plan.device, plan.runtime.key, plan.origin)
        id = f"search:{search.id}"
        known = KnownNetwork(
            id=id,
            title=f"searched for {plan.target} ({str(search.id)[:8]})",
            network=network(found.architecture, space=spaces.find(plan.space), name=id),
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
                at_level=found.measured_at_level,
            )
        networks[id] = known
    by_blocks = {
        (known.network.space.name, known.network.blocks, known.network.head.key): known
        for known in networks.values()
    }
    for each in reversed(measured):  # of several the newest counts
        timed = network(each.blocks, space=spaces.find(each.space), name="measured")
        blocks = (each.space, each.blocks, timed.head.key)
        key = TableKey(each.device, each.runtime, "measured")
        if blocks not in by_blocks:
            id = f"job:{each.job}"
            by_blocks[blocks] = networks[id] = KnownNetwork(
                id=id,
                title=f"measured by job {str(each.job)[:8]}",
                network=timed,
                link=f"/jobs/{each.job}",
                only=key,
            )
        by_blocks[blocks].measured[key] = Measurement(
            us=each.estimate.latency_us,
            low_us=each.estimate.low_us,
            high_us=each.estimate.high_us,
            by=f"job {str(each.job)[:8]}",
            link=f"/jobs/{each.job}",
            footprint=each.footprint,
            at_level=each.at_level,
        )
    return networks
