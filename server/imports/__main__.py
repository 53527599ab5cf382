"""`python -m server.imports FILE`: timings that others published, into a table of their own."""

import json
from collections.abc import Iterator
from datetime import UTC, date, datetime, time
from pathlib import Path
from typing import Annotated, Literal
from uuid import UUID, uuid5

from cyclopts import Parameter
from pydantic import ValidationError

from contract.cli import command_line, main
from contract.client import TableClient, default_server, table_client
from contract.devices import Conditions, DeviceDescription
from contract.errors import PhonebookError, near
from contract.imports import Import, ImportedTiming
from contract.runtime import Runtime, runtime_of
from contract.sessions import Session
from contract.spaces import find_space, ships
from server.imports import csv_rows, hw_nas_bench, ofa, others, pickles
from server.imports.csv_rows import Unit
from server.imports.operators import Vocabulary, shipped
from server.imports.rows import Found, Source

Format = Literal["ofa-yaml", "hw-nas-bench", "csv"]
IDS = UUID("6f0d0d6e-6a6c-4c41-9d53-1f4b0e5a7c11")  # ids of imports are made from what they hold
READER = "imports-1"  # to be counted up when a file is read otherwise than before
# Of other programs a table says little; whoever knows more names another runtime.
FOREIGN = Runtime(
    backend="foreign",
    dtype="float32",
    threads=1,
    memory_format="contiguous",
    executorch="0",
    runner="native",
    affinity="any",
    protocol="isolated",
)
UNKNOWN = Conditions(load_1min=None, clock_mhz=None, temperature_c=None)

app = command_line(
    "python -m server.imports", "Import latencies that others published, as a table of its own."
)


@app.default
def run(
    file: Path,
    /,
    *,
    format: Format,
    device: str,
    source: str,
    date: date,
    runtime: str | None = None,
    metric: str | None = None,
    unit: Unit | None = None,
    space: str | None = None,
    model: str | None = None,
    soc: str | None = None,
    cores: int | None = None,
    memory_gb: float | None = None,
    os: str | None = None,
    server: str | None = None,
    dry_run: Annotated[bool, Parameter(negative="")] = False,
) -> None:
    """Import latencies that others published, as a table of its own.

    The table has origin `imported`. Searches take it by the device's name where nothing was
    measured on it, else as DEVICE@imported; the server serves it as `?origin=imported`. Each row
    is one sample, graded C. Rows that name no operator of ours are rejected, each with its reason.
    The same file twice is stored once.

    Args:
        file: What to read.
        format: Its form: tables of ProxylessNAS and Once-for-All, HW-NAS-Bench (JSON, or its
            pickle, from which only numbers are taken), or CSV with `operator` and `latency_us`
            or `latency_ms`.
        device: The device's name on the server.
        source: Where the numbers come from: a paper, an address, a commit.
        date: When they were measured or published, as in 2019-06-01.
        runtime: What they were measured under [default: what a CSV tells, else a foreign one
            of float32 and one thread].
        metric: Of HW-NAS-Bench, whose files hold several: pixel3_latency.
        unit: Of a CSV whose column is called `latency` alone.
        space: Place the rows in this space alone, by its name or its file; else in those that
            ship with Phonebook.
        model: With soc, cores, memory_gb and os: what the device is, if the server does not know.
        soc: See model.
        cores: See model.
        memory_gb: See model.
        os: See model.
        server: The server's address; else PHONEBOOK_SERVER, else this computer.
        dry_run: Show what would be stored, and ask no server.
    """
    if unit is not None and format != "csv":
        raise PhonebookError(f"--unit {unit}: {format} has a unit of its own; leave --unit out")
    vocabulary = Vocabulary(find_space(space)) if space is not None else shipped()
    read = parse(file, format=format, metric=metric, unit=unit, vocabulary=vocabulary)
    chosen = runtime or read.runtime
    imports = list(
        imports_of(
            read,
            device=device,
            source=source,
            measured=date,
            runtime=runtime_of(chosen) if chosen else FOREIGN,
            vocabulary=vocabulary,
        )
    )
    for rejected in read.rejected:
        say(f"rejected {rejected.place}: {rejected.name}: {rejected.reason}")
    if not imports:
        raise PhonebookError(
            f"{file}: none of its {len(read.rejected)} rows is an operator of ours"
        )
    if dry_run:
        show(imports, rejected=len(read.rejected))
        return
    described = (model, soc, cores, memory_gb, os)
    with table_client(server or default_server()) as client:
        ensure_device(client, device, described)
        for named in vocabulary.spaces:
            if not ships(named):
                client.learn_space(named)
        for each in imports:
            report = client.add_import(each)
            say(
                f"{report.rows} rows of {each.session.space} on {device} under "
                f"{each.session.runtime.key}: "
                f"{'stored' if report.is_new else 'were stored before'}, "
                f"session {report.session.id}"
            )
    say(f"{len(read.rejected)} rows rejected; searches take the table as {device}@imported")


