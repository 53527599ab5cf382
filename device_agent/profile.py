"""Profiling: a device's table of a space brought to completeness, whatever interrupts it."""

from contract.errors import DeviceFailed, RequestRefused, ServerUnreachable, is_passing
from contract.spaces import space as space_named
from device_agent import screen
from device_agent.journal import TABLE, OpenSession
from device_agent.protocols import PROTOCOLS
from device_agent.session import close
from device_agent.workplace import Workplace


def profile(place: Workplace, space: str, *, again: bool = False) -> None:
    """Bring the device's table of `space` to completeness, going on with an unfinished session.

    With `again`, operators that have a row are measured anew.

    Raises:
        ServerUnreachable: at the start, with nothing begun; or at the end, with the timings
            kept in the outbox for the next run.
        DeviceFailed: every operator failed, or the device is gone or too busy; visits so far
            are kept.
        NotStored: the server did not take all of it, or the clocks differ; the journal keeps it.
        Halted: the place's watch ended the work; visits so far are kept.
    """
    opened = _begin_or_resume(place, space, again=again)
    if opened is None:
        screen.console.print(
            f"{place.name}: the table of {space} is complete, nothing to measure; "
            "--again measures it anew"
        )
        return
    planned = PROTOCOLS[place.device.runtime.protocol](
        space_named(space), opened.operators, place.device.runtime, opened.session.effort
    )
    work = place.measure(opened, planned)
    timings = close(opened, work, place.journal, place.device)
    screen.summary(timings, device=place.name, space=space, origin=opened.session.origin)
    place.send(must_store=[timing.id for timing in timings])
    screen.console.print(f"session {opened.session.id}", highlight=False)
    if all(timing.failure for timing in timings):
        raise DeviceFailed(
            f"{place.name}: all {len(timings)} operators failed; the reasons stand above"
        )


def _begin_or_resume(place: Workplace, space: str, *, again: bool) -> OpenSession | None:
    unfinished = place.unfinished(space, TABLE)
    operators = space_named(space).operators
    try:
        place.client.register(place.name, place.device.describe())
        place.send()
        table = place.client.table(place.name, runtime=place.device.runtime, space=space)
    except (ServerUnreachable, RequestRefused) as error:
        if unfinished is None or not is_passing(error):
            raise
        screen.console.print("the server is away; going on with the unfinished session")
    if unfinished is not None:
        place.say_resuming(unfinished, "session")
        return unfinished
    missing = operators if again else table.missing_of(operators)
    if not missing:
        return None
    if place.device.runtime.protocol == "in_situ":
        missing = operators  # all rows come from one session
    return place.begin(space, missing, TABLE)
