"""Everything that the server said it has stored, found by its id, and the tables that it makes."""

import json
from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Any
from uuid import UUID

import httpx
from sqlalchemy import Connection, select
from sqlalchemy.orm import InstrumentedAttribute

from benchmarks.endurance.ledger import digest_of
from contract.estimates import Estimate
from contract.tables import LatencyTable, NewestFigures
from server.database.records import (
    AuditRecord,
    JobRecord,
    SearchEpochRecord,
    SearchRecord,
    SessionRecord,
    TimingRecord,
)
from server.store.retention import samples_digest

AT_ONCE = 500
BY_ID: Mapping[str, InstrumentedAttribute[UUID]] = {
    "session": SessionRecord.id,
    "audit": AuditRecord.id,
    "job": JobRecord.id,
    "search": SearchRecord.id,
}
Line = dict[str, Any]


@dataclass
class Acknowledged:
    """What the ledger has: each thing once, however often it was said, by kind and id."""

    things: dict[str, dict[str, Line]] = field(default_factory=lambda: defaultdict(dict))
    answers: Counter[str] = field(default_factory=Counter)
    faults: list[str] = field(default_factory=list)

    def newest(self) -> Mapping[tuple[str, str, str], Mapping[str, Line]]:
        """The newest good timing of each operator, by table: device, runtime and origin."""
        found: dict[tuple[str, str, str], dict[str, Line]] = defaultdict(dict)
        sessions = self.things["session"]
        for timing in self.things["timing"].values():
            if timing["figures"] is not None:
                sitting = sessions[timing["session"]]
                table = found[sitting["device"], sitting["runtime"], sitting["origin"]]
                before = table.get(timing["operator"])
                if before is None or before["measured_at"] < timing["measured_at"]:
                    table[timing["operator"]] = timing
        return found


def read_ledger(path: Path) -> Acknowledged:
    said = Acknowledged()
    with path.open() as lines:
        for line in map(json.loads, lines):
            match line["kind"]:
                case "answers":
                    said.answers.update(line["counts"])
                case "fault":
                    said.faults.append(line["what"])
                case "epoch":
                    said.things["epoch"][f"{line['search']} {line['epoch']}"] = line
                case kind:
                    said.things[kind][line["id"]] = line
    return said


def missing_or_other(connection: Connection, said: Acknowledged) -> Iterator[str]:
    """A line for each thing that the database does not have, or has with other content."""
    for kind, column in BY_ID.items():
        ids = list(map(UUID, said.things[kind]))
        for some in _batches(ids):
            stored = set(connection.scalars(select(column).where(column.in_(some))))
            yield from (f"{kind} {id} is missing" for id in some if id not in stored)
    for lines in _batches(list(said.things["timing"].values())):
        yield from _timings(connection, lines)
    for lines in _batches(list(said.things["epoch"].values())):
        yield from _epochs(connection, lines)


def wrong_rows(server: str, said: Acknowledged) -> Iterator[str]:
    """A line for each served row whose newest figures are not its operator's newest timing's."""
    with httpx.Client(base_url=server, timeout=60) as http:
        for (device, runtime, origin), expected in said.newest().items():
            asked = {"runtime": runtime, "origin": origin}
            answer = http.get(f"/lut/{device}", params=asked).raise_for_status()
            table = LatencyTable.model_validate_json(answer.content)
            rows = {row.operator: row for row in table.entries}
            for operator in rows.keys() | expected.keys():
                if operator not in rows or operator not in expected:
                    where = "the table" if operator not in rows else "what was acknowledged"
                    yield f"{device} {operator}: not in {where}"
                    continue
                row, timing = rows[operator], expected[operator]
                counts = {*Estimate.model_fields} - {*NewestFigures.model_fields}
                own_us = (row.newest or row).latency_us
                if (
                    {name: getattr(row, name) for name in counts}
                    != {name: timing["figures"][name] for name in counts}
                    or own_us != timing["figures"]["latency_us"]
                    or str(row.session) != timing["session"]
                    or row.measured_at != datetime.fromisoformat(timing["measured_at"])
                ):
                    yield f"{device} {operator}: the row is not timing {timing['id']}'s: {row!r}"


def _timings(connection: Connection, lines: Sequence[Line]) -> Iterator[str]:
    columns = (
        TimingRecord.id,
        TimingRecord.session,
        TimingRecord.operator,
        TimingRecord.measured_at,
        TimingRecord.rounds_us,
        TimingRecord.drift,
        TimingRecord.failure_code,
        TimingRecord.samples_digest,
        TimingRecord.figures,
    )
    ids = [UUID(line["id"]) for line in lines]
    stored = {
        str(found.id): found
        for found in connection.execute(select(*columns).where(TimingRecord.id.in_(ids)))
    }
    for line in lines:
        found = stored.get(line["id"])
        if found is None:
            yield f"timing {line['id']} is missing"
            continue
        dropped = found.rounds_us is None and found.failure_code is None
        has = {
            "session": str(found.session),
            "operator": found.operator,
            "measured_at": found.measured_at.isoformat(),
            "samples": (
                found.samples_digest if dropped else samples_digest(found.rounds_us, found.drift)
            ),
            "failure": found.failure_code,
            "figures": found.figures,
        }
        other = [name for name, value in has.items() if value != line[name]]
        if other:
            yield f"timing {line['id']} has another {', '.join(other)}: {has}"


def _epochs(connection: Connection, lines: Sequence[Line]) -> Iterator[str]:
    searches = {UUID(line["search"]) for line in lines}
    columns = (SearchEpochRecord.search, SearchEpochRecord.epoch, SearchEpochRecord.content)
    stored = {
        (str(found.search), found.epoch): digest_of(found.content)
        for found in connection.execute(
            select(*columns).where(SearchEpochRecord.search.in_(searches))
        )
    }
    for line in lines:
        digest = stored.get((line["search"], line["epoch"]))
        if digest != line["digest"]:
            what = "is missing" if digest is None else "has other content"
            yield f"epoch {line['epoch']} of search {line['search']} {what}"


def _batches(things: Sequence[Any]) -> Iterator[Sequence[Any]]:
    for first in range(0, len(things), AT_ONCE):
        yield things[first : first + AT_ONCE]