def parse(
    file: Path,
    *,
    format: Format,
    metric: str | None = None,
    unit: Unit | None = None,
    vocabulary: Vocabulary | None = None,
) -> Source:
    """The rows of a file, as operators of the vocabulary, or else of the spaces that ship.

    Raises:
        PhonebookError: it cannot be read, or is not of that format.
    """
    source, words = Source(), vocabulary or shipped()
    try:
        content = file.read_bytes()
        _refuse_known(content)
        if format == "hw-nas-bench":
            hw_nas_bench.load(_json_or_pickle(content), source, words, metric=metric)
        elif format == "ofa-yaml":
            ofa.load(content.decode("utf-8-sig"), source, words)
        else:
            csv_rows.load(content.decode("utf-8-sig"), source, words, unit=unit)
    except OSError as error:
        raise PhonebookError(f"cannot read {file}: {error.strerror}") from error
    except UnicodeDecodeError as error:
        raise PhonebookError(f"{file}: it is not text in UTF-8 ({error})") from error
    except ValueError as error:
        raise PhonebookError(f"{file}: {error}") from error
    return source


def imports_of(
    read: Source,
    *,
    device: str,
    source: str,
    measured: date,
    runtime: Runtime,
    vocabulary: Vocabulary,
) -> Iterator[Import]:
    """The rows by space, each under the first space that has its operator.

    Ids are made from the content, so that the same rows are the same import.

    Raises:
        PhonebookError: a name or the source is none that a session can have.
    """
    left = dict(read.found)
    for space in vocabulary.by_rows([frozenset({key}) for key in left]):
        rows = [left.pop(key) for key in vocabulary.keys_of(space.name) if key in left]
        if rows:
            yield _import(rows, device, source, measured, runtime, space.name)


def _import(
    rows: list[Found], device: str, source: str, measured: date, runtime: Runtime, space: str
) -> Import:
    told = {row.operator.key: row.latency_us for row in rows}
    content = json.dumps([device, source, measured.isoformat(), runtime.key, space, told])
    session_id = uuid5(IDS, content)
    moment = datetime.combine(measured, time(), UTC)
    try:
        return Import(
            session=Session(
                id=session_id,
                device=device,
                runtime=runtime,
                space=space,
                origin="imported",
                effort="quick",
                started_at=moment,
                agent_version=READER,
                conditions=UNKNOWN,
                source=source,
            ),
            timings=tuple(
                ImportedTiming(
                    id=uuid5(session_id, row.operator.key),
                    operator=row.operator,
                    measured_at=moment,
                    rounds_us=((row.latency_us,),),
                )
                for row in rows
            ),
        )
    except ValidationError as error:
        first = error.errors()[0]
        raise PhonebookError(f"{first['loc'][-1]}: {first['msg']}") from error


def ensure_device(
    client: TableClient,
    device: str,
    described: tuple[str | None, str | None, int | None, float | None, str | None],
) -> None:
    """Register the device if the server does not know it.

    Raises:
        PhonebookError: it does not, and the description is not whole.
    """
    known = [each.name for each in client.devices()]
    if device in known:
        return
    model, soc, cores, memory_gb, os = described
    if model is None or soc is None or cores is None or memory_gb is None or os is None:
        client.check_name(device)
        raise PhonebookError(
            f"no device {device!r} on {client.server}; {near(device, known)}; a new one is "
            "described with --model, --soc, --cores, --memory-gb and --os"
        )
    try:
        description = DeviceDescription(
            model=model, soc=soc, cores=cores, memory_bytes=round(memory_gb * 2**30), os=os
        )
    except (ValidationError, ValueError, OverflowError) as error:
        raise PhonebookError(f"--model, --soc, --cores, --memory-gb, --os: {error}") from error
    client.register(device, description)


def show(imports: list[Import], *, rejected: int) -> None:
    """What would be stored, row by row."""
    for each in imports:
        session = each.session
        say(f"{session.space} on {session.device} under {session.runtime.key}:")
        for timing in each.timings:
            say(f"  {timing.operator.key}: {timing.rounds_us[0][0]} us")
    rows = sum(len(each.timings) for each in imports)
    say(f"{rows} rows would be stored, {rejected} are rejected")


def say(line: str) -> None:
    """One line for the person at the screen."""
    print(line)  # noqa: T201  # what this command is for


def _refuse_known(content: bytes) -> None:
    """Whatever format was named: raises ValueError for a file known to hold no operators."""
    try:
        reason = others.recognised_document(_json_or_pickle(content))
    except ValueError:
        reason = others.recognised_text(content.decode("utf-8-sig", errors="replace"))
    if reason:
        raise ValueError(reason)


def _json_or_pickle(content: bytes) -> object:
    """A pickle of any protocol since 2 begins with a byte that no JSON begins with."""
    if content.startswith(b"\x80"):
        return pickles.load(content)
    try:
        return json.loads(content, object_pairs_hook=_once)
    except RecursionError as error:
        raise ValueError("it is nested too deeply") from error
    except ValueError as error:
        raise ValueError(f"it is neither JSON nor a pickle: {error}") from error


def _once(pairs: list[tuple[str, object]]) -> dict[str, object]:
    found = dict(pairs)
    if len(found) < len(pairs):
        names = [name for name, _ in pairs]
        twice = next(name for name in names if names.count(name) > 1)
        raise ValueError(f"the key {twice} comes twice")
    return found


if __name__ == "__main__":
    main(app)
