"""An agent that serves: it offers its free units to the server, and does the jobs it is given."""

import time
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import partial
from platform import node
from uuid import UUID

from contract.client import TableClient
from contract.errors import (
    ClocksDiffer,
    DeviceFailed,
    PhonebookError,
    RequestRefused,
    is_passing,
)
from contract.health import check_clocks
from contract.jobs import (
    RENEW_EVERY,
    AgentDescription,
    Job,
    JobReport,
    Lease,
    LeaseRequest,
    Outcome,
    UnitDescription,
)
from contract.stopping import Stop
from contract.version import installed_version
from device_agent import screen
from device_agent.device import must_offer
from device_agent.device_lock import DeviceInUse, lock_device
from device_agent.devices.registry import find_serials, kind_of
from device_agent.measuring import upload
from device_agent.measuring.journal import Journal
from device_agent.measuring.sent import Sent, results, what_to_do
from device_agent.measuring.station import Station
from device_agent.measuring.whole_network import TimedNetwork
from device_agent.serving.lease_keeper import RETRY_S, STEP_S, LeaseKeeper, LeaseLost
from device_agent.serving.perform import perform, title
from device_agent.supervisor import Halted, Supervisor

POLL_S = 5.0
REST_S = 60.0  # for a unit that an agent of another computer was found to have
SEND_AGAIN_S = 300.0  # what was sent and has to wait
CLOCKS = "the clocks differ"


@dataclass(frozen=True, kw_only=True, slots=True)
class Unit:
    """One phone: what kind it is here, which device it is on the server, and its serial number."""

    kind: str
    device: str
    serial: str

    def __str__(self) -> str:
        return f"{self.device} ({self.serial})"


Units = Callable[[], tuple[Unit, ...]]
OpenStation = Callable[[Job, Unit, Supervisor], AbstractContextManager[Station]]


def units_of(kinds: dict[str, str]) -> tuple[Unit, ...]:
    """Every unit attached now. `kinds` has each kind's name on the server.

    Raises:
        PhonebookError: no such kind of device.
    """
    return tuple(
        Unit(kind=kind, device=device, serial=serial)
        for kind, device in kinds.items()
        for serial in find_serials(kind)
    )


