"""The kinds of devices that there are, and the device that a person names."""

import re
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from difflib import get_close_matches

from contract.devices import DEVICE_NAME
from contract.errors import PhonebookError, near
from contract.runtime import RuntimeRequest
from device_agent.device import Device, DeviceKind
from device_agent.device_lock import lock_device
from device_agent.devices.android.kind import ANDROID
from device_agent.devices.host.kind import HOST
from device_agent.devices.ios.kind import IOS
from device_agent.patience import USUAL, PatienceOptions

KINDS: tuple[DeviceKind, ...] = (HOST, IOS, ANDROID)  # the first that claims a name has it


def kind_of(name: str) -> DeviceKind:
    """The kind that a name belongs to.

    Any model of phone may be a name, so that a slip in this computer's must not pass for one.

    Raises:
        PhonebookError: it belongs to none.
    """
    here = [kind.example for kind in KINDS if kind.is_this_computer]
    is_slip = name not in here and get_close_matches(name, here)
    if re.fullmatch(DEVICE_NAME, name) and not is_slip:
        for kind in KINDS:
            if kind.claims(name):
                return kind
    raise PhonebookError(f"no device {name!r}; {near(name, [kind.example for kind in KINDS])}")


def find_serials(name: str) -> tuple[str, ...]:
    """The serial numbers of the units of that name that this computer has now.

    Raises:
        PhonebookError: no such kind of device.
    """
    return kind_of(name).find_serials(name)


def open_device(
    name: str,
    request: RuntimeRequest,
    *,
    serial: str | None = None,
    patience: PatienceOptions = USUAL,
) -> AbstractContextManager[Device]:
    """The device that `--device` names: `host`, or a phone by its name.

    `serial` says which phone, where there are several. Nobody else on this computer has it until
    the context is left.

    Raises:
        PhonebookError: no such kind of device, or it cannot do what was asked.
        DeviceFailed: the phone is not there, or refuses, or another agent measures there.
    """
    return open_unit(kind_of(name), name, request, serial=serial, patience=patience)


def open_unit(
    kind: DeviceKind,
    name: str,
    request: RuntimeRequest,
    *,
    serial: str | None = None,
    patience: PatienceOptions = USUAL,
) -> AbstractContextManager[Device]:
    """As `open_device`, of a kind that is known."""
    kind.must_be_possible(request)
    unit = kind.choose(name, serial)
    lock = lock_device(kind.lock_name(unit))
    try:
        device = kind.open(name, unit, request, patience)
    except BaseException:
        with lock:
            raise
    return _locked(device, lock)


@contextmanager
def _locked(
    opened: AbstractContextManager[Device], lock: AbstractContextManager[object]
) -> Iterator[Device]:
    with lock, opened as device:
        yield device
