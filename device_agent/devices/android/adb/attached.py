"""Which phones there are, and connecting to the one that a person means."""

import os
import re
import warnings
from collections.abc import Callable, Iterator, Mapping
from contextlib import closing
from dataclasses import dataclass

from adb_shell.transport.base_transport import BaseTransport

from contract import commands
from contract.devices import Serial
from contract.errors import DeviceFailed, listing
from device_agent.devices.android.adb.addresses import place_in_network
from device_agent.devices.android.adb.connection import ACCEPT_LIMIT_S, AdbConnection
from device_agent.devices.android.adb.errors import PhoneLost, PhoneNotFound
from device_agent.devices.android.adb.packets import Tcp, usb1

SERIAL_VARIABLE = "ANDROID_SERIAL"

_OWN = re.compile(r"[A-Za-z0-9][A-Za-z0-9._:-]{0,99}")
# What some makers leave in every phone, and what every emulator says.
_NO_OWN = re.compile(r"unknown|0123456789ABCDEF|EMULATOR.*")

_address_of: dict[Serial, str] = {}  # where the phones in the network were that told their own

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
    """A phone that answers: its serial number, or its address where it tells none, and its
    model."""

    serial: Serial
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


def own_serial(properties: Mapping[str, str]) -> Serial | None:
    """The serial number that a phone tells of itself, whatever way leads to it."""
    told = properties.get("ro.serialno", "")
    return told if _OWN.fullmatch(told) and not _NO_OWN.fullmatch(told) else None


def identify(
    address: str, *, say: Callable[[str], None], accept_limit_s: float = ACCEPT_LIMIT_S
) -> Attached:
    """Ask the phone there what it is.

    Raises:
        PhoneNotFound: no such phone, or it does not answer.
        KeyNotAccepted: nobody accepted the key in time.
    """
    with closing(connect(address, say=say, accept_limit_s=accept_limit_s)) as connection:
        try:
            serial = own_serial(connection.properties()) or address
        except PhoneLost as lost:
            raise PhoneNotFound(f"{address}: {lost}") from lost
        _address_of[serial] = connection.address
        return Attached(serial, connection.model)


def list_phones(*, say: Callable[[str], None]) -> tuple[Attached, ...]:
    """Every phone that answers now: on USB, and the one that ANDROID_SERIAL names.

    One that is in use by another program, or has not accepted this computer's key, is left out;
    `say` is told why.
    """
    found = {}
    for address in addresses():
        try:
            phone = identify(address, say=say, accept_limit_s=1.0)
        except DeviceFailed as error:
            say(str(error))
        else:
            found[phone.serial] = phone
    return tuple(found.values())


def addresses() -> tuple[str, ...]:
    """Where phones may be: their numbers on USB, and the address in ANDROID_SERIAL."""
    named = os.environ.get(SERIAL_VARIABLE, "")
    in_network = (named,) if place_in_network(named) else ()
    return (*(number for number, _ in _on_usb()), *in_network)


def choose(name: str, serial: str | None, *, say: Callable[[str], None]) -> str:
    """The address that is meant: that one, or ANDROID_SERIAL's, or the only phone's, or that of
    the only phone of that name.

    Raises:
        PhoneNotFound: there is none, or several.
    """
    serial = serial or os.environ.get(SERIAL_VARIABLE)
    if serial:
        return serial
    known = addresses()
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
    phone: str, *, say: Callable[[str], None], accept_limit_s: float = ACCEPT_LIMIT_S
) -> AdbConnection:
    """Connect to the phone of that serial number or address, which may have to accept this
    computer's key first.

    Raises:
        PhoneNotFound: no such phone, or it does not answer.
        KeyNotAccepted: nobody accepted the key in time.
    """
    address, transport = _way(phone)
    return AdbConnection(transport, address, say=say, accept_limit_s=accept_limit_s)


def _way(phone: str) -> tuple[str, BaseTransport]:
    address = _address_of.get(phone, phone)
    for number, transport in _on_usb():
        if number in (phone, address):
            return number, transport
    if place := place_in_network(address):
        return address, Tcp(place.host, place.port)
    raise PhoneNotFound(f"{phone}: {NO_PHONE if usb1 else NO_LIBUSB}")


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
