"""adb-shell's packets with what it lacks: it hides its parts, so this module alone touches them.

adb-shell's own `shell`, `push` and `pull` lose exit codes, stderr and early refusals, so that of
its client only connecting, authentication and packets are used.
"""

import socket
import time
from collections.abc import Iterator
from contextlib import contextmanager
from importlib import import_module
from types import ModuleType
from typing import Any

from adb_shell import constants, exceptions
from adb_shell.adb_device import AdbDevice, _AdbIOManager
from adb_shell.adb_message import AdbMessage
from adb_shell.hidden_helpers import _AdbTransactionInfo
from adb_shell.transport.base_transport import BaseTransport
from adb_shell.transport.tcp_transport import TcpTransport

from device_agent.adb.errors import PhoneLost

PROGRESS_LIMIT_S = 30.0  # for the phone to take a packet


def _libusb() -> ModuleType | None:
    """None where the package is missing, or libusb itself."""
    try:
        return import_module("usb1")
    except (ImportError, OSError):
        return None


usb1 = _libusb()
_GONE: tuple[type[Exception], ...] = (OSError, usb1.USBError) if usb1 else (OSError,)


class NothingCame(Exception):
    """The phone sent nothing in time."""


class Tcp(TcpTransport):  # type: ignore[misc]  # adb-shell has no types
    """Without Nagle's delay, which costs 40 ms a command; writes whole; an end is an error."""

    def connect(self, transport_timeout_s: float | None) -> None:
        super().connect(transport_timeout_s)
        self._connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._connection.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)

    def bulk_read(self, numbytes: int, transport_timeout_s: float | None) -> bytes:
        data: bytes = super().bulk_read(numbytes, transport_timeout_s)
        if not data:
            raise ConnectionResetError("it closed the connection")
        return data

    def bulk_write(self, data: bytes, transport_timeout_s: float | None) -> int:
        rest = memoryview(data)
        while rest:
            rest = rest[super().bulk_write(rest, transport_timeout_s) :]
        return len(data)


class _Packets(_AdbIOManager):  # type: ignore[misc]  # adb-shell has no types
    """Keeps what the phone says of itself when it lets us in."""

    banner = b""

    def _read_expected_packet_from_device(
        self, expected_cmds: list[bytes], adb_info: Any
    ) -> tuple[bytes, int, int, bytes]:
        packet: tuple[bytes, int, int, bytes]
        packet = super()._read_expected_packet_from_device(expected_cmds, adb_info)
        if packet[0] == constants.CNXN:
            self.banner = packet[3]
        return packet


class PacketDevice(AdbDevice):  # type: ignore[misc]  # adb-shell has no types
    """A client whose streams are `Stream`."""

    def __init__(self, transport: BaseTransport) -> None:
        super().__init__(transport)
        self._io_manager = _Packets(transport)

    @property
    def banner(self) -> dict[str, str]:
        """`ro.product.model`, `features` and the like."""
        words = self._io_manager.banner.rstrip(b"\0").decode(errors="replace")
        pairs = (pair.partition("=") for pair in words.removeprefix("device::").split(";"))
        return {key: value for key, _, value in pairs if value}

    def stream(self, service: str) -> "Stream":
        """Raises ConnectionRefusedError where the phone has no such service."""
        self._local_id += 1
        return Stream(self._io_manager, self._local_id, self._maxdata, service)


class Stream:
    """One service of the phone: bytes both ways, beside the connection's other streams."""

    def __init__(self, packets: _Packets, local_id: int, most: int, service: str) -> None:
        self._packets = packets
        self._info = _AdbTransactionInfo(local_id, None, PROGRESS_LIMIT_S, PROGRESS_LIMIT_S)
        self._most = most
        self._received = bytearray()
        self._ended = False
        self._may_send = False
        self._write(constants.OPEN, service.encode() + b"\0")
        until = time.monotonic() + PROGRESS_LIMIT_S
        while not self._may_send:
            self._take(until)
            if self._ended:
                raise ConnectionRefusedError(service)

    def send(self, data: bytes) -> None:
        """Raises BrokenPipeError where the service has ended."""
        for start in range(0, len(data), self._most):
            until = time.monotonic() + PROGRESS_LIMIT_S
            while not self._may_send and not self._ended:
                self._take(until)
            if self._ended:
                raise BrokenPipeError
            self._may_send = False
            self._write(constants.WRTE, data[start : start + self._most])

    def receive(self, timeout_s: float) -> bytes:
        """What came, empty at the end.

        Raises:
            NothingCame: in time.
        """
        until = time.monotonic() + timeout_s
        while not self._received and not self._ended:
            self._take(until)
        received = bytes(self._received)
        self._received.clear()
        return received

    def has_received(self) -> bool:
        """Whether something came while sending."""
        return bool(self._received)

    def close(self) -> None:
        if not self._ended:
            self._write(constants.CLSE)
            until = time.monotonic() + PROGRESS_LIMIT_S
            while not self._ended:
                self._take(until, answer=False)

    def _take(self, until: float, *, answer: bool = True) -> None:
        """Read one packet of this stream."""
        self._info.transport_timeout_s = max(0.001, until - time.monotonic())
        self._info.read_timeout_s = self._info.transport_timeout_s
        with translated():
            command, remote, _, data = self._packets.read(
                [constants.OKAY, constants.WRTE, constants.CLSE], self._info, allow_zeros=True
            )
        if command == constants.CLSE:
            if answer and self._info.remote_id is not None:
                self._write(constants.CLSE)
            self._ended = True
        elif command == constants.OKAY:
            self._info.remote_id = remote
            self._may_send = True
        else:
            self._received += data
            if answer:
                self._write(constants.OKAY)

    def _write(self, command: bytes, data: bytes = b"") -> None:
        self._info.transport_timeout_s = PROGRESS_LIMIT_S
        message = AdbMessage(command, self._info.local_id, self._info.remote_id or 0, data)
        with translated():
            self._packets.send(message, self._info)


@contextmanager
def translated() -> Iterator[None]:
    """adb-shell's errors as ours.

    Raises:
        NothingCame: the phone was silent.
        PhoneLost: it is gone, or what it says makes no sense.
    """
    try:
        yield
    except (exceptions.TcpTimeoutException, exceptions.AdbTimeoutError) as error:
        raise NothingCame from error
    except (exceptions.UsbReadFailedError, exceptions.UsbWriteFailedError) as error:
        if usb1 and isinstance(getattr(error, "usb_error", None), usb1.USBErrorTimeout):
            raise NothingCame from error
        raise PhoneLost(str(error)) from error
    except _GONE as error:
        raise PhoneLost(str(error) or type(error).__name__) from error
    except (
        exceptions.InvalidChecksumError,
        exceptions.InvalidCommandError,
        exceptions.InvalidResponseError,
        ValueError,
    ) as error:
        raise PhoneLost(f"what it sent makes no sense: {error}") from error
