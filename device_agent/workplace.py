"""Where an agent works: a device, its name on a server, and what is kept on this computer.

Profiling and auditing are both a session here; they differ in what they visit and send.
"""

from collections.abc import Collection, Iterator, Sequence
from contextlib import closing, contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from importlib.metadata import version
from typing import Annotated
from uuid import UUID, uuid4

from cyclopts import Parameter, validators

from contract.client import TableClient, default_server, table_client
from contract.errors import NotStored
from contract.operators import Operator
from contract.runtime import Dtype, MemoryFormat, Protocol, Runner
from contract.sessions import Effort, Session
from device_agent import screen, upload
from device_agent.alone import alone_here
from device_agent.crowd import PATIENCE_S, Crowd
from device_agent.devices import Device, Stores, cpu_numbers, open_device
from device_agent.journal import Journal, OpenSession
from device_agent.places import cache_dir, journal_path
from device_agent.programs import Exporter, ProgramCache, ProgramFile, export_to_pte
from device_agent.protocols import Work
from device_agent.sent import results, what_to_do
from device_agent.session import Sitting, failure_of
from device_agent.watch import Watch


@Parameter(name="*")
@dataclass(frozen=True, kw_only=True, slots=True)
class Options:
    """What `run` and `audit` have in common: the device, its runtime, and the server."""

    device: Annotated[
        str, Parameter(help="Which device: host is this computer, galaxys8 or iphonex that phone.")
    ]
    serial: Annotated[
        str | None,
        Parameter(
            help="Which phone of several: serial number, UDID, or HOST:PORT [$ANDROID_SERIAL]."
        ),
    ] = None
    dtype: Annotated[Dtype, Parameter(help="Of weights and activations.")] = "float32"
    threads: Annotated[
        int, Parameter(help="Of ExecuTorch's pool.", validator=validators.Number(gte=1))
    ] = 1
    memory_format: Annotated[
        MemoryFormat, Parameter(help="Of the image that goes into a program.")
    ] = "contiguous"
    runner: Annotated[
        Runner | None,
        Parameter(help="What times the programs [default: native where it can be built]."),
    ] = None
    cpus: Annotated[
        str | None, Parameter(help="Bind the runner to these CPUs, as in 0,1 [default: any].")
    ] = None
    protocol: Annotated[
        Protocol,
        Parameter(help="Operators inside whole networks (in_situ), or each alone (isolated)."),
    ] = "in_situ"
    name: Annotated[
        str | None, Parameter(help="The device's name on the server, if not the same.")
    ] = None
    server: Annotated[
        str | None, Parameter(help="Its address [default: $PHONEBOOK_SERVER or port 8420 here].")
    ] = None
    effort: Annotated[
        Effort,
        Parameter(help="How many networks and rounds, and more for unsure rows."),
    ] = "standard"
    patience: Annotated[
        float,
        Parameter(
            help="Minutes to wait while other programs use the device's CPUs.",
            validator=validators.Number(gte=0),
        ),
    ] = PATIENCE_S / 60


