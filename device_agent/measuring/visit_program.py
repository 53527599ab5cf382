"""One visit to a program: timed once per plan, checked, and kept as the runner reported it."""

from collections.abc import Sequence
from datetime import UTC, datetime

from pydantic import ValidationError

from contract.networks import Network
from contract.operators import Operator
from contract.visits import Layout, Series, Visit
from device_agent.backends.registry import backend_of
from device_agent.device import Device, Event, ProgramFailed, ProgramFile, ProgramTiming
from device_agent.measuring.checks import check_timing
from device_agent.measuring.protocols.protocol import PlannedProgram
from device_agent.programs.program import Program


def visit_program(
    planned: PlannedProgram, file: ProgramFile, device: Device, *, number: int
) -> tuple[Layout, Visit]:
    """Time the program once per plan, in the round of that number.

    Raises:
        ProgramFailed: it did not run, computed something else than eager PyTorch, ran elsewhere
            than in the runtime's backend, has events that are not its own, or its samples make no
            sense.
        DeviceFailed: the device is gone.
    """
    series = []
    layout: Layout | None = None
    try:
        for plan in planned.plans:
            timing = device.time_program(file, plan)
            check_timing(timing, file, device.runtime)
            if plan.trace:
                layout = layout_of(planned.program, timing.events, name=file.name)
            series.append(series_of(timing))
        visit = Visit(
            program=file.name, round=number, made_at=datetime.now(UTC), series=tuple(series)
        )
        return layout or layout_of(planned.program, name=file.name), visit
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(map(str, first["loc"])) or "samples"
        raise ProgramFailed("bad_samples", f"{where}: {first['msg']}") from error


def layout_of(program: Program, events: Sequence[Event] | None = None, *, name: str) -> Layout:
    """What the program's visits are about; `events` are those of a trace of it.

    Raises:
        ProgramFailed: the events are not this program's.
    """
    content = program.content
    if isinstance(content, Operator):
        return Layout(program=name, operators=(content.key,))
    running = [index for index, each in enumerate(content.operators) if not each.is_free]
    keys = tuple(content.operators[index].key for index in running)
    if events is None:
        return Layout(program=name, operators=keys)
    names = tuple(event.name for event in events)
    places = {index: place for place, index in enumerate(running)}
    owners = tuple(places[index] for index in _owners(content, names, program))
    return Layout(program=name, operators=keys, events=names, owners=owners)


def series_of(timing: ProgramTiming) -> Series:
    """The runs of a visit, without those that warmed up."""
    return Series(
        samples_ns=timing.samples_ns,
        probes_ns=timing.probes_ns,
        memory_probes_ns=timing.memory_probes_ns,
        load_ns=timing.load_ns,
        first_run_ns=timing.first_run_ns,
        peak_bytes=timing.peak_bytes,
        events_ns=tuple(event.samples_ns for event in timing.events),
    )


def _owners(network: Network, names: Sequence[str], program: Program) -> Sequence[int]:
    owners = backend_of(program.backend).owners
    assert owners is not None, "no protocol traces where a backend reports no events"
    return owners(network, names)
