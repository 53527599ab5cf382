"""`python -m device_agent.run --device host`: measure what a table is missing, and post it."""

import re
from contextlib import AbstractContextManager
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from typing import Annotated
from uuid import uuid4

from cyclopts import Parameter, validators
from filelock import FileLock, Timeout

from contract.cli import command_line, main
from contract.client import TableClient, default_server, table_client
from contract.errors import DeviceFailed, PhonebookError, ServerUnreachable
from contract.operators import Operator
from contract.spaces import DEFAULT_SPACE
from contract.spaces import space as space_named
from contract.timings import Dtype, Failure, MemoryFormat, Runner, Session, Timing
from device_agent import screen
from device_agent.devices import Device, open_device
from device_agent.journal import Journal, OpenSession
from device_agent.places import cache_dir, state_dir
from device_agent.programs import (
    Exported,
    Exporter,
    Program,
    ProgramCache,
    ProgramFile,
    export_to_pte,
)
from device_agent.session import ROUNDS, isolated, measure
from device_agent.upload import send

app = command_line("python -m device_agent.run", "Measure the operators of a space on a device.")


@app.default
def run(
    *,
    device: Annotated[str, Parameter(help="Which device: host is this computer.")],
    space: Annotated[str, Parameter(help="Which search space.")] = DEFAULT_SPACE,
    dtype: Annotated[Dtype, Parameter(help="Of weights and activations.")] = "float32",
    threads: Annotated[
        int, Parameter(help="Of ExecuTorch's pool.", validator=validators.Number(gte=1))
    ] = 1,
    memory_format: Annotated[
        MemoryFormat, Parameter(help="Of the image that goes into a program.")
    ] = "contiguous",
    runner: Annotated[
        Runner | None,
        Parameter(help="What times the programs [default: native where it can be built]."),
    ] = None,
    cpus: Annotated[
        str | None, Parameter(help="Bind the runner to these CPUs, as in 0,1 [default: any].")
    ] = None,
    name: Annotated[
        str | None, Parameter(help="The device's name on the server, if not the same.")
    ] = None,
    server: Annotated[
        str | None, Parameter(help="Its address [default: $PHONEBOOK_SERVER or port 8420 here].")
    ] = None,
) -> None:
    """Ask which operators the table is missing, export them, measure them, post the timings."""
    space_named(space)
    with (
        table_client(server or default_server()) as client,
        Journal(state_dir() / "journal.db") as journal,
        alone_on(device),
        open_device(
            device,
            dtype=dtype,
            threads=threads,
            memory_format=memory_format,
            runner=runner,
            cpus=() if cpus is None else _numbers(cpus),
        ) as opened_device,
    ):
        profile(
            opened_device,
            name=name or device,
            space=space,
            client=client,
            journal=journal,
            cache=ProgramCache(cache_dir()),
            exporter=export_to_pte,
        )


def profile(
    device: Device,
    *,
    name: str,
    space: str,
    client: TableClient,
    journal: Journal,
    cache: ProgramCache,
    exporter: Exporter,
) -> None:
    """Bring the device's table of `space` to completeness, going on with an unfinished session.

    Raises:
        ServerUnreachable: at the start, with nothing begun; or at the end, with the timings
            kept in the outbox for the next run.
        DeviceFailed: every operator failed, or the device is gone; visits so far are kept.
    """
    opened = _begin_or_resume(device, name=name, space=space, client=client, journal=journal)
    if opened is None:
        screen.console.print(f"{name}: the table of {space} is complete, nothing to measure")
        _send(journal, client)
        return
    files = _export(opened, device, journal, cache, exporter)
    timings = _measure(opened, files, device, journal)
    screen.summary(timings, device=name, space=space)
    _send(journal, client)
    if all(timing.failure for timing in timings):
        raise DeviceFailed(f"{name}: all {len(timings)} operators failed; the reasons stand above")


