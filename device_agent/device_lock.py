"""One agent at a time on a device: two at once would disturb each other."""

import platform
import re
from contextlib import AbstractContextManager
from hashlib import sha256

from filelock import FileLock, Timeout

from contract.errors import DeviceFailed
from device_agent.places import state_dir


class DeviceInUse(DeviceFailed):
    """Another agent has the device; it is free once that one has ended."""


def agent_name() -> str:
    """What this agent is called on a phone: the computer, and its own state folder there."""
    folder = sha256(str(state_dir()).encode()).hexdigest()[:6]
    return f"{re.sub(r'[^A-Za-z0-9._-]+', '-', platform.node()) or 'agent'}-{folder}"


def lock_device(name: str) -> AbstractContextManager[object]:
    """Take the lock of that name on this computer; leaving it gives it back.

    Raises:
        DeviceInUse: another agent measures there now.
    """
    path = state_dir() / f"{name.replace('/', '_')}.lock"
    lock = FileLock(path, timeout=0)
    try:
        return lock.acquire()
    except Timeout:
        raise DeviceInUse(
            f"{name}: another agent is measuring there; two at once would disturb each "
            "other. Wait for it, or stop it"
        ) from None
