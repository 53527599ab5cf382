"""Profiling: a device's table of a space brought to completeness, whatever interrupts it."""

from collections.abc import Mapping
from contextlib import AbstractContextManager
from datetime import UTC, datetime
from importlib.metadata import version
from uuid import uuid4

from filelock import FileLock, Timeout

from contract.client import TableClient
from contract.errors import DeviceFailed, PhonebookError, ServerUnreachable
from contract.spaces import space as space_named
from contract.timings import Session
from device_agent import screen
from device_agent.devices import Device
from device_agent.journal import Journal, OpenSession
from device_agent.places import state_dir
from device_agent.programs import Exporter, ProgramCache, ProgramFile
from device_agent.protocols import PROTOCOLS, Protocol, Work
from device_agent.session import close, failure_of, measure
from device_agent.upload import send


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
    protocol = PROTOCOLS[device.runtime.protocol]
    planned = protocol.work(space_named(space), opened.operators, device.runtime)
    work = {cache.file(item.program): item for item in planned}
    _measure(opened, _export(opened, work, journal, cache, exporter), protocol, device, journal)
    timings = close(opened, {file.name: item for file, item in work.items()}, journal)
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
    if device.runtime.protocol == "in_situ":
        missing = space_named(space).operators  # all rows come from one session
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
    work: Mapping[ProgramFile, Work],
    journal: Journal,
    cache: ProgramCache,
    exporter: Exporter,
) -> dict[ProgramFile, Work]:
    """What can be measured; an export that failed is recorded with the session."""
    ready: dict[ProgramFile, Work] = {}
    cached = 0
    with screen.progress() as bar:
        task = bar.add_task("exporting", total=len(work))
        for exported in cache.export([item.program for item in work.values()], exporter):
            file = cache.file(exported.program)
            if exported.error is None:
                ready[file] = work[file]
                cached += exported.was_cached
            else:
                failure = failure_of("export_failed", exported.error)
                journal.add_failure(opened.session.id, file.name, failure)
            bar.advance(task)
    screen.console.print(f"{len(ready)} programs, {cached} of them from the cache")
    return ready


def _measure(
    opened: OpenSession,
    work: Mapping[ProgramFile, Work],
    protocol: Protocol,
    device: Device,
    journal: Journal,
) -> None:
    with screen.progress() as bar:
        task = bar.add_task("measuring", total=protocol.rounds * len(work))
        measure(
            opened,
            work,
            protocol=protocol,
            device=device,
            journal=journal,
            on_visit=lambda: bar.advance(task),
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
            f"{state_dir() / 'journal.db'}: {sent.refused[0]}"
        )
