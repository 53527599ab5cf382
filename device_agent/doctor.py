"""`python -m device_agent.doctor --device galaxys8`: the first five minutes with a new device.

Each check says what was found and what to do about it. What a kind of device can be asked besides
the common checks, the device itself knows: see `Examined`.
"""

from collections.abc import Iterator, Sequence
from statistics import median
from typing import Annotated

from cyclopts import Parameter
from rich.table import Table

from contract import commands
from contract.blocks import MBConv
from contract.cli import command_line, main
from contract.devices import THERMAL, Conditions
from contract.errors import DeviceFailed, PhonebookError
from contract.operators import Operator
from contract.runtime import Cpus, RuntimeRequest
from contract.slots import Slot
from device_agent import screen
from device_agent.device import Device, Examined, Finding, Plan, ProgramFailed, ProgramFile
from device_agent.device_lock import DeviceInUse
from device_agent.devices.registry import KINDS, kind_of, open_device
from device_agent.measuring.checks import check_timing
from device_agent.measuring.station import SerialText
from device_agent.places import cache_dir
from device_agent.programs.cache import Exporter, ProgramCache, export_to_pte
from device_agent.programs.program import Program
from device_agent.runner.build import NativeRunnerUnavailable
from device_agent.runner.conversation import Elsewhere

VISITS = 8
STEADY = 0.05  # of the median: how far visits may lie apart
SMALL = Operator(
    block=MBConv(kernel_size=3, expansion=1, groups=1),
    slot=Slot(in_channels=16, out_channels=16, input_size=56, stride=1),
)
_PLAN = Plan(warmup_runs=3, min_runs=50, max_runs=500, min_duration_s=0.3, deadline_s=60.0)
_MISHAPS: dict[type, tuple[str, str]] = {
    DeviceInUse: ("device", "in use"),
    NativeRunnerUnavailable: ("runner", "cannot be built"),
    Elsewhere: ("cores", "not those promised"),
    **{error: words for kind in KINDS for error, words in kind.mishaps.items()},
}
_STATES = {"ok": "[green]ok[/green]", "look": "[yellow]look[/yellow]", "bad": "[red]bad[/red]"}

app = command_line("python -m device_agent.doctor", "Check whether a device can be measured.")


@app.default
def run(
    *,
    device: Annotated[
        str | None, Parameter(help="Which device [default: lists the phones attached].")
    ] = None,
    serial: SerialText = None,
    threads: Annotated[int, Parameter(help="Of ExecuTorch's pool.")] = 1,
    cpus: Annotated[Cpus, Parameter(help="Bind the runner to these CPUs.")] = (),
) -> None:
    """Check cable, key, runner, cores, a small program and its timing, one after the other."""
    if device is None:
        _list_phones()
        return
    findings = []
    request = RuntimeRequest(threads=threads, cpus=cpus, protocol="isolated")
    for finding in diagnose(device, request, serial=serial):
        findings.append(finding)
        _show(finding)
    bad = [finding.what for finding in findings if finding.state == "bad"]
    if bad:
        raise DeviceFailed(f"{device}: not fit yet: {', '.join(bad)}; what to do stands above")
    screen.console.print(f"{device} is fit: {commands.profile(device)}")


def diagnose(
    name: str, request: RuntimeRequest, *, serial: str | None = None
) -> Iterator[Finding]:
    """Every check in turn. The first that fails in a way that bars the others is the last."""
    try:
        opened = open_device(name, request, serial=serial)
        if not kind_of(name).is_this_computer:
            yield Finding("connection", "ok", "it answers")
        with opened as device:
            yield from examine(device)
    except PhonebookError as error:
        what, found = mishap(error)
        yield Finding(what, "bad", found, str(error))


def mishap(error: PhonebookError) -> tuple[str, str]:
    """What the error is about and what was found, in a few words."""
    known = (_MISHAPS[kind] for kind in type(error).__mro__ if kind in _MISHAPS)
    return next(known, ("device", "cannot do what is asked"))


