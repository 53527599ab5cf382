"""A whole network, end to end: exported, and visited until its latency is certain."""

import random
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import median

from contract.derivation import derive
from contract.errors import DeviceFailed, PhonebookError
from contract.estimates import Estimate
from contract.footprint import Footprint
from contract.levels import AtLevel
from contract.networks import Network
from contract.runtime import Runtime
from contract.visits import Layout, Visit
from device_agent import screen
from device_agent.device import Device, ProgramFailed, ProgramFile
from device_agent.measuring.protocols.protocol import whole
from device_agent.measuring.references import Beside
from device_agent.measuring.visit_program import visit_program
from device_agent.programs.cache import Exporter, ProgramCache
from device_agent.programs.program import Program
from device_agent.supervisor import Supervisor

LEAST_ROUNDS = 30
MOST_S = 120.0


def must_be_measured(device: Device, name: str) -> None:
    """Raises PhonebookError where it is emulated, or anything else than a device."""
    if device.origin != "measured":
        raise PhonebookError(
            f"{name} is {device.origin}: how long a network takes there says nothing"
        )


@dataclass(frozen=True, kw_only=True, slots=True)
class TimedNetwork:
    """What a whole network takes; at which level, where it was measured beside references."""

    estimate: Estimate
    footprint: Footprint
    at_level: AtLevel | None


def time_network(
    device: Device,
    network: Network,
    file: ProgramFile,
    *,
    beside: Beside | None = None,
    supervisor: Supervisor | None = None,
) -> TimedNetwork:
    """Visit the program, loading it anew each time, until its latency is graded A or B.

    What is to be visited beside it is visited as often, in shuffled rounds, and tells at which
    level the device is. After two minutes the grade is what it is.

    Raises:
        DeviceFailed: it did not run, or computed something else than eager PyTorch; or one beside
            it.
        Halted: the supervisor ended the work.
    """
    planned = {file: whole(network, device.runtime)}
    what = f"measuring {network.name}"
    if beside is not None:
        planned |= beside.programs
        what = f"{what} beside {len(beside.programs)} networks of the table's session"
    generator = random.Random(file.name)
    layouts: dict[str, Layout] = {}
    visits: list[Visit] = []
    until = time.monotonic() + MOST_S
    usual = beside.references.calm if beside else None
    rounds = 0
    visits_to_come = LEAST_ROUNDS * len(planned)
    with screen.Steps(what, "visits", visits_to_come, supervisor or Supervisor()) as steps:
        while True:
            for each in generator.sample(list(planned), len(planned)):
                try:
                    layout, visit = visit_program(planned[each], each, device, number=rounds)
                except ProgramFailed as failed:
                    raise DeviceFailed(f"{each.name}: {failed.code}: {failed.message}") from failed
                layouts[each.name] = layout
                visits.append(visit)
                steps.advance()
            rounds += 1
            is_late = time.monotonic() >= until
            if is_late or rounds % LEAST_ROUNDS == 0:
                derived = derive(list(layouts.values()), visits, usual=usual)
                assert derived is not None
                figures = derived.networks[file.name].estimate()
                if is_late or figures.grade != "C":
                    own = [visit for visit in visits if visit.program == file.name]
                    return TimedNetwork(
                        estimate=figures,
                        footprint=_footprint(own),
                        at_level=beside.references.at_level(figures, derived) if beside else None,
                    )
                steps.more(visits_to_come)


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
