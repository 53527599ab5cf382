"""CSV with a column `operator` and one of latencies, as the server exports it and more plainly.

The column's name says the unit: `latency_us`, `latency_ms`. One that is called `latency` alone
does not, and whoever imports it says so.
"""

import csv
import io
from collections.abc import Sequence
from typing import Literal

from server.imports.operators import Unmapped, Vocabulary
from server.imports.rows import Found, Rejected, Source, latency_us

Unit = Literal["ns", "us", "ms", "s"]
US_PER: dict[Unit, float] = {"ns": 1e-3, "us": 1, "ms": 1e3, "s": 1e6}


def load(text: str, source: Source, vocabulary: Vocabulary, *, unit: Unit | None = None) -> None:
    """Book every line as found or rejected.

    Raises:
        ValueError: it is not CSV, lacks a column, does not tell its unit or tells another, or
            holds rows of several runtimes.
    """
    reader = csv.DictReader(io.StringIO(text, newline=""))
    try:
        column, told = _latency_column(reader.fieldnames or (), unit)
        for row in reader:
            name = row["operator"] or ""
            place = f"line {reader.line_num}"
            try:
                _check_runtime(row.get("runtime"), source)
                us = latency_us(row[column] or "", per_us=US_PER[told])
                source.add(Found(place, vocabulary.named(name), us))
            except Unmapped as error:
                source.reject(Rejected(place, name, str(error)))
    except csv.Error as error:
        raise ValueError(f"line {reader.line_num} is no CSV: {error}") from error


def _latency_column(names: Sequence[str], asked: Unit | None) -> tuple[str, Unit]:
    """The column of latencies, and their unit."""
    with_unit = {f"latency_{unit}": unit for unit in US_PER}
    found = [name for name in names if name in with_unit]
    missing = [] if "operator" in names else ["operator"]
    if not found and "latency" not in names:
        missing.append("latency_us (or latency_ms, latency_ns, latency_s, or latency with --unit)")
    if missing:
        raise ValueError(f"its first line has no column {' and no '.join(missing)}")
    if len(found) > 1:
        raise ValueError(f"its first line has several latencies: {', '.join(found)}; leave one")
    if not found:
        if asked is None:
            raise ValueError(
                "its column `latency` does not say the unit; give --unit us, ms, ns or s, or call "
                "it latency_us, latency_ms, ..."
            )
        return "latency", asked
    told = with_unit[found[0]]
    if asked not in (None, told):
        raise ValueError(f"--unit {asked}: its column {found[0]} says {told}; leave --unit out")
    return found[0], told


def _check_runtime(key: str | None, source: Source) -> None:
    """A table is of one runtime: that of the first line, where the file tells it."""
    if not key:
        return
    source.runtime = source.runtime or key
    if key != source.runtime:
        raise Unmapped(f"it is of runtime {key}, not {source.runtime} as the lines above")
