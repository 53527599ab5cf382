"""CSV with the columns `operator` and `latency_us`, as the server exports it and more plainly."""

import csv
import io

from server.imports.operators import Unmapped, operator_named
from server.imports.rows import Found, Rejected, Source, latency_us

NEEDED = ("operator", "latency_us")


def load(text: str, source: Source) -> None:
    """Book every line as found or rejected.

    Raises:
        ValueError: it is not CSV, lacks a column, or holds rows of several runtimes.
    """
    reader = csv.DictReader(io.StringIO(text, newline=""))
    try:
        missing = [name for name in NEEDED if name not in (reader.fieldnames or ())]
        if missing:
            raise ValueError(f"its first line has no column {' and no '.join(missing)}")
        for row in reader:
            name = row["operator"] or ""
            place = f"line {reader.line_num}"
            try:
                _check_runtime(row.get("runtime"), source)
                us = latency_us(row["latency_us"] or "")
                source.add(Found(place, operator_named(name), us))
            except Unmapped as error:
                source.reject(Rejected(place, name, str(error)))
    except csv.Error as error:
        raise ValueError(f"line {reader.line_num} is no CSV: {error}") from error


def _check_runtime(key: str | None, source: Source) -> None:
    """A table is of one runtime: that of the first line, where the file tells it."""
    if not key:
        return
    source.runtime = source.runtime or key
    if key != source.runtime:
        raise Unmapped(f"it is of runtime {key}, not {source.runtime} as the lines above")
