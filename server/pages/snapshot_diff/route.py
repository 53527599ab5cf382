"""`/export/diff`: two states of a table."""

from typing import Annotated

from fastapi import Query, Request, Response
from sqlalchemy.orm import Session as DbSession

from contract.audits import Snapshot
from contract.sessions import Origin
from server.http.dependencies import reads
from server.pages.rendering import page_router, render
from server.pages.snapshot_diff.charts import changes_chart
from server.store.lookup import difference_of

router = page_router()


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
        "snapshot_diff/snapshot_diff.html",
        charts=[changes_chart(found)] if found.changed else [],
        diff=found,
        to_now=after is None,
        api=f"/lut/{device}/diff?{request.url.query}",
    )
