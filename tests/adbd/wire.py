"""Packets, and streams of bytes over them, as adbd has them."""

import asyncio
import base64
import struct
from typing import Protocol

from cryptography.hazmat.primitives.asymmetric import rsa

NAMES = ("CNXN", "AUTH", "OPEN", "OKAY", "CLSE", "WRTE", "STLS")
COMMANDS = {name: int.from_bytes(name.encode(), "little") for name in NAMES}
HEADER = struct.Struct("<6I")
NO_CHECKSUMS = 0x01000001  # the first version whose packets carry none


class Wire(Protocol):
    """One client's connection, as its streams see it."""

    most: int

    async def send(
        self, name: str, first: int = 0, second: int = 0, data: bytes = b""
    ) -> None: ...


class Stream:
    """One service's bytes: a packet at a time, and none before the last was acknowledged."""

    def __init__(self, wire: Wire, local: int, remote: int) -> None:
        self.wire, self.local, self.remote = wire, local, remote
        self.is_closed = False
        self._incoming: asyncio.Queue[bytes | None] = asyncio.Queue()
        self._acknowledged = asyncio.Semaphore(0)
        self._unread = bytearray()

    async def write(self, data: bytes) -> None:
        for start in range(0, len(data), self.wire.most):
            if self.is_closed:
                raise ConnectionResetError
            piece = data[start : start + self.wire.most]
            await self.wire.send("WRTE", self.local, self.remote, piece)
            await self._acknowledged.acquire()

    async def read(self, count: int) -> bytes:
        """Raises EOFError at the end."""
        while len(self._unread) < count:
            piece = await self._incoming.get()
            if piece is None:
                raise EOFError
            self._unread += piece
        data = bytes(self._unread[:count])
        del self._unread[:count]
        return data

    def on_data(self, data: bytes) -> None:
        self._incoming.put_nowait(data)

    def on_acknowledged(self) -> None:
        self._acknowledged.release()

    def on_end(self) -> None:
        self.is_closed = True
        self._incoming.put_nowait(None)
        self._acknowledged.release()


def packet(name: str, first: int, second: int, data: bytes, *, has_checksum: bool) -> bytes:
    command = COMMANDS[name]
    checksum = sum(data) & 0xFFFFFFFF if has_checksum else 0
    return HEADER.pack(command, first, second, len(data), checksum, command ^ 0xFFFFFFFF) + data


def public_key(offered: bytes) -> rsa.RSAPublicKey:
    """Android's form of a key: its words, -1/n mod 2^32, n, 2^4096 mod n, the exponent."""
    raw = base64.b64decode(offered.split(b"\0")[0].split(b" ")[0])
    (words,) = struct.unpack_from("<I", raw)
    modulus = int.from_bytes(raw[8 : 8 + 4 * words], "little")
    (exponent,) = struct.unpack_from("<I", raw, 8 + 8 * words)
    return rsa.RSAPublicNumbers(exponent, modulus).public_key()