class Agent:
    """One agent: `units` tells what is attached, `open_station` makes a unit ready for a job."""

    def __init__(
        self,
        identity: UUID,
        *,
        units: Units,
        open_station: OpenStation,
        client: TableClient,
        journal: Journal,
        stop: Stop,
        poll_s: float = POLL_S,
        renew_s: float = RENEW_EVERY.total_seconds(),
    ) -> None:
        self._id = identity
        self._units = units
        self._open_station = open_station
        self._client = client
        self._journal = journal
        self._stop = stop
        self._poll_s = poll_s
        self._renew_s = renew_s
        self._said: str | None = None  # what it is waiting for
        self._last_sent: Sent | None = None
        self._send_again_at = 0.0
        self._rested_until: dict[Unit, float] = {}

    def serve(self) -> None:
        """Do jobs until asked to stop; a server that is away is waited for.

        Raises:
            PhonebookError: the server refuses this agent.
        """
        while not self._stop.asked:
            try:
                worked = self.serve_once()
            except ClocksDiffer as differ:
                self._say_of_clocks(differ)
                worked = False
            except PhonebookError as error:
                if not is_passing(error):
                    raise
                self._say_once(f"{error}; trying again until it answers")
                worked = False
            if not worked:
                self._pause()

    def serve_once(self) -> bool:
        """Ask for a job for each free unit and do it. Returns whether there was any.

        Raises:
            ClocksDiffer: the server's and this one; no job is asked for until they agree.
            PhonebookError: the server refuses this agent, or is away.
        """
        self._heartbeat()
        check_clocks(self._client.health(), server=self._client.server, here=datetime.now(UTC))
        self._send_waiting()
        worked = False
        waits_for = f"waiting for jobs of {self._client.server}"
        for unit in self._units():
            if self._stop.asked:
                break
            if not self._is_free(unit):
                waits_for = f"{unit}: another agent is measuring there; waiting for it"
                continue
            request = LeaseRequest(agent=self._id, device=unit.device, unit=unit.serial)
            lease = self._client.lease(request)
            if lease is not None:
                self._said = None
                self._do(unit, lease)
                worked = True
        if not worked:
            self._say_once(waits_for)
        return worked

    def leave(self) -> None:
        """Tell the server, if it answers, that this agent has no units any more."""
        try:
            self._client.announce(self._id, _description(()))
        except PhonebookError as error:
            screen.say(f"the server was not told that this agent leaves: {error}")

    def _do(self, unit: Unit, lease: Lease) -> None:
        job = lease.job
        screen.say(
            f"job {job.id}, attempt {lease.attempt}: {title(job.work)}, on {unit} under "
            f"{job.runtime.key}"
        )
        keeper = LeaseKeeper(
            lease,
            agent=self._id,
            client=self._client,
            heartbeat=self._heartbeat,
            stop=self._stop,
            renew_s=self._renew_s,
        )
        with keeper:
            try:
                outcome = self._attempt(unit, lease, keeper)
                self._finish(job, outcome, keeper)
            except LeaseLost as lost:
                screen.say(f"job {job.id}: {lost}; what was measured stays in the journal")

    def _attempt(self, unit: Unit, lease: Lease, keeper: LeaseKeeper) -> Outcome:
        """Raises LeaseLost where another may have the job by now."""
        outcome = partial(Outcome, agent=self._id, attempt=lease.attempt)
        try:
            timed = self._work(unit, lease.job, keeper)
        except LeaseLost:
            raise
        except Halted as stopped:
            return outcome(done=False, reason=_reason(stopped), counts=False)
        except DeviceInUse as busy:
            self._rested_until[unit] = time.monotonic() + REST_S
            return outcome(done=False, reason=_reason(busy), counts=False)
        except DeviceFailed as passing:
            return outcome(done=False, reason=_reason(passing))
        except PhonebookError as error:
            return outcome(done=False, reason=_reason(error), again=False)
        if timed is None:
            return outcome(done=True)
        return outcome(
            done=True,
            estimate=timed.estimate,
            footprint=timed.footprint,
            at_level=timed.at_level,
        )

    def _work(self, unit: Unit, job: Job, keeper: LeaseKeeper) -> TimedNetwork | None:
        """Do it; anew where the server was away before anything had begun."""
        while True:
            try:
                with self._open_station(job, unit, keeper) as station:
                    must_offer(station.device, job.runtime)
                    return perform(job.work, station)
            except PhonebookError as error:
                if not is_passing(error):
                    raise
                screen.say(f"job {job.id}: {error}; trying again")
            keeper.wait(RETRY_S)
            keeper.check()

    def _finish(self, job: Job, outcome: Outcome, keeper: LeaseKeeper) -> None:
        """Tell how the attempt ended, as often as it takes, or once where the agent is to stop."""
        while True:
            try:
                report = self._told(job, outcome)
            except PhonebookError as error:
                if not is_passing(error) or self._stop.asked:
                    screen.say(f"job {job.id}: the server was not told how it ended: {error}")
                    return
                keeper.wait(RETRY_S)
            else:
                because = f", since {outcome.reason}" if outcome.reason else ""
                screen.say(f"job {job.id} is {report.state}{because}")
                return

    def _told(self, job: Job, outcome: Outcome) -> JobReport:
        """What the server says; an older one, which knows the latency alone, is told that."""
        try:
            return self._client.finish(job.id, outcome)
        except RequestRefused as refusal:
            if refusal.status != 422 or outcome.footprint is None:
                raise
            return self._client.finish(job.id, outcome.evolve(footprint=None, at_level=None))

    def _heartbeat(self) -> None:
        self._client.announce(self._id, _description(self._units()))

    def _send_waiting(self) -> None:
        """What an attempt that was cut off left in the outbox; now and then what has to wait."""
        server = self._client.server
        waiting = self._journal.waiting(server)
        known = len(self._last_sent.waiting) if self._last_sent else 0
        if not waiting or (waiting == known and time.monotonic() < self._send_again_at):
            return
        sent = upload.send(self._journal, self._client)
        if sent.accepted:
            screen.say(f"{results(sent.accepted)} of the outbox stored by {server}")
        if sent.lines and (self._last_sent is None or sent.lines != self._last_sent.lines):
            screen.say(f"{'; '.join(sent.lines)}. {what_to_do(server)}")
        self._last_sent = sent
        self._send_again_at = time.monotonic() + SEND_AGAIN_S

    def _is_free(self, unit: Unit) -> bool:
        """Whether no other agent has it, as far as this computer knows."""
        if time.monotonic() < self._rested_until.get(unit, 0.0):
            return False
        try:
            with lock_device(kind_of(unit.kind).lock_name(unit.serial)):
                return True
        except DeviceInUse:
            return False

    def _pause(self) -> None:
        until = time.monotonic() + self._poll_s
        while time.monotonic() < until and not self._stop.asked:
            time.sleep(STEP_S)

    def _say_of_clocks(self, differ: ClocksDiffer) -> None:
        """Once, though the times that it tells go on."""
        if self._said != CLOCKS:
            screen.say(f"{differ}; no job is asked for until they agree")
        self._said = CLOCKS

    def _say_once(self, line: str) -> None:
        if line != self._said:
            screen.say(line)
        self._said = line


def _description(units: Sequence[Unit]) -> AgentDescription:
    return AgentDescription(
        host=node() or "unknown",
        version=installed_version(),
        units=tuple(UnitDescription(device=each.device, serial=each.serial) for each in units),
    )


def _reason(reason: Exception) -> str:
    """As the server keeps it: the end of a long message, without NUL."""
    return str(reason).replace("\0", "")[-4000:]
