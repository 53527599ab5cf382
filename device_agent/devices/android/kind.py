"""Android phones as a kind of device: whatever the others do not claim is a model of one."""

from contextlib import suppress

from contract.devices import Serial
from contract.errors import DeviceFailed, PhonebookError
from contract.runtime import RuntimeRequest
from device_agent import screen
from device_agent.device import DeviceKind, Found
from device_agent.devices.android.adb.addresses import place_in_network
from device_agent.devices.android.adb.attached import (
    Attached,
    addresses,
    choose,
    identify,
    list_phones,
)
from device_agent.devices.android.adb.errors import (
    AnotherPhone,
    CommandFailed,
    CommandTimedOut,
    KeyNotAccepted,
    NoShell,
    NotInNetwork,
    PhoneLost,
    PhoneNotFound,
    StorageFull,
    WirelessDebugging,
)
from device_agent.devices.android.care import Asleep, TooHot
from device_agent.devices.android.phone import AndroidPhone

ACCEPT_GLANCE_S = 1.0  # for a phone that is merely asked what it is

_found: dict[str, Attached] = {}  # by address


def must_be_possible(request: RuntimeRequest) -> None:
    if request.runner == "python":
        raise PhonebookError("a phone has no Python; leave out --runner")


def choose_unit(name: str, serial: Serial | None) -> Serial:
    """The own serial number of the phone that is meant: by whatever address it is named, it is the
    same unit. One on USB is known by it before anybody connects."""
    address = choose(name, serial, say=_say)
    return identify(address, say=_say).serial if place_in_network(address) else address


def find_serials(name: str) -> tuple[Serial, ...]:
    """The serial numbers of the phones of that name that are attached now.

    A phone is asked what it is once, not each time; a new one may have to accept the key.
    """
    there = addresses()
    for address in there:
        if address not in _found:
            with suppress(DeviceFailed):
                _found[address] = identify(address, say=_say, accept_limit_s=ACCEPT_GLANCE_S)
    phones = (_found[address] for address in there if address in _found)
    return tuple(dict.fromkeys(phone.serial for phone in phones if phone.name == name))


def list_attached() -> tuple[Found, ...]:
    """Every phone that answers; of the others the screen tells why."""
    return tuple(Found(each.serial, each.name) for each in list_phones(say=screen.console.print))


def _say(message: str) -> None:
    screen.console.print(message, markup=False, highlight=False)


ANDROID = DeviceKind(
    example="galaxys8",
    claims=lambda name: True,
    must_be_possible=must_be_possible,
    choose=choose_unit,
    open=AndroidPhone,
    list_attached=list_attached,
    find_serials=find_serials,
    lock_name=lambda serial: serial,
    mishaps={
        PhoneNotFound: ("cable", "no answer"),
        AnotherPhone: ("phone", "another one than named"),
        NotInNetwork: ("network", "no answer"),
        WirelessDebugging: ("network", "wireless debugging of Android 11"),
        KeyNotAccepted: ("key", "this computer is not trusted"),
        PhoneLost: ("connection", "lost"),
        CommandTimedOut: ("phone", "too slow an answer"),
        CommandFailed: ("phone", "does not do what it is asked"),
        NoShell: ("shell", "does not start"),
        StorageFull: ("storage", "full"),
        TooHot: ("heat", "too hot"),
        Asleep: ("screen", "off"),
    },
)
