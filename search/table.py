"""The table a search or a prediction reads."""

from contract.client import table_client
from contract.spaces import SearchSpace
from contract.tables import LatencyTable
from contract.timings import runtime_of


def fetch(server: str, *, device: str, runtime: str | None, space: SearchSpace) -> LatencyTable:
    """The device's rows of `space`, under the runtime with that key or the default one.

    Raises:
        PhonebookError: the runtime's key is none, or the server refused or did not answer.
    """
    wanted = runtime_of(runtime) if runtime is not None else None
    with table_client(server) as client:
        return client.table(device, runtime=wanted, space=space.name)