def examine(device: Device, *, exporter: Exporter = export_to_pte) -> Iterator[Finding]:
    """The checks of a device that could be opened."""
    described = device.describe()
    yield Finding(
        "description",
        "ok" if device.origin == "measured" else "look",
        f"{described.model}, {described.soc}, {described.cores} cores, {described.os}",
        "" if device.origin == "measured" else "emulated: its times say nothing of a phone's",
    )
    if isinstance(device, Examined):
        for finding in device.examine():
            yield finding
            if finding.state == "bad":
                return
    others = device.others_cpus()
    before = device.conditions()
    yield _state(before)
    file = _small_program(device, exporter)
    try:
        medians_us = []
        for _ in range(VISITS):
            timing = device.time_program(file, _PLAN)
            check_timing(timing, file, device.runtime)
            medians_us.append(median(timing.samples_ns) / 1000)
    except ProgramFailed as failed:
        yield Finding(
            "a small program",
            "bad",
            f"{failed.code}: {failed.message}",
            "the runner starts and cannot run this; its log tells more on the device",
        )
        return
    took = "" if device.origin == "measured" else f" ({device.origin})"
    yield Finding("a small program", "ok", f"right, in {median(medians_us):,.0f} us{took}")
    yield _steadiness(medians_us, others or device.others_cpus())
    yield _throttling(before, device.conditions())


def _small_program(device: Device, exporter: Exporter) -> ProgramFile:
    program = Program.under(device.runtime, SMALL)
    with screen.console.status("exporting a small program"):
        (exported,) = ProgramCache(cache_dir()).export([program], exporter)
    if exported.file is None:
        raise PhonebookError(f"{SMALL.key} cannot be exported: {exported.error}")
    return exported.file


def _state(found: Conditions) -> Finding:
    words = [
        f"{label} {value}"
        for label, value in (
            ("load", found.load_1min),
            ("hottest °C", found.temperature_c),
            ("battery °C", found.battery_c),
            ("battery", None if found.battery is None else f"{found.battery:.0%}"),
            ("governor", found.governor),
            ("heat", found.thermal),
        )
        if value is not None
    ]
    if found.is_awake is False:
        return Finding("state", "look", ", ".join(words), "its screen is off: switch it on")
    if found.battery is not None and found.battery < 0.2:
        return Finding("state", "look", ", ".join(words), "charge it first: it may save power")
    return Finding("state", "ok", ", ".join(words) or "tells nothing of itself")


def _steadiness(medians_us: Sequence[float], others: float | None) -> Finding:
    spread = (max(medians_us) - min(medians_us)) / median(medians_us)
    found = f"{len(medians_us)} visits within {spread:.1%}"
    if spread <= STEADY:
        return Finding("timing", "ok", found)
    busy = "" if others is None else f" (others use {others:.1f} CPUs)"
    return Finding(
        "timing", "look", found, f"close what else runs there{busy}; sessions take longer so"
    )


def _throttling(before: Conditions, after: Conditions) -> Finding:
    limits = (before.clock_limit_mhz, after.clock_limit_mhz)
    if before.thermal is not None and after.thermal is not None:
        risen = THERMAL.index(after.thermal) > THERMAL.index(before.thermal)
        return Finding(
            "throttling",
            "look" if risen else "ok",
            f"heat {before.thermal} before, {after.thermal} after",
            "it warms up within seconds: let it lie free and cool" if risen else "",
        )
    if limits[0] is None or limits[1] is None:
        return Finding("throttling", "look", "the device does not tell its clocks' limits")
    found = f"clock limit {limits[0]:.0f} MHz before, {limits[1]:.0f} MHz after"
    if limits[1] < limits[0]:
        return Finding(
            "throttling", "look", found, "it slows down for heat: let it lie free and cool"
        )
    return Finding("throttling", "ok", f"{found}: none seen")


def _list_phones() -> None:
    phones = [
        found for kind in KINDS if not kind.is_this_computer for found in kind.list_attached()
    ]
    if not phones:
        raise DeviceFailed(
            f"no phone answers; name one to see why: `{commands.examine('galaxys8')}`, or iphonex"
        )
    table = Table("serial", "--device")
    for serial, name in phones:
        table.add_row(serial, name or "? (open the Phonebook app)")
    screen.console.print(table)


def _show(finding: Finding) -> None:
    screen.console.print(f"{_STATES[finding.state]:4} ", end="")
    screen.console.print(f"{finding.what}: {finding.found}", markup=False, highlight=False)
    if finding.advice:
        screen.console.print(f"     {finding.advice}", markup=False, highlight=False)


if __name__ == "__main__":
    main(app)
