"""A shell command on the phone. Each tells its process id first, so that it can be killed."""

import struct
import time

from device_agent.devices.android.adb.errors import NoShell, PhoneLost
from device_agent.devices.android.adb.packets import NothingCame, PacketDevice, Stream

START_LIMIT_S = 20.0
_EXIT_MARK = b"\x1e"  # before the exit code, where the stream cannot carry it otherwise
_STDIN, _STDOUT, _STDERR, _EXIT = 0, 1, 2, 3
_HEADER = struct.Struct("<BI")


class Shell:
    """One running command. Phones from Android 7 on keep its streams and its exit code apart.

    From an older phone stderr comes in stdout, and the code is echoed after the command. The
    parentheses around it matter: `exit 3` would end the echo too.
    """

    def __init__(self, device: PacketDevice, command: str, *, has_v2: bool) -> None:
        self._device = device
        self._has_v2 = has_v2
        self._code: int | None = None
        self._raw = bytearray()
        self._out = bytearray()
        self.stderr = bytearray()
        self._ended = False
        if has_v2:
            self._stream = self._open(f"shell,v2,raw:echo $$; {command}")
        else:
            self._stream = self._open(f"exec:echo $$; ( {command} ) 2>&1; printf '\\036%s\\n' $?")
        self.pid = self._first_line()

    def send(self, data: bytes) -> None:
        if self._ended:
            raise BrokenPipeError
        try:
            self._stream.send(_HEADER.pack(_STDIN, len(data)) + data if self._has_v2 else data)
        except NothingCame as silence:
            raise PhoneLost("it takes nothing") from silence

    def receive(self, timeout_s: float) -> bytes | None:
        until = time.monotonic() + timeout_s
        while not self._out and not self._ended:
            try:
                piece = self._stream.receive(max(0.0, until - time.monotonic()))
            except NothingCame:
                return None
            self._ended = not piece
            self._raw += piece
            self._unpack()
        out = bytes(self._out)
        self._out.clear()
        return out

    def code(self) -> int:
        if self._code is None:
            raise PhoneLost("a command's output ended without its exit code")
        return self._code

    def kill(self) -> None:
        """End the command with all that it started. Raises PhoneLost where that cannot be told."""
        try:
            killer = Shell(self._device, f"kill -9 -{self.pid}", has_v2=self._has_v2)
            while killer.receive(START_LIMIT_S):
                pass
            self._stream.close()
        except NothingCame as silence:
            raise PhoneLost("it does not answer") from silence

    def _open(self, service: str) -> Stream:
        try:
            return self._device.stream(service)
        except NothingCame as silence:
            raise PhoneLost("it starts no shell") from silence
        except ConnectionRefusedError as error:
            raise NoShell("the phone refuses to start a shell") from error

    def _first_line(self) -> int:
        until = time.monotonic() + START_LIMIT_S
        line = b""
        while not line.endswith(b"\n"):
            piece = self.receive(until - time.monotonic())
            if piece is None:
                raise PhoneLost("its shell says nothing")
            if not piece:
                raise self._no_shell(line)
            first, newline, rest = (line + piece).partition(b"\n")
            line = first + newline
            self._out[:0] = rest
        try:
            return int(line)
        except ValueError:
            raise NoShell(f"the phone's shell does not start: {line[:300]!r}") from None

    def _no_shell(self, said: bytes) -> NoShell:
        words = bytes(self.stderr or said or self._raw).decode(errors="replace").strip()
        code = "" if self._code is None else f" with exit code {self._code}"
        return NoShell(f"the phone's shell ends at once{code}: {words[-300:] or 'without a word'}")

    def _unpack(self) -> None:
        """Sort what has come into stdout, stderr and exit code."""
        if not self._has_v2:
            out, mark, code = self._raw.partition(_EXIT_MARK)
            self._out += out
            self._raw = bytearray(mark + code)
            if code.endswith(b"\n"):
                self._code = int(code)
            return
        while len(self._raw) >= _HEADER.size:
            kind, length = _HEADER.unpack_from(self._raw)
            end = _HEADER.size + length
            if len(self._raw) < end:
                return
            data = self._raw[_HEADER.size : end]
            del self._raw[:end]
            if kind == _STDOUT:
                self._out += data
            elif kind == _STDERR:
                self.stderr += data
            elif kind == _EXIT and data:
                self._code = data[0]
