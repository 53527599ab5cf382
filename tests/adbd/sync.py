"""The service `sync:`: files to and from the phone."""

import errno
import os
import stat
import struct
from pathlib import Path

from tests.adbd.phone import FakePhone
from tests.adbd.wire import Stream

MOST = 64 * 1024
STAT2 = struct.Struct("<4sIQQIIIIQqqq")


class Sync:
    """Requests of one client, one after the other."""

    def __init__(self, phone: FakePhone, stream: Stream) -> None:
        self._phone = phone
        self._stream = stream

    async def serve(self) -> None:
        while True:
            request, length = struct.unpack("<4sI", await self._stream.read(8))
            if request == b"QUIT":
                return
            path = (await self._stream.read(length)).decode()
            match request:
                case b"STAT":
                    await self._stat(self._phone.local(path))
                case b"STA2" | b"LST2":
                    await self._stat_2(request, self._phone.local(path))
                case b"LIST":
                    await self._list(self._phone.local(path))
                case b"SEND":
                    await self._receive(path)
                case b"RECV":
                    await self._send(self._phone.local(path))
                case _:
                    await self._fail(f"unknown command {request!r}")
                    return

    async def _fail(self, message: str) -> None:
        words = message.encode()
        await self._stream.write(b"FAIL" + struct.pack("<I", len(words)) + words)

    async def _stat(self, path: Path) -> None:
        try:
            found = path.lstat()
            figures = (found.st_mode, found.st_size & 0xFFFFFFFF, int(found.st_mtime))
        except OSError:
            figures = (0, 0, 0)
        await self._stream.write(b"STAT" + struct.pack("<3I", *figures))

    async def _stat_2(self, request: bytes, path: Path) -> None:
        try:
            found = path.stat() if request == b"STA2" else path.lstat()
        except OSError as error:
            await self._stream.write(STAT2.pack(request, error.errno or 0, *[0] * 10))
            return
        shell = 2000
        times = (int(found.st_atime), int(found.st_mtime), int(found.st_ctime))
        await self._stream.write(
            STAT2.pack(
                *(request, 0, found.st_dev, found.st_ino, found.st_mode, found.st_nlink),
                *(shell, shell, found.st_size, *times),
            )
        )

    async def _list(self, path: Path) -> None:
        names = [".", "..", *sorted(os.listdir(path))] if path.is_dir() else []
        for name in names:
            found = (path / name).lstat()
            size = found.st_size & 0xFFFFFFFF
            word = name.encode()
            figures = (found.st_mode, size, int(found.st_mtime), len(word))
            await self._stream.write(b"DENT" + struct.pack("<4I", *figures) + word)
        await self._stream.write(b"DONE" + bytes(16))

    async def _receive(self, recipient: str) -> None:
        """A refusal is told at once; what the client still sends is read and dropped."""
        path, _, mode = recipient.rpartition(",")
        target, permissions = self._phone.local(path), int(mode)
        refused = None
        content = bytearray()
        while True:
            kind, length = struct.unpack("<4sI", await self._stream.read(8))
            if kind == b"DONE":
                break
            if kind != b"DATA" or length > MOST:
                await self._fail("invalid data message")
                return
            content += await self._stream.read(length)
            if self._phone.faults.storage_full and refused is None:
                refused = f"write failed: {os.strerror(errno.ENOSPC)}"
                await self._fail(refused)
        if refused is not None:
            return
        try:
            target.parent.mkdir(parents=True, exist_ok=True)
            target.unlink(missing_ok=True)
            if stat.S_ISLNK(permissions):
                target.symlink_to(content.rstrip(b"\0").decode())
            else:
                target.write_bytes(content)
                owner = permissions >> 6 & 7  # adbd gives group and others the same
                target.chmod(permissions & 0o777 | owner << 3 | owner)
                os.utime(target, (length, length))
        except OSError as error:
            await self._fail(f"couldn't create file: {error.strerror}")
        else:
            await self._stream.write(b"OKAY" + bytes(4))

    async def _send(self, path: Path) -> None:
        try:
            content = path.read_bytes()
        except OSError as error:
            await self._fail(f"open failed: {error.strerror}")
            return
        for start in range(0, len(content), MOST):
            piece = content[start : start + MOST]
            await self._stream.write(b"DATA" + struct.pack("<I", len(piece)) + piece)
        await self._stream.write(b"DONE" + bytes(4))
