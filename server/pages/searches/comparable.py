"""Which searches may be compared: those of the same terms, and those of one command."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple
from uuid import UUID

from contract.crossing import Standing, rivals
from contract.runtime import Runtime
from contract.searches import SearchSummary
from contract.sessions import Origin
from contract.table_keys import TableKey
from server.pages.formatting import counted, duration


class Terms(NamedTuple):
    """Which runs' accuracies and latencies compare: of one space, table and data."""

    space: str
    device: str
    runtime: Runtime
    data: str
    classes: int
    images: int  # how they are split may depend on the seed
    origin: Origin

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
            plan.origin,
        )

    @property
    def key(self) -> str:
        """As addresses name them."""
        table = TableKey(self.device, self.runtime.key, self.origin).address
        return "~".join(map(str, (self.space, table, self.data, self.classes, self.images)))

    @property
    def title(self) -> str:
        table = TableKey(self.device, self.runtime.key, self.origin)
        return (
            f"{self.space} on {table.device_and_origin} ({self.runtime.dtype}, "
            f"{counted(self.runtime.threads, 'thread')}, {self.runtime.runner} runner, "
            f"{self.runtime.protocol}), {self.data} with {self.classes} classes, "
            f"{self.images} images"
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

    @property
    def rivals(self) -> list[str]:
        """Where another target's network does better than a target's own, in words."""
        found = []
        for search in self.searches:
            assert search.result is not None
            on = {each.target: each.predicted_us for each in search.elsewhere}
            on[search.plan.target] = search.result.predicted_us
            found.append(Standing(search.plan.target, search.result.accuracy, on))
        return [rival.sentence(duration) for rival in rivals(found)]

    @property
    def provenance(self) -> dict[str, str]:
        """Where the tables of the targets come from that were not measured."""
        return {
            search.plan.target: search.plan.provenance
            for search in self.searches
            if search.plan.provenance
        }


def groups_of(searches: Sequence[SearchSummary]) -> list[Group]:
    """Commands that searched for several targets and know each network's latency on them."""
    found: dict[UUID, list[SearchSummary]] = {}
    for search in searches:
        if search.plan.group is not None and search.elsewhere and search.result is not None:
            found.setdefault(search.plan.group, []).append(search)
    return [
        Group(id=id, searches=tuple(sorted(its, key=lambda each: each.plan.target)))
        for id, its in found.items()
    ]
