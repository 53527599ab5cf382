"""Android phones as a kind of device: whatever the others do not claim is a model of one."""

from contextlib import closing, suppress
from functools import partial

from contract.devices import Serial
from contract.errors import PhonebookError
from contract.runtime import RuntimeRequest
from device_agent import screen
from device_agent.device import DeviceKind, Found
from device_agent.devices.android.adb.attached import (
    choose,
    connect,
    device_name,
    list_phones,
    serials,
)
from device_agent.devices.android.adb.errors import KeyNotAccepted, PhoneNotFound
from device_agent.devices.android.phone import AndroidPhone

ACCEPT_GLANCE_S = 1.0  # for a phone that is merely asked what it is

_name_of: dict[Serial, str] = {}


def must_be_possible(request: RuntimeRequest) -> None:
    if request.runner == "python":
        raise PhonebookError("a phone has no Python; leave out --runner")


def find_serials(name: str) -> tuple[Serial, ...]:
    """The serial numbers of the phones of that name that are attached now.

    A phone is asked what it is once, not each time; a new one may have to accept the key.
    """
    for serial in serials():
        if serial not in _name_of:
            with (
                suppress(PhoneNotFound, KeyNotAccepted),
                closing(connect(serial, say=_say, accept_limit_s=ACCEPT_GLANCE_S)) as phone,
            ):
                _name_of[serial] = device_name(phone.model)
    return tuple(serial for serial in serials() if _name_of.get(serial) == name)


def list_attached() -> tuple[Found, ...]:
    """Every phone that answers; of the others the screen tells why."""
    return tuple(Found(each.serial, each.name) for each in list_phones(say=screen.console.print))


def _say(message: str) -> None:
    screen.console.print(message, markup=False, highlight=False)


ANDROID = DeviceKind(
    example="galaxys8",
    claims=lambda name: True,
    must_be_possible=must_be_possible,
    choose=partial(choose, say=_say),
    open=AndroidPhone,
    list_attached=list_attached,
    find_serials=find_serials,
    lock_name=lambda serial: serial,
    mishaps={
        PhoneNotFound: ("cable", "no answer"),
        KeyNotAccepted: ("key", "this computer is not trusted"),
    },
)
