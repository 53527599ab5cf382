"""Latency tables, as JSON and as CSV."""

import csv
import io
from typing import Annotated, Literal

from fastapi import APIRouter, Depends, Header, Request, Response
from sqlalchemy.orm import Session, sessionmaker

from contract.tables import LatencyTable
from contract.timings import Origin, Problem
from server.access import needs
from server.answers import Answer, Answers
from server.store import lookup

router = APIRouter(tags=["tables"], dependencies=[Depends(needs("reader"))])

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
    "latency_us",
    "low_us",
    "high_us",
    "grade",
    "calm",
)


@router.get(
    "/lut/{device}",
    response_model=LatencyTable,
    responses={
        200: {"content": {"text/csv": {}}},
        304: {"description": "The client's copy, named in If-None-Match, is current"},
        404: {"model": Problem},
    },
)
def lut(
    request: Request,
    device: str,
    runtime: str | None = None,
    space: str | None = None,
    origin: Origin = "measured",
    format: Literal["json", "csv"] | None = None,
    accept: Annotated[str, Header()] = "",
    if_none_match: Annotated[str, Header()] = "",
) -> Response:
    """The current row of each operator, under one runtime: the given or the default one.

    A table as CSV, by `format=csv` or `Accept: text/csv`, has one line per row and nothing else.
    """
    encode = as_csv if format == "csv" or (format is None and "text/csv" in accept) else as_json

    def answer_anew() -> Answer:
        sessions: sessionmaker[Session] = request.app.state.reading
        with sessions() as session:
            asked = lookup.ask(session, device, runtime=runtime, space=space, origin=origin)
            return encode(lookup.read(session, asked))

    # Most answers are kept ones: to find them takes one small query, and no session.
    version = lookup.version(request.app.state.glancing, device)
    answers: Answers = request.app.state.answers
    answer = answers.get((device, version, runtime, space, origin, encode), answer_anew)
    return answer.response(if_none_match)


def as_json(table: LatencyTable) -> Answer:
    return Answer(table.model_dump_json().encode(), media_type="application/json")


def as_csv(table: LatencyTable) -> Answer:
    """The table's entries, in the order of the JSON form."""
    lines = io.StringIO()
    writer = csv.DictWriter(lines, CSV_COLUMNS, lineterminator="\n")
    writer.writeheader()
    whose = {"device": table.device, "runtime": table.runtime.key}
    writer.writerows({**whose, **row.model_dump(mode="json")} for row in table.entries)
    return Answer(lines.getvalue().encode(), media_type="text/csv")
