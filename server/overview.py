"""What the overview shows of each device: its tables, their grades, ages and audits."""

from dataclasses import dataclass

from sqlalchemy.orm import Session as DbSession

from contract.audits import AuditSummary
from contract.sessions import Origin
from contract.tables import Device, RuntimeSummary
from server.links import table_url
from server.store.devices import devices
from server.store.tallies import Tally, latest_audits, tallies


@dataclass(frozen=True, kw_only=True, slots=True)
class TableCard:
    """One table of a device; `tally` is None while it has no rows."""

    device: str
    summary: RuntimeSummary
    origin: Origin
    tally: Tally | None
    audits: tuple[AuditSummary, ...]

    def url(self, space: str = "") -> str:
        """The table's page."""
        return table_url(self.device, self.summary.key, space=space, origin=self.origin)


@dataclass(frozen=True, kw_only=True, slots=True)
class Card:
    """A device and its tables: the default one first, what was not measured on it last."""

    device: Device
    tables: tuple[TableCard, ...]


def cards(session: DbSession) -> list[Card]:
    """Every device, by name."""
    counted = tallies(session)
    audits = latest_audits(session)
    kinds: list[Origin] = ["measured"]
    kinds += sorted({origin for *_, origin in counted} - {"measured"})
    found: dict[str, list[TableCard]] = {}
    described: dict[str, Device] = {}
    for origin in kinds:
        for device in devices(session, origin=origin):
            described.setdefault(device.name, device)
            found.setdefault(device.name, []).extend(
                TableCard(
                    device=device.name,
                    summary=summary,
                    origin=origin,
                    tally=counted.get((device.name, summary.key, origin)),
                    audits=tuple(audits.get((device.name, summary.key, origin), ())),
                )
                for summary in sorted(device.runtimes, key=lambda each: not each.is_default)
            )
    return [Card(device=described[name], tables=tuple(found[name])) for name in found]
