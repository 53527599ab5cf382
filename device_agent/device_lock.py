"""One agent at a time on a device: two at once would disturb each other."""

from contextlib import AbstractContextManager

from filelock import FileLock, Timeout

from contract.errors import DeviceFailed
from device_agent.places import state_dir


def lock_device(name: str) -> AbstractContextManager[object]:
    """Take the lock of that name on this computer; leaving it gives it back.

    Raises:
        DeviceFailed: another agent measures there now.
    """
    path = state_dir() / f"{name.replace('/', '_')}.lock"
    lock = FileLock(path, timeout=0)
    try:
        return lock.acquire()
    except Timeout:
        raise DeviceFailed(
            f"{name}: another agent is measuring there; two at once would disturb each "
            "other. Wait for it, or stop it"
        ) from None
