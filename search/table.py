"""The table that a search, a prediction or a comparison reads, named by its target."""

from http import HTTPStatus
from uuid import uuid4

from contract.client import TableClient, table_client
from contract.errors import IncompleteTable, PhonebookError, RequestRefused, near
from contract.jobs import Job, Profile
from contract.spaces import SearchSpace
from contract.tables import LatencyTable
from contract.timings import Runtime
from search.bench import Bench
from search.fleet import have_done


def fetch(server: str, *, target: str, space: SearchSpace) -> LatencyTable:
    """The target's rows of `space`.

    A target is `DEVICE`, under the device's default runtime, or `DEVICE@RUNTIME`, where RUNTIME
    is a runtime's key or as many of its parts, joined by dashes, as tell it from the device's
    other runtimes: `host@int8`, `host@int8-t2`. Nothing needs to be measured yet under a key that
    is written out.

    Raises:
        PhonebookError: no such device, no runtime or several with these parts, or the server
            refused or did not answer.
    """
    device, at, parts = target.partition("@")
    with table_client(server) as client:
        runtime = _runtime(client, device, parts) if at else None
        return client.table(device, runtime=runtime, space=space.name)


def complete(
    server: str, *, target: str, space: SearchSpace, bench: Bench, profile_missing: bool
) -> LatencyTable:
    """The target's table with a row for every operator of the space.

    With `profile_missing`, an agent that serves the device measures what has none, which the
    run's first process files and all of them wait for.

    Raises:
        IncompleteTable: rows are missing; the message says what fills them.
        DeviceFailed: the agents tried and could not.
        PhonebookError: as `fetch` does.
    """
    try:
        table = fetch(server, target=target, space=space)
    except RequestRefused as refusal:
        if profile_missing and refusal.status == HTTPStatus.NOT_FOUND:
            raise PhonebookError(
                f"{refusal}. --profile-missing needs to know the runtime: measure {target} once "
                f"with `python -m device_agent.run --device {target} --space {space.name}`, or "
                "write the whole runtime after an @, as in "
                f"{target}@xnnpack-float32-t1-contiguous-et1.5.1-native-any-in_situ"
            ) from refusal
        raise
    missing = table.missing_of(space.operators)
    if missing and profile_missing:
        if bench.ranks.is_first:
            bench.console.print(f"{target}: {len(missing)} operators of {space.name} have no row")
            work = Profile(space=space.name)
            job = Job(id=uuid4(), device=table.device, runtime=table.runtime, work=work)
            with table_client(server) as client:
                have_done(client, job, console=bench.console, stop=lambda: bench.stop.asked)
        bench.ranks.united({})  # the others wait here
        table = fetch(server, target=target, space=space)
    try:
        table.latencies_us(space.operators)
    except IncompleteTable as error:
        if profile_missing:
            raise
        raise IncompleteTable(
            f"{error}; or give --profile-missing, and an agent that serves {table.device} does "
            "so first",
            missing=error.missing,
        ) from error
    return table


def _runtime(client: TableClient, device: str, parts: str) -> Runtime:
    """The device's only runtime with all of these parts in its key."""
    devices = {known.name: known for known in client.devices()}
    if device not in devices:
        raise PhonebookError(f"no device {device!r}; {near(device, list(devices))}")
    offered = [summary.runtime for summary in devices[device].runtimes]
    try:
        return Runtime.parse(parts)
    except ValueError:
        wanted = set(parts.split("-"))
    fitting = [runtime for runtime in offered if wanted <= set(runtime.key.split("-"))]
    if len(fitting) == 1:
        return fitting[0]
    fault = (
        f"{len(fitting)} runtimes of {device} have" if fitting else f"no runtime of {device} has"
    )
    keys = ", ".join(runtime.key for runtime in fitting or offered) or "none is measured yet"
    raise PhonebookError(
        f"{device}@{parts}: {fault} {parts!r} in the key; "
        f"write after the @ what only one of them has: {keys}"
    )
