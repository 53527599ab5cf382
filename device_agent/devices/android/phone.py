"""An Android phone as a device, over adb. Its runner is a process there."""

import time
from collections.abc import Callable, Iterator, Sequence
from importlib.metadata import version
from typing import Self, TypeVar

from contract import commands
from contract.devices import Conditions, DeviceDescription, Serial
from contract.errors import DeviceFailed
from contract.runtime import Runner, RuntimeRequest
from contract.sessions import Origin
from device_agent import screen
from device_agent.device import (
    Finding,
    Plan,
    ProgramFailed,
    ProgramFile,
    ProgramTiming,
    must_have_cpus,
)
from device_agent.devices.android import bundle as bundles
from device_agent.devices.android.adb.addresses import place_in_network
from device_agent.devices.android.adb.attached import connect, device_name
from device_agent.devices.android.adb.errors import (
    AnotherPhone,
    PhoneLost,
    PhoneNotFound,
    StorageFull,
)
from device_agent.devices.android.adb.transport import Connection
from device_agent.devices.android.bundle import Bundle
from device_agent.devices.android.care import Care, Limits
from device_agent.devices.android.claim import Claim
from device_agent.devices.android.facts import read_facts
from device_agent.devices.android.runner import PhoneRunner, cpu_s, end_leftovers
from device_agent.devices.android.state import read_state
from device_agent.devices.android.storage import OUTPUT, Storage
from device_agent.patience import USUAL, PatienceOptions
from device_agent.places import cache_dir
from device_agent.runner.conversation import SILENCE_LIMIT_S, Elsewhere
from device_agent.runner.protocol import Job, Timed

RETURN_LIMIT_S = 180.0  # for a phone that went away to be back, which a restart takes
RETURN_LOOK_S = 0.5
LEAST_SPAN_S = 0.5  # between two looks at who uses its CPUs
_FULL = "No space left on device"

T = TypeVar("T")


