"""Which phones there are, and connecting to the one that a person means."""

import os
import re
import warnings
from collections.abc import Callable, Iterator
from contextlib import closing
from dataclasses import dataclass

from adb_shell.transport.base_transport import BaseTransport

from contract import commands
from contract.errors import listing
from device_agent.devices.android.adb.connection import ACCEPT_LIMIT_S, AdbConnection
from device_agent.devices.android.adb.errors import KeyNotAccepted, PhoneNotFound
from device_agent.devices.android.adb.packets import Tcp, usb1

SERIAL_VARIABLE = "ANDROID_SERIAL"
_ADDRESS = re.compile(r"^(?P<host>[^:\s]+):(?P<port>[0-9]{1,5})$")

# Devices that have a name of their own here; the others go by their model's.
_NAMES = ((re.compile(r"SM-G950"), "galaxys8"), (re.compile(r"SM-G955"), "galaxys8-plus"))

NO_PHONE = (
    "no phone on the cable. Switch on USB debugging in its developer options and take a cable "
    "that carries data; a phone in the network is named by --serial HOST:PORT. (This computer is "
    "--device host)"
)
NO_LIBUSB = (
    f"this computer cannot see phones on USB: in the checkout run `{commands.install('usb')}`, or "
    "name a phone in the network with --serial HOST:PORT. (This computer is --device host)"
)


@dataclass(frozen=True, slots=True)
class Attached:
    """A phone that answers: its serial number or address, and what it is."""

    serial: str
    model: str

    @property
    def name(self) -> str:
        """What `--device` calls it."""
        return device_name(self.model)


def device_name(model: str) -> str:
    """`galaxys8` for an SM-G950F; a phone nobody named goes by its model, `pixel-8`."""
    for pattern, name in _NAMES:
        if pattern.match(model):
            return name
    return re.sub(r"[^a-z0-9._]+", "-", model.lower()).strip("-._")[:64] or "android"


def list_phones(*, say: Callable[[str], None]) -> tuple[Attached, ...]:
    """Every phone that answers now: on USB, and the one that ANDROID_SERIAL names.

    One that is in use by another program, or has not accepted this computer's key, is left out;
    `say` is told why.
    """
    found = []
    for serial in serials():
        try:
            with closing(connect(serial, say=say, accept_limit_s=1.0)) as connection:
                found.append(Attached(serial, connection.model))
        except (PhoneNotFound, KeyNotAccepted) as error:
            say(str(error))
    return tuple(found)


def serials() -> tuple[str, ...]:
    """The serial numbers of the phones on USB, and the address in ANDROID_SERIAL."""
    named = os.environ.get(SERIAL_VARIABLE, "")
    addresses = (named,) if _ADDRESS.match(named) else ()
    return (*(serial for serial, _ in _on_usb()), *addresses)


def choose(name: str, serial: str | None, *, say: Callable[[str], None]) -> str:
    """The serial number that is meant: that one, or ANDROID_SERIAL's, or the only phone's, or
    that of the only phone of that name.

    Raises:
        PhoneNotFound: there is none, or several.
    """
    serial = serial or os.environ.get(SERIAL_VARIABLE)
    if serial:
        return serial
    known = serials()
    if not known:
        raise PhoneNotFound(f"{name}: {NO_PHONE if usb1 else NO_LIBUSB}")
    if len(known) == 1:
        return known[0]
    namesakes = [phone.serial for phone in list_phones(say=say) if phone.name == name]
    if len(namesakes) == 1:
        return namesakes[0]
    raise PhoneNotFound(
        f"{len(namesakes)} of the {len(known)} phones attached ({listing(known)}) are a {name}: "
        f"say which one with --serial, or in {SERIAL_VARIABLE}"
    )


def connect(
    serial: str, *, say: Callable[[str], None], accept_limit_s: float = ACCEPT_LIMIT_S
) -> AdbConnection:
    """Connect to that phone, which may have to accept this computer's key first.

    Raises:
        PhoneNotFound: no such phone, or it does not answer.
        KeyNotAccepted: nobody accepted the key in time.
    """
    return AdbConnection(_transport(serial), serial, say=say, accept_limit_s=accept_limit_s)


def _transport(serial: str) -> BaseTransport:
    address = _ADDRESS.match(serial)
    if address:
        return Tcp(address["host"], int(address["port"]))
    for known, transport in _on_usb():
        if known == serial:
            return transport
    raise PhoneNotFound(f"{serial}: {NO_PHONE if usb1 else NO_LIBUSB}")


def _on_usb() -> Iterator[tuple[str, BaseTransport]]:
    if usb1 is None:
        return
    with warnings.catch_warnings(action="ignore"):  # libusb warns of what it may not open
        from adb_shell.transport.usb_transport import UsbTransport

        for transport in UsbTransport.find_all_adb_devices():
            try:
                yield transport.serial_number, transport
            except usb1.USBError:  # no right to open it
                continue
