"""Copying files to and from the phone, by ADB's sync service.

adb-shell's own push takes no folders, and overlooks a refusal until everything is sent.
"""

import errno
import os
import stat
import struct
from collections.abc import Iterator
from pathlib import Path

from device_agent.devices.android.adb.errors import CommandFailed, PhoneLost, StorageFull
from device_agent.devices.android.adb.packets import (
    PROGRESS_LIMIT_S,
    NothingCame,
    PacketDevice,
    Stream,
)

_PIECE = 64 * 1024
_PACKET = struct.Struct("<4sI")
_FILE = stat.S_IFREG | 0o644
_PROGRAM = stat.S_IFREG | 0o755


def push(device: PacketDevice, source: Path, target: str, *, executable: bool) -> None:
    """As `Connection.push`. A file that may be executed here, may be there."""
    for path, relative in _files(source):
        mode = _PROGRAM if executable or os.access(path, os.X_OK) else _FILE
        destination = f"{target}/{relative}" if relative else target
        sync = _Sync(device)
        try:
            sync.send_file(path, destination, mode)
        finally:
            sync.close()


def pull(device: PacketDevice, path: str) -> bytes:
    """As `Connection.pull`."""
    sync = _Sync(device)
    content = sync.fetch(path)
    sync.close()
    return content


def _files(source: Path) -> Iterator[tuple[Path, str]]:
    if not source.is_dir():
        yield source, ""
        return
    for path in sorted(source.rglob("*")):
        if path.is_file():
            yield path, path.relative_to(source).as_posix()


class _Sync:
    def __init__(self, device: PacketDevice) -> None:
        try:
            self._stream: Stream = device.stream("sync:")
        except (NothingCame, ConnectionRefusedError) as error:
            raise PhoneLost("it takes no files") from error
        self._unread = b""

    def send_file(self, source: Path, target: str, mode: int) -> None:
        recipient = f"{target},{mode}".encode()
        try:
            self._stream.send(_PACKET.pack(b"SEND", len(recipient)) + recipient)
            with source.open("rb") as file:
                while piece := file.read(_PIECE):
                    if self._stream.has_received():  # a refusal, before everything is sent
                        break
                    self._stream.send(_PACKET.pack(b"DATA", len(piece)) + piece)
            if not self._stream.has_received():
                self._stream.send(_PACKET.pack(b"DONE", int(source.stat().st_mtime)))
            answer, size = self._head()
            if answer != b"OKAY":
                raise _refused(target, self._read(size))
        except NothingCame as silence:
            raise PhoneLost(f"took nothing of {target} for {PROGRESS_LIMIT_S:g} s") from silence
        except BrokenPipeError:
            raise PhoneLost(f"stopped taking {target}") from None

    def fetch(self, path: str) -> bytes:
        name = path.encode()
        content = bytearray()
        try:
            self._stream.send(_PACKET.pack(b"RECV", len(name)) + name)
            while True:
                answer, size = self._head()
                if answer == b"DONE":
                    return bytes(content)
                if answer != b"DATA":
                    raise _refused(path, self._read(size))
                content += self._read(size)
        except NothingCame as silence:
            raise PhoneLost(f"sent nothing of {path} for {PROGRESS_LIMIT_S:g} s") from silence
        except BrokenPipeError:
            raise PhoneLost(f"stopped sending {path}") from None

    def close(self) -> None:
        try:
            self._stream.close()
        except NothingCame as silence:
            raise PhoneLost("does not end a copy") from silence

    def _head(self) -> tuple[bytes, int]:
        answer, size = _PACKET.unpack(self._read(_PACKET.size))
        return answer, size

    def _read(self, size: int) -> bytes:
        while len(self._unread) < size:
            piece = self._stream.receive(PROGRESS_LIMIT_S)
            if not piece:
                raise BrokenPipeError
            self._unread += piece
        wanted, self._unread = self._unread[:size], self._unread[size:]
        return wanted


def _refused(path: str, reason: bytes) -> CommandFailed | StorageFull:
    words = reason.decode(errors="replace")
    if os.strerror(errno.ENOSPC).lower() in words.lower():
        return StorageFull(
            f"the phone's storage is full: {path}: {words}. Free some of it; what was measured "
            "is kept, and the same command goes on"
        )
    return CommandFailed(f"{path}: {words}")
