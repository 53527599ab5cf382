"""What the overview shows, gathered from the store: each device, and what happens now."""

from dataclasses import dataclass
from datetime import datetime

from sqlalchemy.orm import Session as DbSession

from contract.audits import AuditSummary
from contract.jobs import JobReport
from contract.sessions import Origin
from contract.table_keys import TableKey
from contract.tables import Device, RuntimeSummary
from server.pages.links import table_url
from server.store import jobs
from server.store.audits import latest_audits
from server.store.devices import devices, retired_devices
from server.store.history import Histories, Step
from server.store.row_counts import RowCounts, row_counts
from server.store.table_histories import TableHistories, newest_regressions

NEWEST_REGRESSIONS = 5


@dataclass(frozen=True, kw_only=True, slots=True)
class TableCard:
    """One table of a device; `counts` is None while it has no rows."""

    device: str
    summary: RuntimeSummary
    origin: Origin
    counts: RowCounts | None
    audits: tuple[AuditSummary, ...]

    def url(self, space: str = "") -> str:
        """The table's page."""
        return table_url(self.device, self.summary.key, space=space, origin=self.origin)


@dataclass(frozen=True, kw_only=True, slots=True)
class Card:
    """A device and its tables: the default one first, what was not measured on it last."""

    device: Device
    tables: tuple[TableCard, ...]
    retired_at: datetime | None


@dataclass(frozen=True, kw_only=True, slots=True)
class Overview:
    """Every device, the jobs that are worked on, and what got slower last."""

    cards: list[Card]
    retired: list[Card]
    jobs: list[JobReport]
    regressions: list[Step]


def overview(session: DbSession, histories: Histories, now: datetime) -> Overview:
    """The first page."""
    every_history = TableHistories(session, histories).everything()
    cards = _cards(session)
    return Overview(
        cards=[card for card in cards if card.retired_at is None],
        retired=[card for card in cards if card.retired_at is not None],
        jobs=jobs.jobs(session, now, state="leased"),
        regressions=newest_regressions(every_history, NEWEST_REGRESSIONS),
    )


def _cards(session: DbSession) -> list[Card]:
    """Every device, by name."""
    retired = retired_devices(session)
    counts = row_counts(session)
    audits = latest_audits(session)
    kinds: list[Origin] = ["measured"]
    kinds += sorted({origin for *_, origin in counts} - {"measured"})
    found: dict[str, list[TableCard]] = {}
    described: dict[str, Device] = {}
    for origin in kinds:
        for device in devices(session, origin=origin):
            described.setdefault(device.name, device)
            for summary in sorted(device.runtimes, key=lambda each: not each.is_default):
                key = TableKey(device.name, summary.key, origin)
                found.setdefault(device.name, []).append(
                    TableCard(
                        device=device.name,
                        summary=summary,
                        origin=origin,
                        counts=counts.get(key),
                        audits=tuple(audits.get(key, ())),
                    )
                )
    return [
        Card(device=device, tables=tuple(found.get(name, ())), retired_at=retired.get(name))
        for name, device in described.items()
    ]
