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
from adb_shell.adb_message import AdbMessage, checksum, unpack
from adb_shell.hidden_helpers import _AdbTransactionInfo
from adb_shell.transport.base_transport import BaseTransport
from adb_shell.transport.tcp_transport import TcpTransport

from device_agent.devices.android.adb.errors import PhoneLost

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


class TlsAlone(Exception):
    """The phone asks for TLS before it lets anybody in."""


class Tcp(TcpTransport):  # type: ignore[misc]  # adb-shell has no types
    """Without Nagle's delay, which costs 40 ms a command; writes whole; an end is an error."""

    def connect(self, transport_timeout_s: float | None) -> None:
        super().connect(transport_timeout_s)
        self._connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._connection.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)

    def bulk_read(self, numbytes: int, transport_timeout_s: float | None) -> bytes:
        self._must_be_open()
        data: bytes = super().bulk_read(numbytes, transport_timeout_s)
        if not data:
            raise ConnectionResetError("it closed the connection")
        return data

    def bulk_write(self, data: bytes, transport_timeout_s: float | None) -> int:
        self._must_be_open()
        rest = memoryview(data)
        while rest:
            rest = rest[super().bulk_write(rest, transport_timeout_s) :]
        return len(data)

    def _must_be_open(self) -> None:
        if self._connection is None:
            raise ConnectionResetError("the connection was closed")


class _Welcome(_AdbIOManager):  # type: ignore[misc]  # adb-shell has no types
    """Keeps what the phone says of itself when it lets us in."""

    banner = b""

    def _read_expected_packet_from_device(
        self, expected_cmds: list[bytes], adb_info: Any
    ) -> tuple[bytes, int, int, bytes]:
        packet: tuple[bytes, int, int, bytes]
        try:
            packet = super()._read_expected_packet_from_device(expected_cmds, adb_info)
        except exceptions.InvalidCommandError as error:
            if "'STLS'" in str(error):  # adb-shell knows no such command, and only says it
                raise TlsAlone from error
            raise
        if packet[0] == constants.CNXN:
            self.banner = packet[3]
        return packet


class PacketDevice(AdbDevice):  # type: ignore[misc]  # adb-shell has no types
    """A client whose streams are `Stream`.

    adb-shell's own sorting of packets to streams drops those that come while another is read.
    """

    def __init__(self, transport: BaseTransport) -> None:
        super().__init__(transport)
        self._io_manager = _Welcome(transport)
        self._streams: dict[int, Stream] = {}

    @property
    def banner(self) -> dict[str, str]:
        """`ro.product.model`, `features` and the like."""
        words = self._io_manager.banner.rstrip(b"\0").decode(errors="replace")
        pairs = (pair.partition("=") for pair in words.removeprefix("device::").split(";"))
        return {key: value for key, _, value in pairs if value}

    def stream(self, service: str) -> "Stream":
        """Raises ConnectionRefusedError where the phone has no such service."""
        self._local_id += 1
        stream = self._streams[self._local_id] = Stream(self, self._local_id, self._maxdata)
        stream.open(service)
        return stream

    def send_packet(self, command: bytes, local: int, remote: int, data: bytes = b"") -> None:
        with translated():
            self._io_manager.send(AdbMessage(command, local, remote, data), _limit())

    def take_packet(self, until: float) -> None:
        """Read one packet and hand it to its stream.

        Raises:
            NothingCame: until then.
        """
        with translated():
            head = self._io_manager._read_bytes_from_device(
                constants.MESSAGE_SIZE, _limit(max(0.001, until - time.monotonic()))
            )
        try:
            with translated():
                wire, remote, local, length, check = unpack(head)
                data = self._io_manager._read_bytes_from_device(length, _limit())
                if wire not in constants.WIRE_TO_ID or (check and check != checksum(data)):
                    raise ValueError(head)
        except NothingCame as silence:
            raise PhoneLost("it stopped in the middle of a packet") from silence
        command = constants.WIRE_TO_ID[wire]
        stream = self._streams.get(local)
        if stream is not None:
            stream.on_packet(command, remote, data)
        if command == constants.CLSE:
            self._streams.pop(local, None)


class Stream:
    """One service of the phone: bytes both ways, beside the connection's other streams."""

    def __init__(self, device: PacketDevice, local: int, most: int) -> None:
        self._device = device
        self._local = local
        self._remote = 0
        self._most = most
        self._received = bytearray()
        self._has_ended = False
        self._may_send = False

    def open(self, service: str) -> None:
        self._device.send_packet(constants.OPEN, self._local, 0, service.encode() + b"\0")
        self._wait_until_taken()
        if self._has_ended:
            raise ConnectionRefusedError(service)

    def send(self, data: bytes) -> None:
        """Raises BrokenPipeError where the service has ended."""
        for start in range(0, len(data), self._most):
            self._wait_until_taken()
            if self._has_ended:
                raise BrokenPipeError
            self._may_send = False
            self._write(constants.WRTE, data[start : start + self._most])

    def receive(self, timeout_s: float) -> bytes:
        """What came, empty at the end.

        Raises:
            NothingCame: in time.
        """
        until = time.monotonic() + timeout_s
        while not self._received and not self._has_ended:
            self._device.take_packet(until)
        received = bytes(self._received)
        self._received.clear()
        return received

    def has_received(self) -> bool:
        """Whether something came while sending."""
        return bool(self._received)

    def close(self) -> None:
        if not self._has_ended:
            self._write(constants.CLSE)
            until = time.monotonic() + PROGRESS_LIMIT_S
            while not self._has_ended:
                self._device.take_packet(until)

    def on_packet(self, command: bytes, remote: int, data: bytes) -> None:
        if command == constants.CLSE:
            self._has_ended = True
        elif command == constants.OKAY:
            self._remote = remote
            self._may_send = True
        elif command == constants.WRTE:
            self._received += data
            self._write(constants.OKAY)

    def _wait_until_taken(self) -> None:
        until = time.monotonic() + PROGRESS_LIMIT_S
        while not self._may_send and not self._has_ended:
            self._device.take_packet(until)

    def _write(self, command: bytes, data: bytes = b"") -> None:
        self._device.send_packet(command, self._local, self._remote, data)


def _limit(seconds: float = PROGRESS_LIMIT_S) -> _AdbTransactionInfo:
    return _AdbTransactionInfo(None, None, seconds, seconds)


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
