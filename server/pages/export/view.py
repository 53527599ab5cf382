"""What the page of a table's forms shows, gathered from the store."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple
from urllib.parse import urlencode

from sqlalchemy.orm import Session as DbSession

from contract.snapshots import SnapshotSummary
from contract.table_keys import TableKey
from server.store.snapshots import snapshots
from server.store.spaces import known_spaces
from server.store.table_keys import common_spaces, find_table, rows_by_table

FORMATS = (
    ("json", "JSON", "every figure of each row; what programs of this project read"),
    ("csv", "CSV", "one line per row, for spreadsheets"),
    ("ofa-yaml", "OFA YAML", "milliseconds by the keys of ProxylessNAS and Once-for-All"),
)


class Form(NamedTuple):
    """A table in one format: what people call it, what it is for, and where it is."""

    title: str
    about: str
    url: str
    format: str


@dataclass(frozen=True, kw_only=True, slots=True)
class ExportView:
    """One table: its addresses in each form, and what each session left of it.

    Attributes:
        tables: those to choose from, one of which is `of`.
        rows: how many that one has.
        space: whose rows are wanted; empty: all.
        spaces: how many operators of each space it has.
        query: what its addresses ask for.
    """

    tables: Sequence[TableKey]
    of: TableKey
    rows: int
    space: str
    spaces: Mapping[str, int]
    forms: Sequence[Form]
    query: Mapping[str, str]
    past: Sequence[SnapshotSummary]
    every_space: Sequence[str]


def export_view(session: DbSession, table: str, space: str) -> ExportView | None:
    """The table with that address, or the first one; None where there is none.

    Raises:
        NotFound: no such table or space.
    """
    rows = rows_by_table(session)
    if not rows:
        return None
    of = find_table(session, rows, table) if table else next(iter(rows))
    known = known_spaces(session)
    name = known.find(space).name if space else None
    query = {"runtime": of.runtime, "origin": "" if of.origin == "measured" else of.origin}
    told = {key: value for key, value in {**query, "space": name or ""}.items() if value}
    return ExportView(
        tables=list(rows),
        of=of,
        rows=rows[of],
        space=name or "",
        spaces=common_spaces(session, [of]),
        forms=[
            Form(title, about, f"/lut/{of.device}?{urlencode({**told, 'format': format})}", format)
            for format, title, about in FORMATS
        ],
        query=told,
        every_space=known.names,
        past=snapshots(session, of.device, runtime=of.runtime, space=name, origin=of.origin),
    )
