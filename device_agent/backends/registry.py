"""The backends that programs can be lowered to."""

from collections.abc import Mapping

from contract.errors import PhonebookError
from contract.runtime import BackendName
from device_agent.backends.backend import Backend
from device_agent.backends.xnnpack.backend import XNNPACK

BACKENDS: Mapping[BackendName, Backend] = {each.name: each for each in (XNNPACK,)}


def backend_of(name: BackendName) -> Backend:
    """
    Raises:
        PhonebookError: nothing can be lowered to it here.
    """
    if name not in BACKENDS:
        raise PhonebookError(
            f"nothing can be measured on backend {name!r} here; there are: {', '.join(BACKENDS)}"
        )
    return BACKENDS[name]
