"""A station: a device that is ready to be measured, its server, and what is kept on this computer.

Profiling and auditing are both a session here; they differ in what they visit and send.
"""

from collections.abc import Collection, Iterator, Sequence
from contextlib import closing, contextmanager, nullcontext
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Annotated
from uuid import UUID, uuid4

from cyclopts import Parameter

from contract.client import TableClient, default_server, table_client
from contract.derivation import Calm
from contract.devices import check_name
from contract.errors import ClocksDiffer, NotStored, PhonebookError
from contract.health import check_clocks
from contract.operators import Operator
from contract.runtime import RuntimeRequest
from contract.sessions import Effort, Session
from contract.spaces import SearchSpace, ships
from contract.version import installed_version
from device_agent import screen
from device_agent.device import Addressed, Device, Stores
from device_agent.devices.registry import open_device
from device_agent.measuring import upload
from device_agent.measuring.journal import Journal, OpenSession
from device_agent.measuring.protocols.protocol import PlannedProgram
from device_agent.measuring.sent import results, what_to_do
from device_agent.measuring.session import Sitting
from device_agent.measuring.usual import usual_calm
from device_agent.measuring.wait_for_idle import IdleWait
from device_agent.patience import USUAL, PatienceOptions
from device_agent.places import cache_dir, journal_path
from device_agent.programs.cache import Exporter, ProgramCache, export_to_pte
from device_agent.supervisor import Supervisor

SpaceText = Annotated[
    str, Parameter(help="A space that ships or the server knows, or a file of one: ./mine.yaml.")
]


SerialText = Annotated[
    str | None,
    Parameter(help="Which phone of several: serial number, UDID, or HOST:PORT [$ANDROID_SERIAL]."),
]


@Parameter(name="*")
@dataclass(frozen=True, kw_only=True, slots=True)
class Options:
    """What `run` and `audit` have in common: the device, its runtime, and the server."""

    device: Annotated[
        str, Parameter(help="Which device: host is this computer, galaxys8 or iphonex that phone.")
    ]
    serial: SerialText = None
    runtime: Annotated[RuntimeRequest, Parameter(name="*")] = RuntimeRequest()
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
    waiting: Annotated[PatienceOptions, Parameter(name="*")] = USUAL


