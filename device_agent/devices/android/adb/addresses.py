"""Where a phone may be reached, and why it may not be."""

import re
from typing import NamedTuple

from device_agent.devices.android.adb.errors import (
    NotInNetwork,
    PhoneNotFound,
    WirelessDebugging,
)

_IN_NETWORK = re.compile(r"^(?P<host>[^:\s]+):(?P<port>[0-9]{1,5})$")


class Place(NamedTuple):
    """A place in the network."""

    host: str
    port: int


def place_in_network(address: str) -> Place | None:
    """None where it is a number on USB."""
    found = _IN_NETWORK.match(address)
    return Place(found["host"], int(found["port"])) if found else None


def not_reached(address: str, reason: str, *, is_refused: bool) -> PhoneNotFound:
    """The error of a phone that did not let us in, with what to do there."""
    place = place_in_network(address)
    if place is None:
        return PhoneNotFound(
            f"{address}: {reason}. Is USB debugging on, does the phone's cable carry data, and "
            "has no other program the phone (`adb kill-server` ends adb's own)?"
        )
    if is_refused:
        return NotInNetwork(
            f"{address}: {reason}. Is USB debugging on? A phone listens in the network after "
            "`adb tcpip 5555`, once by cable after each of its restarts, at the port 5555"
        )
    return NotInNetwork(
        f"{address}: {reason}. Is USB debugging on, is the phone in this network and awake, and "
        "has no other program the phone (`adb disconnect` ends adb's own)?"
    )


def speaks_tls_alone(address: str) -> WirelessDebugging:
    """The error of a phone that asks for TLS before anything else."""
    place = place_in_network(address)
    host = place.host if place else address
    return WirelessDebugging(
        f"{address} is the port of Android 11's wireless debugging, which is encrypted, and this "
        "agent speaks the older way in the network alone: connect the phone by cable once, run "
        f"`adb tcpip 5555`, and name it by --serial {host}:5555"
    )
