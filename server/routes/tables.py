"""Latency tables, as JSON and as CSV."""

import csv
import io
from typing import Annotated, Literal

from fastapi import APIRouter, Header, Response

from contract.timings import LatencyTable, Origin, Problem
from server.db import ReadSession
from server.store.lookup import lookup_table

router = APIRouter(tags=["tables"])

# In this order for good: spreadsheets and scripts read columns by position.
CSV_COLUMNS = (
    "device",
    "runtime",
    "operator",
    "median_us",
    "p90_us",
    "min_us",
    "samples",
    "rounds",
    "measured_at",
    "origin",
    "session",
)


@router.get(
    "/lut/{device}",
    response_model=LatencyTable,
    responses={200: {"content": {"text/csv": {}}}, 404: {"model": Problem}},
)
def lut(
    device: str,
    session: ReadSession,
    runtime: str | None = None,
    space: str | None = None,
    origin: Origin = "measured",
    format: Literal["json", "csv"] | None = None,
    accept: Annotated[str, Header()] = "",
) -> Response:
    """The current row of each operator, under one runtime: the given or the default one.

    A table as CSV, by `format=csv` or `Accept: text/csv`, has one line per row and nothing else.
    """
    table = lookup_table(session, device, runtime=runtime, space=space, origin=origin)
    if format == "csv" or (format is None and "text/csv" in accept):
        content, media_type = as_csv(table), "text/csv"
    else:
        content, media_type = table.model_dump_json(), "application/json"
    return Response(content, media_type=media_type, headers={"Vary": "Accept"})


def as_csv(table: LatencyTable) -> str:
    """The table's entries, in the order of the JSON form."""
    lines = io.StringIO()
    writer = csv.DictWriter(lines, CSV_COLUMNS, lineterminator="\n")
    writer.writeheader()
    whose = {"device": table.device, "runtime": table.runtime.key}
    writer.writerows({**whose, **row.model_dump(mode="json")} for row in table.entries)
    return lines.getvalue()
