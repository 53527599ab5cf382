"""An iPhone as a device, through usbmux. Its runner is an app there, which somebody opened."""

import time
from collections.abc import Callable, Iterator, Sequence
from importlib.metadata import version
from typing import Self, TypeVar
from uuid import uuid4

from contract.devices import Conditions, DeviceDescription, Serial
from contract.errors import DeviceFailed
from contract.runtime import RuntimeRequest
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
from device_agent.devices.ios.app import ANSWER_LIMIT_S, App
from device_agent.devices.ios.care import COOL, WARMEST, Care, Limits, must_not_save_power
from device_agent.devices.ios.errors import (
    AnotherPhone,
    AppNotRunning,
    AppUnfit,
    Asleep,
    Away,
)
from device_agent.devices.ios.jobs import GRACE_S, Jobs
from device_agent.devices.ios.launch import Launch, can_launch, launch, launch_command
from device_agent.devices.ios.messages import (
    PROTOCOL,
    AppInfo,
    AppJob,
    JobBrokenOff,
    JobDone,
    JobFailed,
)
from device_agent.devices.ios.models import device_name
from device_agent.devices.ios.mux import Usbmuxd
from device_agent.devices.ios.storage import Storage
from device_agent.patience import USUAL, PatienceOptions

RETURN_LIMIT_S = 180.0  # for a phone or app that went away to be back
START_LIMIT_S = 20.0  # for an app that was just started to answer
LOOK_S = 0.5
MOST_BREAKS = 5  # of one visit: interrupted, stopped, or too hot

T = TypeVar("T")


