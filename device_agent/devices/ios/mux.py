"""usbmuxd, the daemon that carries connections over the cable to an iPhone's own ports.

It comes with macOS; on Linux it is a package. One request and one answer at a time, each a header
of four little-endian words (length, version, type, tag) and a property list.
"""

import os
import plistlib
import socket
import struct
from dataclasses import dataclass
from typing import Any
from xml.parsers.expat import ExpatError

from device_agent.devices.ios.errors import AppNotRunning, NoUsbmuxd, Unplugged

ADDRESS_VARIABLE = "USBMUXD_SOCKET_ADDRESS"  # as libusbmuxd and pymobiledevice3 know it
USUAL_ADDRESS = "/var/run/usbmuxd"
LIMIT_S = 10.0
_HEADER = struct.Struct("<IIII")
_VERSION, _PLIST = 1, 8
_MOST_BYTES = 16 << 20
_OK = 0
_RESULTS = {
    1: "bad command",
    2: "no such device",
    3: "connection refused",
    5: "malformed request",
    6: "wrong version",
}
_NO_DEVICE, _REFUSED = 2, 3

HELP = (
    "On Linux install it (Debian: apt-get install usbmuxd; it starts when an iPhone is plugged "
    f"in), macOS has it; {ADDRESS_VARIABLE} names another address. Then put the phone on the "
    "cable, unlock it and tap Trust"
)


@dataclass(frozen=True, slots=True)
class OnCable:
    """An iPhone that usbmuxd lists: its number there until it is unplugged, and its UDID."""

    number: int
    udid: str


class Usbmuxd:
    """The daemon at `address`: a socket's path, `UNIX:PATH`, or `HOST:PORT`."""

    def __init__(self, address: str | None = None) -> None:
        self.address = address or os.environ.get(ADDRESS_VARIABLE) or USUAL_ADDRESS

    def phones(self) -> tuple[OnCable, ...]:
        """The iPhones on cables now. Those that it knows through Wi-Fi are left out.

        Raises:
            NoUsbmuxd: it is not there.
        """
        with self._open() as channel:
            answer = self._ask(channel, {"MessageType": "ListDevices"})
        try:
            return tuple(
                OnCable(each["DeviceID"], each["Properties"]["SerialNumber"])
                for each in answer.get("DeviceList", ())
                if each["Properties"].get("ConnectionType") == "USB"
            )
        except (KeyError, TypeError) as error:
            raise NoUsbmuxd(
                f"what is at {self.address} lists no phones as usbmuxd does ({error!r}). {HELP}"
            ) from error

    def trusts(self, udid: str) -> bool:
        """Whether that phone and this computer were paired: somebody tapped Trust on it.

        Raises:
            NoUsbmuxd: it is not there.
        """
        with self._open() as channel:
            answer = self._ask(channel, {"MessageType": "ReadPairRecord", "PairRecordID": udid})
        return "PairRecordData" in answer

    def connect(self, udid: str, port: int) -> socket.socket:
        """A connection to that port of the phone, on the phone's own loopback address.

        Raises:
            NoUsbmuxd: it is not there.
            Unplugged: the phone is not on the cable.
            AppNotRunning: nothing listens there.
        """
        number = next((each.number for each in self.phones() if each.udid == udid), None)
        if number is None:
            raise Unplugged(f"{udid} is not on the cable: plug it in, unlock it, and tap Trust")
        channel = self._open()
        try:
            swapped = socket.htons(port)  # the daemon wants network order
            result = self._ask(
                channel, {"MessageType": "Connect", "DeviceID": number, "PortNumber": swapped}
            ).get("Number")
            if result == _REFUSED:
                raise AppNotRunning(f"{udid}: the Phonebook app does not run there; tap its icon")
            if result == _NO_DEVICE:
                raise Unplugged(f"{udid} was just unplugged")
            if result != _OK:
                raise NoUsbmuxd(
                    f"usbmuxd at {self.address} answers Connect with {result} "
                    f"({_RESULTS.get(result or -1, 'unknown')}). {HELP}"
                )
        except BaseException:
            channel.close()
            raise
        return channel

    def _open(self) -> socket.socket:
        path = self.address.removeprefix("UNIX:")
        host, _, port = path.rpartition(":")
        try:
            if host and port.isdigit() and "/" not in path:
                return socket.create_connection((host.strip("[]"), int(port)), timeout=LIMIT_S)
            channel = socket.socket(socket.AF_UNIX)
            try:
                channel.settimeout(LIMIT_S)
                channel.connect(path)
            except BaseException:
                channel.close()
                raise
        except OSError as error:
            raise NoUsbmuxd(f"no usbmuxd at {self.address} ({error}). {HELP}") from error
        return channel

    def _ask(self, channel: socket.socket, request: dict[str, Any]) -> dict[str, Any]:
        words = {"ClientVersionString": "phonebook", "ProgName": "phonebook", **request}
        body = plistlib.dumps({**words, "kLibUSBMuxVersion": 3})
        tag = 1
        try:
            channel.sendall(_HEADER.pack(_HEADER.size + len(body), _VERSION, _PLIST, tag) + body)
            length, _, kind, answered = _HEADER.unpack(_exactly(channel, _HEADER.size))
            if (kind, answered) != (_PLIST, tag) or not _HEADER.size < length < _MOST_BYTES:
                raise ValueError(f"a header of {length} bytes, type {kind}, tag {answered}")
            answer = plistlib.loads(_exactly(channel, length - _HEADER.size))
            if not isinstance(answer, dict):
                raise ValueError("no dictionary")
        except (OSError, ValueError, ExpatError) as error:
            raise NoUsbmuxd(
                f"what is at {self.address} does not answer as usbmuxd does ({error}). {HELP}"
            ) from error
        return answer


def _exactly(channel: socket.socket, count: int) -> bytes:
    content = b""
    while len(content) < count:
        piece = channel.recv(count - len(content))
        if not piece:
            raise ConnectionError("it hung up")
        content += piece
    return content
