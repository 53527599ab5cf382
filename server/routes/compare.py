"""`/compare`: two tables of a space, of two devices, runtimes or moments."""

from collections.abc import Iterator, Sequence

from fastapi import Request, Response
from sqlalchemy.orm import Session as DbSession

from contract.spaces import DEFAULT_SPACE
from contract.tables import LatencyTable
from server.comparing import compare_tables, pairs_chart
from server.database import reads
from server.rendering import page_router, render
from server.store.choices import (
    SNAPSHOT,
    TableChoice,
    common_spaces,
    table_choices,
    table_named,
)
from server.store.snapshots import find_snapshot, snapshots
from server.store.spaces import find_space
from server.words import stamp

MOST_SNAPSHOTS = 12  # of a table, in the choice

router = page_router()


@router.get("/compare")
@reads
def compare_page(
    request: Request, session: DbSession, a: str = "", b: str = "", space: str = ""
) -> Response:
    """Two tables of a space; without choices the first one against one of another device."""
    choices = table_choices(session)
    if not choices:
        return render(request, "compare.html", choices=choices)
    first, second = _usual(choices)
    names = (a or first.key, b or second.key)
    tables_now = [choice for choice in choices if choice.key in names]
    spaces = common_spaces(session, tables_now)
    wanted = space or _space_of_snapshot(session, names) or next(iter(spaces), DEFAULT_SPACE)
    chosen = find_space(wanted)
    of_a, of_b = (table_named(session, name, space=chosen.name) for name in names)
    found = compare_tables(of_a, of_b, chosen)
    titles = _titles(names, (of_a, of_b))
    return render(
        request,
        "compare.html",
        charts=[pairs_chart(found, names=titles)] if found.pairs else [],
        choices=choices,
        found=found,
        spaces={chosen.name: len(found.pairs), **spaces},
        space=chosen.name,
        names=names,
        titles=titles,
        past=dict([*_unlisted(names), *_past(session, tables_now, chosen.name)]),
    )


def _usual(choices: Sequence[TableChoice]) -> tuple[TableChoice, TableChoice]:
    """The first table, and the first one of another device, or else the next one."""
    first = choices[0]
    others = sorted(choices[1:], key=lambda choice: choice.device == first.device)
    return first, (others[0] if others else first)


def _space_of_snapshot(session: DbSession, names: Sequence[str]) -> str | None:
    for name in names:
        device, _, rest = name.partition("@")
        if rest.startswith(SNAPSHOT) and "@" not in rest:
            return find_snapshot(session, device, rest, origin="measured").space
    return None


def _past(
    session: DbSession, tables: Sequence[TableChoice], space: str
) -> Iterator[tuple[str, str]]:
    """The tables as sessions left them: their names in addresses, and for people."""
    for table in tables:
        found = snapshots(
            session, table.device, runtime=table.runtime, space=space, origin=table.origin
        )
        end = "" if table.origin == "measured" else f"@{table.origin}"
        for each in found[:MOST_SNAPSHOTS]:
            title = f"{table.name} as of {stamp(each.made_at)}, {each.rows} rows"
            yield f"{table.device}@{each.snapshot}{end}", title


def _unlisted(names: Sequence[str]) -> Iterator[tuple[str, str]]:
    """Snapshots that the address names, which the newest ones need not hold."""
    for name in names:
        device, _, rest = name.partition("@")
        if rest.startswith(SNAPSHOT):
            yield name, f"{device} as {rest[:19]}"


def _titles(names: Sequence[str], tables: Sequence[LatencyTable]) -> tuple[str, str]:
    """What tells the two tables apart: the device, or the parts of the runtime, or the moment."""
    a, b = tables
    devices = [
        table.device if table.origin == "measured" else f"{table.device} ({table.origin})"
        for table in tables
    ]
    if devices[0] != devices[1]:
        return devices[0], devices[1]
    parts = [table.runtime.key.split("-") for table in tables]
    if parts[0] != parts[1]:
        own = [
            " ".join(part for part in mine if part not in theirs)
            for mine, theirs in (parts, reversed(parts))
        ]
        return f"{a.device} {own[0]}", f"{b.device} {own[1]}"
    if names[0] == names[1]:
        return f"{a.device} (a)", f"{b.device} (b, the same)"
    moments = [
        table.snapshot[7:15] if SNAPSHOT in name else "now"
        for name, table in zip(names, tables, strict=True)
    ]
    return f"{a.device} {moments[0]}", f"{b.device} {moments[1]}"
