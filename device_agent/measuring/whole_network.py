"""A whole network, end to end: exported, and visited until its latency is certain."""

import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import median

from contract.derivation import derive
from contract.errors import DeviceFailed, PhonebookError
from contract.estimates import Estimate
from contract.footprint import Footprint
from contract.networks import Network
from contract.runtime import Runtime
from contract.visits import Visit
from device_agent import screen
from device_agent.device import Device, ProgramFailed, ProgramFile
from device_agent.measuring.protocols.protocol import whole
from device_agent.measuring.visit_program import visit_program
from device_agent.programs.cache import Exporter, ProgramCache
from device_agent.programs.program import Program
from device_agent.supervisor import Supervisor

LEAST_VISITS = 40
MOST_S = 60.0


def must_be_measured(device: Device, name: str) -> None:
    """Raises PhonebookError where it is emulated, or anything else than a device."""
    if device.origin != "measured":
        raise PhonebookError(
            f"{name} is {device.origin}: how long a network takes there says nothing"
        )


@dataclass(frozen=True, kw_only=True, slots=True)
class TimedNetwork:
    """What a whole network takes."""

    estimate: Estimate
    footprint: Footprint


def time_network(
    device: Device, network: Network, file: ProgramFile, *, supervisor: Supervisor | None = None
) -> TimedNetwork:
    """Visit the program, loading it anew each time, until its latency is graded A or B.

    After a minute the grade is what it is.

    Raises:
        DeviceFailed: it did not run, or computed something else than eager PyTorch.
        Halted: the supervisor ended the work.
    """
    planned = whole(network, device.runtime)
    visits: list[Visit] = []
    until = time.monotonic() + MOST_S
    what = f"measuring {network.name}"
    with screen.Steps(what, "visits", LEAST_VISITS, supervisor or Supervisor()) as steps:
        while True:
            try:
                layout, visit = visit_program(planned, file, device, number=len(visits))
            except ProgramFailed as failed:
                raise DeviceFailed(f"{file.name}: {failed.code}: {failed.message}") from failed
            visits.append(visit)
            steps.advance()
            if len(visits) % LEAST_VISITS == 0 or time.monotonic() >= until:
                derived = derive([layout], visits)
                assert derived is not None
                figures = derived.networks[file.name].estimate()
                if figures.grade != "C" or time.monotonic() >= until:
                    return TimedNetwork(estimate=figures, footprint=_footprint(visits))
                steps.more(LEAST_VISITS)


def _footprint(visits: Sequence[Visit]) -> Footprint:
    series = [each for visit in visits for each in visit.series]
    return Footprint(
        load_ms=median(each.load_ns for each in series if each.load_ns is not None) / 1e6,
        first_run_ms=median(each.first_run_ns for each in series if each.first_run_ns is not None)
        / 1e6,
        peak_bytes=max(
            (each.peak_bytes for each in series if each.peak_bytes is not None), default=None
        ),
    )


def export_network(
    chosen: Network,
    runtime: Runtime,
    cache: ProgramCache,
    exporter: Exporter,
    *,
    weights: Path | None = None,
    supervisor: Supervisor | None = None,
) -> ProgramFile:
    """The network as a program. Without `weights` they are random.

    Raises:
        PhonebookError: it cannot be exported.
        Halted: the supervisor ended it.
    """
    program = Program.under(runtime, chosen, weights=weights)
    with screen.console.status(f"exporting {chosen.name}"):
        (done,) = cache.export([program], exporter, supervisor)
    if done.file is None:
        raise PhonebookError(f"{chosen.name} cannot be exported: {done.error}")
    return done.file