class IPhone:
    """A phone on the cable, on which the Phonebook app is open.

    iOS lets nobody choose cores and tells no clocks; it schedules the app's runs on the fastest
    cores as long as it likes. A phone or an app that goes away in the middle is waited for.
    """

    def __init__(
        self,
        name: str,
        serial: Serial,
        request: RuntimeRequest,
        patience: PatienceOptions = USUAL,
        *,
        limits: Limits | None = None,
        return_limit_s: float = RETURN_LIMIT_S,
        start_limit_s: float = START_LIMIT_S,
        answer_limit_s: float = ANSWER_LIMIT_S,
        grace_s: float = GRACE_S,
    ) -> None:
        self.serial = serial
        self._request = request
        self._return_limit_s = return_limit_s
        self._start_limit_s = start_limit_s
        self._app = App(self.serial, answer_limit_s=answer_limit_s)
        try:
            self._info = self._reach()
            self._must_fit(self._info, name)
        except BaseException:
            self._app.close()
            raise
        self.origin: Origin = "emulated" if self._info.emulated else "measured"
        self.runtime = request.granted(executorch=self._info.executorch, runner=self._info.runner)
        self._files: dict[str, ProgramFile] = {}  # by hash
        self._storage = Storage(self._app)
        self._care = Care(self._app.info, limits or Limits(patience_s=patience.cooling * 60))
        self._jobs = Jobs(
            self._app,
            wait_for_return=self._wait_for_return,
            upload=self._upload_again,
            grace_s=grace_s,
        )

    def __enter__(self) -> Self:
        if self._info.emulated:
            _say(
                f"{self.serial} is the app without a phone: its rows are marked emulated and say "
                "nothing of a phone's speed"
            )
        try:
            self._survive_absence(self._app.must_be_free)
        except BaseException:
            self._app.close()
            raise
        return self

    def __exit__(self, *raised: object) -> None:
        try:
            self._app.close()  # Ctrl-C may have come in the middle of an answer
            self._jobs.stop()
        except DeviceFailed as failed:
            _say(f"{self.serial}: a job may go on there for a moment: {failed}")
        finally:
            self._app.close()

    def examine(self) -> Iterator[Finding]:
        """Trust, app, versions, tracer, and what iOS tells of heat and power."""
        usbmuxd = Usbmuxd()
        yield Finding("usbmuxd", "ok", f"answers at {usbmuxd.address}")
        if usbmuxd.trusts(self.serial):
            yield Finding("trust", "ok", "the phone and this computer are paired")
        else:
            yield Finding(
                "trust", "look", "no pairing is known here", "unlock the phone and tap Trust"
            )
        info = self._survive_absence(self._app.info)
        yield Finding(
            "app",
            "ok",
            f"version {info.version}, protocol {PROTOCOL}, ExecuTorch {info.executorch} as here",
        )
        if info.tracer:
            yield Finding("tracer", "ok", "operators inside whole networks can be timed")
        else:
            yield Finding(
                "tracer",
                "look",
                "the app was built without it",
                "measure with --protocol isolated, or build the app's ExecuTorch with its event "
                "tracer: see device_agent/ios_app/README.md",
            )
        thermal = info.conditions.thermal
        is_cool = thermal in COOL
        yield Finding(
            "heat",
            "ok" if is_cool else "bad",
            f"iOS calls it {thermal}",
            "" if is_cool else "let it lie free and cool, off the charger",
        )
        yield Finding(
            "power",
            "bad" if info.conditions.low_power else "ok",
            "low-power mode is on" if info.conditions.low_power else "no low-power mode",
            "switch it off in Settings > Battery" if info.conditions.low_power else "",
        )

    def describe(self) -> DeviceDescription:
        info = self._info
        return DeviceDescription(
            model=f"{info.model} (emulated)" if info.emulated else info.model,
            soc=info.soc or "unknown",
            cores=info.cores,
            memory_bytes=info.memory_bytes,
            os=f"{info.os} ({info.build})" if info.build else info.os,
        )

    def conditions(self) -> Conditions:
        state = self._survive_absence(self._app.info).conditions
        return Conditions(
            load_1min=None,
            clock_mhz=None,
            temperature_c=None,
            battery=state.battery,
            is_charging=state.charging,
            thermal=state.thermal,
            low_power=state.low_power,
        )

    def others_cpus(self) -> float | None:
        """iOS tells nobody what others do."""
        return None

    def store(self, files: Sequence[ProgramFile]) -> None:
        """Have these programs on the phone before they are timed."""
        self._survive_absence(lambda: self._storage.store(files))

    def time_program(self, file: ProgramFile, plan: Plan) -> ProgramTiming:
        why = ""
        for _ in range(MOST_BREAKS):
            self._survive_absence(self._care.before_visit)
            digest = self._survive_absence(lambda: self._storage.program(file))
            self._files[digest] = file
            result = self._jobs.finish(
                AppJob.visit(
                    plan,
                    job=uuid4(),
                    sha256=digest,
                    threads=self.runtime.threads,
                    memory_format=self.runtime.memory_format,
                    max_thermal=WARMEST,
                )
            )
            match result:
                case JobDone():
                    if result.after is not None and result.after.thermal not in COOL:
                        self._care.look_next()
                    return result.answer.timing(result.output)
                case JobFailed():
                    raise ProgramFailed(result.error.code, result.error.message)
                case JobBrokenOff():
                    low_power = result.status == "low_power"
                    must_not_save_power(self._info.model, low_power=low_power)
                    why = result.error.message
            self._care.look_next()
        raise Asleep(
            f"{self._info.model}: {MOST_BREAKS} times in a row it broke a visit off "
            f"({why}). What was measured is kept: leave the app open on the "
            "phone, then run the same command"
        )

    def _upload_again(self, digest: str) -> None:
        self._storage.forget()
        self._storage.program(self._files[digest])

    def _must_fit(self, info: AppInfo, name: str | None = None) -> None:
        """Raises AnotherPhone where it is another than named, AppUnfit where it is another
        app than this agent needs."""
        found = device_name(info.model)
        if name not in (None, found):
            raise AnotherPhone(
                f"{self.serial} is an {info.model}, not an {name}: --device {found}"
            )
        if info.executorch != version("executorch"):
            raise AppUnfit(
                f"{self.serial}: the app runs ExecuTorch {info.executorch}, and this agent "
                f"exports for {version('executorch')}; build the app with that version, and "
                "install it"
            )
        must_have_cpus(self._request.threads, info.cores, f"an {info.model} has")
        if self._request.is_traced and not info.tracer:
            raise AppUnfit(
                f"{self.serial}: the app was built without ExecuTorch's event tracer, so it "
                "cannot time operators inside networks: build it with one "
                "(device_agent/ios_app/README.md), or measure with --protocol isolated"
            )

    def _reach(self) -> AppInfo:
        """What the app is; it is started where it does not run and that can be done."""
        try:
            return self._app.info()
        except AppNotRunning as closed:
            if not can_launch():
                command = " ".join(launch_command(self.serial))
                raise AppNotRunning(
                    f"{closed}. (With pymobiledevice3 installed the agent starts it: {command})"
                ) from closed
            launched = self._launch()
            if launched.has_failed:
                raise AppNotRunning(f"{closed}. ({launched.said})") from closed
        until = time.monotonic() + self._start_limit_s
        while True:
            try:
                return self._app.info()
            except Away as away:
                if time.monotonic() >= until:
                    raise type(away)(f"{away}. ({launched.said})") from away
                time.sleep(LOOK_S)

    def _launch(self) -> Launch:
        """Start the app, and tell what the command said that does it."""
        command = " ".join(launch_command(self.serial))
        _say(f"{self.serial}: starting the app: {command}")
        launched = launch(self.serial)
        verb = "failed" if launched.has_failed else "said"
        return Launch(launched.has_failed, f"{command} {verb}: {launched.said or 'nothing'}")

    def _survive_absence(self, act: Callable[[], T]) -> T:
        """Do it, and again where the phone or the app went away meanwhile and came back."""
        try:
            return act()
        except Away as away:
            self._wait_for_return(away)
        return act()

    def _wait_for_return(self, away: Away) -> None:
        _say(
            f"{self.serial} went away ({away}); waiting {self._return_limit_s:.0f} s for it to be "
            "back"
        )
        until = time.monotonic() + self._return_limit_s
        was_launched = not can_launch()
        while True:
            try:
                info = self._app.info()
                if info.state != "asleep":
                    break
            except Away as still:
                away = still
                if isinstance(still, AppNotRunning) and not was_launched:
                    _say(f"{self.serial}: {self._launch().said}")
                    was_launched = True
            if time.monotonic() >= until:
                raise type(away)(
                    f"{away}. Gone for {self._return_limit_s:.0f} s by now; what was measured is "
                    "kept, and the same command goes on"
                ) from away
            time.sleep(LOOK_S)
        self._must_fit(info)
        _say(f"{self.serial} is back; going on")
        self._info = info
        self._storage.forget()


def _say(message: str) -> None:
    screen.console.print(message, markup=False, highlight=False)