class AndroidPhone:
    """A phone on the cable, or in the network, through the native runner.

    It is pinned to its fastest cores unless `cpus` says otherwise. A phone that goes away in the
    middle is waited for; the visit it lost is made again.
    """

    def __init__(
        self,
        name: str,
        serial: Serial,
        request: RuntimeRequest,
        patience: PatienceOptions = USUAL,
        *,
        bundle: Bundle | None = None,
        limits: Limits | None = None,
        return_limit_s: float = RETURN_LIMIT_S,
        silence_limit_s: float = SILENCE_LIMIT_S,
    ) -> None:
        self._connection: Connection = connect(serial, say=_say)
        self.address = self._connection.address
        try:
            self._facts = read_facts(self._connection)
            self.serial: Serial = self._facts.serial or self.address
            self._must_be(name, serial)
            chosen = tuple(sorted(set(request.cpus))) or self._facts.big_cores(request.threads)
            self._facts.must_allow(chosen)
            must_have_cpus(
                request.threads,
                len(chosen or self._facts.allowed),
                "--cpus names" if request.cpus else f"{self._facts.model} has",
            )
            self._bundle = bundle or _bundle(request.runner)
        except BaseException:
            self._connection.close()
            raise
        self.origin: Origin = "emulated" if self._facts.emulated_by else "measured"
        self.runtime = request.granted(
            executorch=version("executorch"), runner=self._bundle.runner, cpus=chosen
        )
        self._care = Care(self._facts, self.runtime.cpus, limits or Limits.of(patience))
        self._return_limit_s = return_limit_s
        self._silence_limit_s = silence_limit_s
        self._claim: Claim | None = None
        self._runner: PhoneRunner | None = None
        self._busy: tuple[float, float, float] | None = None  # uptime, all CPUs', the runner's

    def __enter__(self) -> Self:
        if self._facts.emulated_by:
            _say(
                f"{self.serial} is an emulator ({self._facts.emulated_by}): its rows are marked "
                "emulated and say nothing of a phone's speed"
            )
        try:
            self._settle()
        except BaseException as failed:
            self.__exit__(type(failed))
            raise
        return self

    def __exit__(self, kind: type[BaseException] | None, *raised: object) -> None:
        try:
            if kind is not None and not issubclass(kind, Exception):
                # Ctrl-C may have come in the middle of a packet.
                self._connection.close()
                self._connection = connect(self.address, say=_say)
            self._leave()
        except DeviceFailed as failed:
            _say(f"{self.serial} could not be left as it was found: {failed}")
        finally:
            self._connection.close()

    def examine(self) -> Iterator[Finding]:
        """Cores, threads and loader; starting the runner is the proof of the last."""
        clusters = ", ".join(
            f"{len(cluster)} up to {self._facts.fastest_khz[cluster[0]] / 1000:.0f} MHz"
            for cluster in self._facts.clusters()
        )
        yield Finding("/proc/cpuinfo", "ok", f"readable, {self._facts.cores} cores")
        yield Finding(
            "clusters",
            "ok" if clusters else "look",
            clusters or "the phone does not tell its clocks",
            "" if clusters else "say which cores are the fast ones with --cpus",
        )
        try:
            pool = self._ensure_runner().ready.threads
        except DeviceFailed as failed:
            yield Finding(
                "loader",
                "bad",
                str(failed),
                "the phone does not start the runner; one built with the Android NDK may: "
                f"`{commands.adopt_runner()}`, then --runner ndk",
            )
            return
        yield Finding("loader", "ok", f"the runner starts, on {self.runtime.affinity}")
        yield Finding(
            "threads",
            "ok" if pool == self.runtime.threads else "bad",
            f"{pool} in the pool, {self.runtime.threads} asked for",
            "" if pool == self.runtime.threads else "the runner cannot read the phone's CPUs",
        )

    def describe(self) -> DeviceDescription:
        return self._facts.describe()

    def conditions(self) -> Conditions:
        return self._survive_losses(
            lambda: read_state(self._connection).conditions(self.runtime.cpus)
        )

    def others_cpus(self) -> float | None:
        return self._survive_losses(self._others_cpus)

    def store(self, files: Sequence[ProgramFile]) -> None:
        """Have these programs on the phone before they are timed."""
        self._survive_losses(lambda: self._storage.store(files))

    def time_program(self, file: ProgramFile, plan: Plan) -> ProgramTiming:
        return self._survive_losses(lambda: self._visit(file, plan))

    def _must_be(self, name: str, serial: Serial) -> None:
        """Raises AnotherPhone where the phone is another than was named."""
        found = device_name(self._facts.model)
        if found != name:
            raise AnotherPhone(
                f"{self.serial} is a {self._facts.model}, not a {name}: --device {found}"
            )
        if serial not in (self.serial, self.address):
            raise AnotherPhone(
                f"at {self.address} is the phone {self.serial} now, and no more {serial}: say "
                "where that one is with --serial HOST:PORT"
            )

    def _settle(self) -> None:
        """Claim a phone that was just connected, make it ready, and end what is nobody's."""
        self._runner = None
        self._busy = None
        self._claim = Claim(self._connection)
        left = end_leftovers(self._connection, spare=self._claim.holder)
        if left:
            _say(f"{self.serial}: ended {left} processes that an earlier agent left running")
        self._storage = Storage(self._connection)
        self._folder = self._storage.bundle(self._bundle)
        self._care.begin(self._connection)

    def _leave(self) -> None:
        """Leave nothing running, and the phone as it was found, where it is still ours."""
        if self._claim is None or not self._claim.is_ours(self._connection):
            return
        end_leftovers(self._connection, spare=self._claim.holder)
        self._care.end(self._connection)
        self._claim.give_back(self._connection)

    def _ensure_runner(self) -> PhoneRunner:
        if self._runner is None or self._runner.is_closed:
            cpus = ",".join(map(str, self.runtime.cpus))
            self._runner = PhoneRunner(
                self._connection,
                self._folder,
                [
                    *(*self._bundle.start, "--threads", str(self.runtime.threads)),
                    *(("--cpus", cpus) if cpus else ()),
                ],
                silence_limit_s=self._silence_limit_s,
            )
        return self._runner

    def _visit(self, file: ProgramFile, plan: Plan) -> ProgramTiming:
        job = Job.visit(
            plan,
            program=self._storage.program(file),
            output=OUTPUT,
            memory_format=self.runtime.memory_format,
        )
        try:
            timed = self._time(job)
        except Elsewhere:
            _say(f"{self.serial}: the runner was moved to other CPUs; its visit is made again")
            timed = self._time(job)
        return timed.timing(self._connection.pull(OUTPUT))

    def _time(self, job: Job) -> Timed:
        self._care.before_visit()
        try:
            return self._ensure_runner().time_program(job, cpus=self.runtime.cpus)
        except ProgramFailed as failed:
            self._blame(failed)
            raise
        except Elsewhere:
            self._care.must_be_awake(read_state(self._connection))
            raise

    def _blame(self, failed: ProgramFailed) -> None:
        """Raises DeviceFailed where the failure is the phone's and not the program's."""
        if _FULL in failed.message:
            raise StorageFull(
                f"the phone's storage is full: {failed.message}. Free some of it; what was "
                "measured is kept, and the same command goes on"
            ) from failed
        if failed.code == "timed_out":
            self._care.must_be_awake(read_state(self._connection))

    def _others_cpus(self) -> float | None:
        before, now = self._busy, self._use()
        if before is not None and now is not None and now[0] - before[0] < LEAST_SPAN_S:
            time.sleep(LEAST_SPAN_S)
            now = self._use()
        self._busy = now
        if before is None or now is None or now[0] <= before[0]:
            return None
        others_s = now[1] - before[1] - (now[2] - before[2])
        return max(0.0, others_s / (now[0] - before[0]))

    def _use(self) -> tuple[float, float, float] | None:
        """How long the phone is up, and how much CPU time all and our runner used."""
        own_s: float | None = 0.0
        if self._runner is not None and not self._runner.is_closed:
            own_s = cpu_s(self._connection, self._runner.pid)
        state = read_state(self._connection)
        if state.uptime_s is None or state.busy_s is None or own_s is None:
            return None
        return state.uptime_s, state.busy_s, own_s

    def _survive_losses(self, act: Callable[[], T]) -> T:
        """Do it, and once more where the phone went away meanwhile and came back."""

        def act_as_claimed() -> T:
            if self._claim is not None:
                self._claim.renew(self._connection)
            return act()

        try:
            return act_as_claimed()
        except PhoneLost as lost:
            self._wait_for_return(lost)
        return act_as_claimed()

    def _wait_for_return(self, lost: PhoneLost) -> None:
        _say(
            f"{self.serial} went away ({lost}); waiting {self._return_limit_s:.0f} s for it to "
            f"be back. {self._where('Is the cable in?', 'Is it in the network?')}"
        )
        self._connection.close()
        until = time.monotonic() + self._return_limit_s
        while True:
            try:
                self._connection = connect(self.address, say=_say)
                facts = read_facts(self._connection)
                is_up = facts.properties.get("sys.boot_completed", "1") == "1"
                if is_up and (facts.serial or self.address) == self.serial:
                    break
                self._connection.close()
            except (PhoneLost, PhoneNotFound):
                self._connection.close()
            if time.monotonic() >= until:
                raise PhoneLost(
                    f"{self.serial} is gone for {self._return_limit_s:.0f} s ({lost}). What was "
                    f"measured is kept: {self._where('plug it in', 'bring it back there')}, then "
                    "run the same command to go on"
                ) from lost
            time.sleep(RETURN_LOOK_S)
        _say(
            f"{self.serial} is back{', restarted' if facts.boot != self._facts.boot else ''}; "
            "going on"
        )
        self._facts = facts
        self._settle()

    def _where(self, on_cable: str, in_network: str) -> str:
        return in_network if place_in_network(self.address) else on_cable


def _bundle(runner: Runner | None) -> Bundle:
    return bundles.read_adopted(cache_dir()) if runner == "ndk" else bundles.build(cache_dir())


def _say(message: str) -> None:
    screen.console.print(message, markup=False, highlight=False)
