"""The table that a search, a prediction or a comparison reads, named by its target."""

from contract.client import TableClient, table_client
from contract.errors import PhonebookError, near
from contract.spaces import SearchSpace
from contract.tables import LatencyTable
from contract.timings import Runtime


def fetch(server: str, *, target: str, space: SearchSpace) -> LatencyTable:
    """The target's rows of `space`.

    A target is `DEVICE`, under the device's default runtime, or `DEVICE@RUNTIME`, where RUNTIME
    is a runtime's key or as many of its parts, joined by dashes, as tell it from the device's
    other runtimes: `host@int8`, `host@int8-t2`.

    Raises:
        PhonebookError: no such device, no runtime or several with these parts, or the server
            refused or did not answer.
    """
    device, at, parts = target.partition("@")
    with table_client(server) as client:
        runtime = _runtime(client, device, parts) if at else None
        return client.table(device, runtime=runtime, space=space.name)


def _runtime(client: TableClient, device: str, parts: str) -> Runtime:
    """The device's only runtime with all of these parts in its key."""
    devices = {known.name: known for known in client.devices()}
    if device not in devices:
        raise PhonebookError(f"no device {device!r}; {near(device, list(devices))}")
    offered = [summary.runtime for summary in devices[device].runtimes]
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
