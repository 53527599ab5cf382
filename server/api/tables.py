"""Latency tables, as they are and as they were; as JSON, as CSV and in the form of others."""

import csv
import io
from typing import Annotated, Literal

from fastapi import APIRouter, Depends, Header, Query, Request, Response
from sqlalchemy.orm import Session as DbSession

from contract.audits import Snapshot
from contract.problems import Problem
from contract.sessions import Origin
from contract.snapshots import SnapshotSummary, TableDiff
from contract.tables import LatencyTable
from server.http.access import needs
from server.http.answer_cache import Answer, AnswerCache
from server.http.dependencies import TheDatabase, reads
from server.imports import ofa
from server.store import lookup
from server.store.snapshots import snapshots
from server.store.spaces import known_spaces
from server.store.versions import Versions

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
    "sessions",
)


@router.get(
    "/lut/{device}",
    response_model=LatencyTable,
    responses={
        200: {"content": {"text/csv": {}, "application/yaml": {}}},
        304: {"description": "The client's copy, named in If-None-Match, is current"},
        404: {"model": Problem},
    },
)
async def lut(
    request: Request,
    database: TheDatabase,
    device: str,
    runtime: str | None = None,
    space: str | None = None,
    origin: Origin = "measured",
    snapshot: Snapshot | None = None,
    format: Literal["json", "csv", "ofa-yaml"] | None = None,
    accept: Annotated[str, Header()] = "",
    accept_encoding: Annotated[str, Header()] = "",
    if_none_match: Annotated[str, Header()] = "",
) -> Response:
    """The current row of each operator, under one runtime: the given or the default one.

    A table as CSV, by `format=csv` or `Accept: text/csv`, has one line per row and nothing else;
    `format=ofa-yaml` is the form of the look-up tables of ProxylessNAS and Once-for-All.

    With `snapshot`, an id that an earlier answer had, exactly the rows of that answer are served
    again, whatever was measured since; such an answer never changes.
    """
    encode = _ENCODERS[format or ("csv" if prefers_csv(accept) else "json")]

    def answer_anew(session: DbSession) -> Answer:
        asked = lookup.ask(
            session, device, runtime=runtime, space=space, origin=origin, snapshot=snapshot
        )
        return encode(lookup.read(session, asked))

    # Most answers are kept ones: to find them takes one small query, and no session.
    versions: Versions = request.app.state.versions
    version = await versions.of(device)
    answers: AnswerCache = request.app.state.answers
    key = (device, version, runtime, space, origin, snapshot, encode)
    answer = await answers.get(key, lambda: database.read(answer_anew))
    return answer.response(if_none_match, accept_encoding, immutable=snapshot is not None)


@router.get("/lut/{device}/snapshots", responses={404: {"model": Problem}})
@reads
def list_snapshots(
    device: str,
    session: DbSession,
    runtime: str | None = None,
    space: str | None = None,
    origin: Origin = "measured",
) -> list[SnapshotSummary]:
    """What each session left of the device's tables, newest first, at most 100.

    Whole tables, or those of one space; under every runtime, or under one.
    """
    return snapshots(
        session,
        device,
        runtime=None if runtime is None else lookup.parse_runtime(runtime).key,
        space=None if space is None else known_spaces(session).find(space).name,
        origin=origin,
    )


@router.get("/lut/{device}/diff", responses={404: {"model": Problem}})
@reads
def diff(
    device: str,
    session: DbSession,
    before: Annotated[Snapshot, Query(alias="from")],
    after: Annotated[Snapshot | None, Query(alias="to")] = None,
    origin: Origin = "measured",
) -> TableDiff:
    """What changed from one snapshot to another, or to the current table."""
    return lookup.difference_of(session, device, before=before, after=after, origin=origin)


def prefers_csv(accept: str) -> bool:
    """Whether the header names CSV, and does not name JSON as better (RFC 9110, 12.5.1)."""
    qualities = dict(map(_quality, accept.split(",")))
    wanted = qualities.get("text/csv", 0.0)
    return wanted > 0 and wanted >= qualities.get("application/json", 0.0)


def _quality(media_range: str) -> tuple[str, float]:
    """`text/csv; q=0.5` as its name and how much it is wanted; what is no number is 1."""
    name, *parameters = (part.strip().lower() for part in media_range.split(";"))
    for parameter in parameters:
        if parameter.startswith("q="):
            try:
                return name, float(parameter.removeprefix("q="))
            except ValueError:
                break
    return name, 1.0


def as_json(table: LatencyTable) -> Answer:
    return Answer(table.model_dump_json().encode(), media_type="application/json")


def as_csv(table: LatencyTable) -> Answer:
    """The table's entries, in the order of the JSON form."""
    lines = io.StringIO()
    writer = csv.DictWriter(lines, CSV_COLUMNS, lineterminator="\n")
    writer.writeheader()
    whose = {"device": table.device, "runtime": table.runtime.key}
    for row in table.entries:
        figures = row.model_dump(mode="json", exclude={"newest"})
        writer.writerow({**whose, **figures, "sessions": row.sessions})
    return Answer(lines.getvalue().encode(), media_type="text/csv")


def as_ofa_yaml(table: LatencyTable) -> Answer:
    """The table's latencies in ms, by the keys of `server.imports.ofa`."""
    latencies_us = {row.operator: row.latency_us for row in table.entries}
    return Answer(ofa.dump(latencies_us).encode(), media_type="application/yaml")


_ENCODERS = {"json": as_json, "csv": as_csv, "ofa-yaml": as_ofa_yaml}