@dataclass(frozen=True, kw_only=True, slots=True)
class Station:
    """An agent's device, server and files; `open_station` makes one from the options."""

    device: Device
    name: str
    client: TableClient
    journal: Journal
    cache: ProgramCache
    exporter: Exporter
    effort: Effort = "standard"
    waiting: PatienceOptions = USUAL
    server_patience_s: float | None = upload.PATIENCE_S  # None: as long as it takes
    supervisor: Supervisor = field(default_factory=Supervisor)

    def introduce(self, space: SearchSpace) -> None:
        """Let the server know the device and the space, and send what waits for it.

        Raises:
            ServerUnreachable: it does not answer.
            RequestRefused: it takes nothing from this agent, or knows another space by that name.
            ClocksDiffer: the server's clock and this one.
        """
        self.client.register(self.name, self.device.describe())
        check_clocks(self.client.health(), server=self.client.server, here=datetime.now(UTC))
        if not ships(space):
            self.client.learn_space(space)
        self.send()

    def unfinished(self, space: SearchSpace, purpose: str) -> OpenSession | None:
        """The session of that purpose which was begun on this very unit and not finished.

        One of a version that kept visits corrected is given up, as the two kinds do not mix.

        Raises:
            PhonebookError: it measures another space by that name.
        """
        while True:
            opened = self._open_session(space, purpose)
            if opened is None:
                return None
            if not self.journal.began_corrected(opened.session.id):
                break
            self.journal.give_up(opened.session.id)
            screen.console.print(
                f"{self.name}: the unfinished session of {opened.session.started_at:%c} is given "
                "up: a version of this agent began it that kept its visits corrected, where this "
                "one keeps them as they were measured; what it was to measure is measured anew"
            )
        if not ships(space):
            self._must_measure(opened, space)
        return opened

    def _open_session(self, space: SearchSpace, purpose: str) -> OpenSession | None:
        """The newer name of the unit is looked for first."""
        names = [self.device.serial]
        if isinstance(self.device, Addressed):
            names.append(self.device.address)
        found = (
            self.journal.open_session(
                self.client.server,
                self.name,
                self.device.runtime,
                space.name,
                purpose=purpose,
                unit=unit,
            )
            for unit in names
        )
        return next((opened for opened in found if opened is not None), None)

    def _must_measure(self, opened: OpenSession, space: SearchSpace) -> None:
        begun = self.journal.space_of(opened.session.id)
        if begun is None or begun.content_hash != space.content_hash:
            raise PhonebookError(
                f"an unfinished session of {self.name} measures another space by the name "
                f"{space.name}; give the space a name of its own"
            )

    def say_resuming(self, opened: OpenSession, what: str) -> None:
        session = opened.session
        screen.console.print(
            f"{self.name}: resuming the {what} of {session.started_at:%c}, {session.effort} effort"
        )

    def begin(
        self, space: SearchSpace, operators: Sequence[Operator], purpose: str
    ) -> OpenSession:
        session = Session(
            id=uuid4(),
            device=self.name,
            runtime=self.device.runtime,
            space=space.name,
            origin=self.device.origin,
            effort=self.effort,
            started_at=datetime.now(UTC),
            agent_version=installed_version(),
            conditions=self.device.conditions().evolve(patience=self.waiting.stated()),
            unit=self.device.serial,
        )
        return self.journal.begin(
            self.client.server,
            session,
            operators,
            purpose=purpose,
            description=self.device.describe(),
            space=None if ships(space) else space,
        )

    def measure(
        self, opened: OpenSession, planned: Sequence[PlannedProgram], *, usual: Calm | None = None
    ) -> Sitting:
        """Export and measure what the session has not yet measured. The sitting is left open.

        Samples are brought to the `usual` calm device, by default that of earlier sessions.

        Raises:
            DeviceFailed: the device is gone, or too busy; visits so far are kept.
            Halted: the supervisor ended the work; visits so far are kept.
        """
        by_file = {self.cache.file(each.program): each for each in planned}
        sitting = Sitting(
            opened,
            by_file,
            device=self.device,
            journal=self.journal,
            usual=usual or self._usual_calm(opened.session),
        )
        self._export(sitting, planned)
        if isinstance(self.device, Stores):
            self.device.store(sitting.exported)
        idle = IdleWait(
            self.device, supervisor=self.supervisor, patience_s=self.waiting.patience * 60
        )
        with screen.Steps("measuring", "visits", sitting.least_visits, self.supervisor) as steps:

            def on_more(visits: int, programs: int) -> None:
                steps.more(visits, f"again, for rows graded C in {programs} programs")

            sitting.measure(before_round=idle.wait, on_visit=steps.advance, on_more=on_more)
        return sitting

    def _usual_calm(self, session: Session) -> Calm | None:
        """By the device's earlier sessions; not known where the server does not tell them."""
        try:
            return usual_calm(self.client.sessions(self.name), session)
        except PhonebookError:
            return None

    def send(self, must_store: Collection[UUID] = ()) -> None:
        """Send what waits in the outbox. What is not stored now is told and kept.

        Raises:
            NotStored: that is one of `must_store`.
            ClocksDiffer: the server's clock and this one, so that whatever is measured now would
                have to wait too.
            ServerUnreachable: everything stays in the outbox for the next run.
            Halted: so it does where the supervisor ended the waiting for the server.
            RequestRefused: the server takes nothing from this agent.
        """
        server = self.client.server
        if not (self.journal.waiting(server) or self.journal.sessions_with_visits(server)):
            return
        sent = upload.send(
            self.journal,
            self.client,
            patience_s=self.server_patience_s,
            supervisor=self.supervisor,
        )
        if sent.accepted:
            screen.console.print(f"{results(sent.accepted)} stored by {server}")
        if not (sent.kept or sent.visits):
            return
        told = f"{'; '.join(sent.lines)}. {what_to_do(server)}"
        if sent.clocks_differ:
            raise ClocksDiffer(told)
        if any(each.id in must_store for each in sent.kept):
            raise NotStored(told)
        screen.console.print(told, markup=False, highlight=False)

    def _export(self, sitting: Sitting, planned: Sequence[PlannedProgram]) -> None:
        """An export that failed is recorded with the session."""
        cached = 0
        programs = [each.program for each in planned]
        with (
            screen.Steps("exporting", "programs", len(planned), self.supervisor) as steps,
            closing(self.cache.export(programs, self.exporter, self.supervisor)) as exports,
        ):
            for exported in exports:
                cached += exported.was_cached
                if exported.error is not None:
                    file = self.cache.file(exported.program)
                    sitting.add_failure(file, "export_failed", exported.error)
                steps.advance()
        screen.console.print(f"{len(sitting.exported)} programs, {cached} of them from the cache")


@contextmanager
def open_station(
    options: Options,
    *,
    supervisor: Supervisor | None = None,
    server_patience_s: float | None = upload.PATIENCE_S,
    client: TableClient | None = None,
) -> Iterator[Station]:
    """The station of the device that the options name; nobody else has it meanwhile.

    Without a client it gets one of its own, of the server that the options name.

    Raises:
        DeviceFailed: another agent measures there now.
        PhonebookError: no such device, or it cannot do what was asked.
    """
    if options.name is not None:
        check_name(options.name, given_as="--name")
    with (
        (
            nullcontext(client)
            if client is not None
            else table_client(options.server or default_server())
        ) as connected,
        Journal(journal_path()) as journal,
        open_device(
            options.device,
            options.runtime,
            serial=options.serial,
            patience=options.waiting,
        ) as device,
    ):
        yield Station(
            device=device,
            name=options.name or default_name(options.device, device),
            client=connected,
            journal=journal,
            cache=ProgramCache(cache_dir()),
            exporter=export_to_pte,
            effort=options.effort,
            waiting=options.waiting,
            server_patience_s=server_patience_s,
            supervisor=supervisor or Supervisor(),
        )


def default_name(kind: str, device: Device) -> str:
    """An emulated phone is no device of that kind, and never fills its table."""
    return f"{kind}-emulated" if device.origin == "emulated" else kind
