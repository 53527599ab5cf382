"""One agent at a time on a device: two at once would disturb each other."""

from contextlib import AbstractContextManager, nullcontext

from filelock import FileLock, Timeout

from contract.errors import DeviceFailed
from device_agent.devices import HOST
from device_agent.places import state_dir


def alone_on(device: str) -> AbstractContextManager[object]:
    """A lock on the device, on this computer.

    Raises:
        DeviceFailed: another agent measures there now.
    """
    path = state_dir() / f"{device.replace('/', '_')}.lock"
    lock = FileLock(path, timeout=0)
    try:
        return lock.acquire()
    except Timeout:
        raise DeviceFailed(
            f"{device}: another agent is measuring there; two at once would disturb each "
            "other. Wait for it, or stop it"
        ) from None


def alone_here(device: str) -> AbstractContextManager[object]:
    """A lock on this computer where it is the device. A phone's is taken where it is opened, by
    its serial number: several of a kind may be measured at once.

    Raises:
        DeviceFailed: another agent measures here now.
    """
    return alone_on(HOST) if device == HOST else nullcontext()
