"""The table a search or a prediction reads."""

from contract.client import table_client
from contract.errors import PhonebookError
from contract.spaces import SearchSpace
from contract.timings import LatencyTable, Runtime


def fetch(server: str, *, device: str, runtime: str | None, space: SearchSpace) -> LatencyTable:
    """The device's rows of `space`, under the runtime with that key or the default one.

    Raises:
        PhonebookError: the runtime's key is none, or the server refused or did not answer.
    """
    wanted = _parse(runtime) if runtime is not None else None
    with table_client(server) as client:
        return client.table(device, runtime=wanted, space=space.name)


def _parse(key: str) -> Runtime:
    try:
        return Runtime.parse(key)
    except ValueError as error:
        raise PhonebookError(
            f"--runtime: {key!r} is no runtime; one looks like "
            "xnnpack-float32-t1-contiguous-et1.5.1-python-any-isolated"
        ) from error
