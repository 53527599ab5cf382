"""Profiling: a device's table of a space brought to completeness, whatever interrupts it."""

from collections.abc import Sequence

from contract.errors import (
    DeviceFailed,
    PhonebookError,
    RequestRefused,
    ServerUnreachable,
    is_passing,
)
from contract.problems import RENAMED
from contract.spaces import SearchSpace
from contract.timings import Timing
from device_agent import screen
from device_agent.measuring.differing import difference_words
from device_agent.measuring.journal import TABLE, OpenSession
from device_agent.measuring.protocols.registry import PROTOCOLS
from device_agent.measuring.station import Station
from device_agent.measuring.usual import disturbance_words


def profile(station: Station, space: SearchSpace, *, again: bool = False) -> None:
    """Bring the device's table of `space` to completeness, going on with an unfinished session.

    With `again`, operators that have a row are measured anew.

    Raises:
        ServerUnreachable: at the start, with nothing begun; or at the end, with the timings
            kept in the outbox for the next run.
        DeviceFailed: every operator failed, or the device is gone or too busy; visits so far
            are kept.
        NotStored: the server did not take all of it, or the clocks differ; the journal keeps it.
        Halted: the station's supervisor ended the work; visits so far are kept.
    """
    opened = _begin_or_resume(station, space, again=again)
    if opened is None:
        screen.console.print(
            f"{station.name}: the table of {space.name} is complete, nothing to measure; "
            "--again measures it anew"
        )
        return
    runtime = station.device.runtime
    planned = PROTOCOLS[runtime.protocol].plan(
        opened.operators,
        space=space,
        runtime=runtime,
        effort=opened.session.effort,
    )
    ended, timings = station.measure(opened, planned).close()
    screen.summary(timings, device=station.name, space=space.name, origin=ended.origin)
    disturbed = ended.derivation and disturbance_words(ended.derivation, device=station.name)
    if disturbed:
        screen.console.print(disturbed, markup=False, highlight=False)
    differs = _difference(station, space, timings)
    if differs:
        screen.console.print(differs, markup=False, highlight=False)
    station.send(must_store=[timing.id for timing in timings])
    screen.console.print(f"session {opened.session.id}", highlight=False)
    if all(timing.failure for timing in timings):
        raise DeviceFailed(
            f"{station.name}: all {len(timings)} operators failed; the reasons stand above"
        )


def _difference(station: Station, space: SearchSpace, timings: Sequence[Timing]) -> str | None:
    """From the table so far; nothing where the server does not tell it now."""
    try:
        table = station.client.table(
            station.name, runtime=station.device.runtime, space=space.name
        )
    except PhonebookError:
        return None
    return difference_words(timings, table)


def _begin_or_resume(station: Station, space: SearchSpace, *, again: bool) -> OpenSession | None:
    unfinished = station.unfinished(space, TABLE)
    runtime = station.device.runtime
    try:
        station.introduce(space)
        table = station.client.table(station.name, runtime=runtime, space=space.name)
    except (ServerUnreachable, RequestRefused) as error:
        # What was begun under a former name is stored under the present one.
        renamed = isinstance(error, RequestRefused) and error.type == RENAMED
        if unfinished is None or not (renamed or is_passing(error)):
            raise
        why = str(error) if renamed else "the server is away"
        screen.console.print(
            f"{why}; going on with the unfinished session", markup=False, highlight=False
        )
    if unfinished is not None:
        station.say_resuming(unfinished, "session")
        return unfinished
    missing = space.operators if again else table.missing_of(space.operators)
    operators = PROTOCOLS[runtime.protocol].needed(missing, space=space)
    return station.begin(space, operators, TABLE) if operators else None
