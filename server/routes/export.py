"""`/export`: a table in every form, as it is and as it was; `/export/diff`: two of its states."""

from typing import Annotated
from urllib.parse import urlencode

from fastapi import Query, Request, Response
from sqlalchemy.orm import Session as DbSession

from contract.audits import Snapshot
from contract.sessions import Origin
from contract.snapshots import TableDiff
from contract.spaces import SPACE_NAMES
from server.charts import Axis, Chart, Column, Guide
from server.database import reads
from server.links import operator_url
from server.rendering import page_router, render
from server.routes.tables import difference_of
from server.store.choices import chosen, common_spaces, table_choices
from server.store.snapshots import snapshots
from server.store.spaces import find_space
from server.words import counted

router = page_router()

FORMATS = (
    ("json", "JSON", "every figure of each row; what programs of this project read"),
    ("csv", "CSV", "one line per row, for spreadsheets"),
    ("ofa-yaml", "OFA YAML", "milliseconds by the keys of ProxylessNAS and Once-for-All"),
)


@router.get("/export")
@reads
def export(request: Request, session: DbSession, table: str = "", space: str = "") -> Response:
    """One table: its addresses in each form, and what each session left of it."""
    choices = table_choices(session)
    if not choices:
        return render(request, "export.html", choices=choices)
    of = chosen(choices, table) if table else choices[0]
    name = find_space(space).name if space else None
    query = {"runtime": of.runtime, "origin": "" if of.origin == "measured" else of.origin}
    told = {key: value for key, value in {**query, "space": name or ""}.items() if value}
    return render(
        request,
        "export.html",
        choices=choices,
        of=of,
        space=name or "",
        spaces=common_spaces(session, [of]),
        every_space=SPACE_NAMES,
        forms=[
            (title, about, f"/lut/{of.device}?{urlencode({**told, 'format': form})}", form)
            for form, title, about in FORMATS
        ],
        query=told,
        base=str(request.base_url).rstrip("/"),
        past=snapshots(session, of.device, runtime=of.runtime, space=name, origin=of.origin),
    )


@router.get("/export/diff")
@reads
def diff_page(
    request: Request,
    session: DbSession,
    device: str,
    before: Annotated[Snapshot, Query(alias="from")],
    after: Annotated[Snapshot | None, Query(alias="to")] = None,
    origin: Origin = "measured",
) -> Response:
    """What changed from one snapshot to another, or to the table as it is."""
    found = difference_of(session, device, before=before, after=after, origin=origin)
    return render(
        request,
        "diff.html",
        charts=[_changes(found)] if found.changed else [],
        diff=found,
        to_now=after is None,
        api=f"/lut/{device}/diff?{request.url.query}",
    )


def _changes(found: TableDiff) -> Chart:
    """Each operator whose latency differs: the earlier one and the later one."""
    before = [change.from_us for change in found.changed]
    ends = (min(before), max(before))
    return Chart(
        id="changes",
        kind="scatter",
        title="Operators whose latency changed",
        counted=counted(len(found.changed), "operator"),
        columns=(
            Column("operator", "operator"),
            Column("from_us", "before, µs", "us"),
            Column("to_us", "after, µs", "us"),
            Column("ratio", "after / before", "ratio"),
        ),
        rows=[
            (change.operator, change.from_us, change.to_us, change.ratio)
            for change in found.changed
        ],
        x=Axis(column="from_us", title="before, µs (log)", scale="log"),
        y=Axis(column="to_us", title="after, µs (log)", scale="log"),
        labels="operator",
        guides=(Guide(name="unchanged", x=ends, y=ends),),
        links=[
            operator_url(
                found.device, change.operator, found.after.runtime.key, origin=found.after.origin
            )
            for change in found.changed
        ],
        height=460,
    )