@dataclass(frozen=True, kw_only=True, slots=True)
class Workplace:
    """An agent's device, server and files; `open_workplace` makes one from the options."""

    device: Device
    name: str
    client: TableClient
    journal: Journal
    cache: ProgramCache
    exporter: Exporter
    effort: Effort = "standard"
    patience_s: float = PATIENCE_S
    server_patience_s: float | None = upload.PATIENCE_S  # None: as long as it takes
    watch: Watch = field(default_factory=Watch)

    def unfinished(self, space: str, purpose: str) -> OpenSession | None:
        """The session of that purpose which was begun on this very unit and not finished."""
        return self.journal.open_session(
            self.client.server,
            self.name,
            self.device.runtime,
            space,
            purpose=purpose,
            unit=self.device.serial,
        )

    def say_resuming(self, opened: OpenSession, what: str) -> None:
        session = opened.session
        screen.console.print(
            f"{self.name}: resuming the {what} of {session.started_at:%c}, {session.effort} effort"
        )

    def begin(self, space: str, operators: Sequence[Operator], purpose: str) -> OpenSession:
        session = Session(
            id=uuid4(),
            device=self.name,
            runtime=self.device.runtime,
            space=space,
            origin=self.device.origin,
            effort=self.effort,
            started_at=datetime.now(UTC),
            agent_version=version("phonebook"),
            conditions=self.device.conditions(),
            unit=self.device.serial,
        )
        return self.journal.begin(
            self.client.server,
            session,
            operators,
            purpose=purpose,
            description=self.device.describe(),
        )

    def measure(self, opened: OpenSession, planned: Sequence[Work]) -> dict[str, Work]:
        """Export and measure what the session has not yet measured.

        Returns:
            All the work by program name, also what failed.

        Raises:
            DeviceFailed: the device is gone, or too busy; visits so far are kept.
            Halted: the watch ended the work; visits so far are kept.
        """
        work = {self.cache.file(item.program): item for item in planned}
        ready = self._export(opened, work)
        sitting = Sitting(opened, ready, device=self.device, journal=self.journal)
        if isinstance(self.device, Stores):
            self.device.store(list(ready))
        crowd = Crowd(self.device, watch=self.watch, patience_s=self.patience_s)
        with screen.Steps("measuring", "visits", sitting.rounds * len(ready), self.watch) as steps:

            def on_more(visits: int, programs: int) -> None:
                steps.more(visits, f"again, for rows graded C in {programs} programs")

            sitting.measure(before_round=crowd.wait, on_visit=steps.advance, on_more=on_more)
        return {file.name: item for file, item in work.items()}

    def send(self, must_store: Collection[UUID] = ()) -> None:
        """Send what waits in the outbox. What is not stored now is told and kept.

        Raises:
            NotStored: that is one of `must_store`, or the server's clock and this one differ, so
                that whatever is measured now would have to wait too.
            ServerUnreachable: everything stays in the outbox for the next run.
            Halted: so it does where the watch ended the waiting for the server.
            RequestRefused: the server takes nothing from this agent.
        """
        server = self.client.server
        if not self.journal.waiting(server):
            return
        sent = upload.send(
            self.journal, self.client, patience_s=self.server_patience_s, watch=self.watch
        )
        if sent.accepted:
            screen.console.print(f"{results(sent.accepted)} stored by {server}")
        if not sent.kept:
            return
        told = f"{'; '.join(sent.lines)}. {what_to_do(server)}"
        if sent.clocks_differ or any(each.id in must_store for each in sent.kept):
            raise NotStored(told)
        screen.console.print(told, markup=False, highlight=False)

    def _export(
        self, opened: OpenSession, work: dict[ProgramFile, Work]
    ) -> dict[ProgramFile, Work]:
        """What can be measured; an export that failed is recorded with the session."""
        ready: dict[ProgramFile, Work] = {}
        cached = 0
        programs = [item.program for item in work.values()]
        with (
            screen.Steps("exporting", "programs", len(work), self.watch) as steps,
            closing(self.cache.export(programs, self.exporter, self.watch)) as exports,
        ):
            for exported in exports:
                file = self.cache.file(exported.program)
                if exported.error is None:
                    ready[file] = work[file]
                    cached += exported.was_cached
                else:
                    failure = failure_of("export_failed", exported.error)
                    self.journal.add_failure(opened.session.id, file.name, failure)
                steps.advance()
        screen.console.print(f"{len(ready)} programs, {cached} of them from the cache")
        return {file: item for file, item in work.items() if file in ready}


@contextmanager
def open_workplace(
    options: Options,
    *,
    watch: Watch | None = None,
    server_patience_s: float | None = upload.PATIENCE_S,
) -> Iterator[Workplace]:
    """The workplace on this computer; nobody else has the device meanwhile.

    Raises:
        DeviceFailed: another agent measures there now.
        PhonebookError: no such device, or it cannot do what was asked.
    """
    with (
        table_client(options.server or default_server()) as client,
        Journal(journal_path()) as journal,
        alone_here(options.device),
        open_device(
            options.device,
            dtype=options.dtype,
            threads=options.threads,
            memory_format=options.memory_format,
            protocol=options.protocol,
            runner=options.runner,
            cpus=cpu_numbers(options.cpus),
            serial=options.serial,
        ) as device,
    ):
        yield Workplace(
            device=device,
            name=options.name or default_name(options.device, device),
            client=client,
            journal=journal,
            cache=ProgramCache(cache_dir()),
            exporter=export_to_pte,
            effort=options.effort,
            patience_s=options.patience * 60,
            server_patience_s=server_patience_s,
            watch=watch or Watch(),
        )


def default_name(kind: str, device: Device) -> str:
    """An emulated phone is no device of that kind, and never fills its table."""
    return f"{kind}-emulated" if device.origin == "emulated" else kind