def alone_on(device: str) -> AbstractContextManager[object]:
    """A lock on the device, on this computer.

    Raises:
        DeviceFailed: another agent measures there now.
    """
    path = state_dir() / f"{device.replace('/', '_')}.lock"
    lock = FileLock(path, timeout=0)
    try:
        return lock.acquire()
    except Timeout:
        raise DeviceFailed(
            f"{device}: another agent is measuring there; two at once would disturb each "
            "other. Wait for it, or stop it"
        ) from None


def _numbers(cpus: str) -> tuple[int, ...]:
    if not re.fullmatch(r"[0-9]+(,[0-9]+)*", cpus):
        raise PhonebookError(f"--cpus {cpus!r}: give numbers with commas between them, as in 0,1")
    return tuple(int(number) for number in cpus.split(","))


def _begin_or_resume(
    device: Device, *, name: str, space: str, client: TableClient, journal: Journal
) -> OpenSession | None:
    unfinished = journal.open_session(client.server, name, device.runtime, space)
    try:
        client.register(name, device.describe())
        _send(journal, client)
        table = client.table(name, runtime=device.runtime, space=space)
    except ServerUnreachable:
        if unfinished is None:
            raise
        screen.console.print("the server is away; going on with the unfinished session")
    if unfinished is not None:
        screen.console.print(f"{name}: resuming the session of {unfinished.session.started_at:%c}")
        return unfinished
    missing = table.missing_of(space_named(space).operators)
    if not missing:
        return None
    session = Session(
        id=uuid4(),
        device=name,
        runtime=device.runtime,
        space=space,
        origin=device.origin,
        started_at=datetime.now(UTC),
        agent_version=version("phonebook"),
        conditions=device.conditions(),
    )
    return journal.begin(client.server, session, missing)


def _export(
    opened: OpenSession,
    device: Device,
    journal: Journal,
    cache: ProgramCache,
    exporter: Exporter,
) -> dict[Operator, ProgramFile]:
    runtime = device.runtime
    programs = {
        Program(content=op, dtype=runtime.dtype, memory_format=runtime.memory_format): op
        for op in opened.operators
    }
    files: dict[Operator, ProgramFile] = {}
    cached = 0
    with screen.progress() as bar:
        task = bar.add_task("exporting", total=len(programs))
        for exported in cache.export(list(programs), exporter):
            operator = programs[exported.program]
            if exported.file is None:
                _record_export_failure(opened, operator, exported, journal)
            else:
                files[operator] = exported.file
                cached += exported.was_cached
            bar.advance(task)
    screen.console.print(f"{len(files)} programs, {cached} of them from the cache")
    return files


def _record_export_failure(
    opened: OpenSession, operator: Operator, exported: Exported, journal: Journal
) -> None:
    failure = Failure(code="export_failed", message=(exported.error or "")[-4000:])
    journal.add_failure(opened.session.id, operator.key, failure)


def _measure(
    opened: OpenSession, files: dict[Operator, ProgramFile], device: Device, journal: Journal
) -> list[Timing]:
    work = [isolated(operator, file) for operator, file in files.items()]
    with screen.progress() as bar:
        task = bar.add_task("measuring", total=ROUNDS * len(work))
        return measure(
            opened, work, device=device, journal=journal, on_visit=lambda: bar.advance(task)
        )


def _send(journal: Journal, client: TableClient) -> None:
    waiting = len(journal.unsent(client.server))
    if not waiting:
        return
    try:
        sent = send(journal, client)
    except ServerUnreachable as error:
        raise ServerUnreachable(
            f"{error}. {len(journal.unsent(client.server))} timings wait in the outbox; "
            "run the same command again once the server is back"
        ) from error
    screen.console.print(f"{sent.accepted} timings stored by {client.server}")
    if sent.refused:
        raise PhonebookError(
            f"the server refused {len(sent.refused)} timings, kept in "
            f"{Path(state_dir() / 'journal.db')}: {sent.refused[0]}"
        )


if __name__ == "__main__":
    main(app)
