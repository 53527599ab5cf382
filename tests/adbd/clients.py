"""One client's connection: letting it in, and its streams."""

import asyncio
import os
from asyncio.subprocess import Process
from contextlib import suppress

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import padding, rsa, utils

from tests.adbd.phone import FakePhone
from tests.adbd.shells import shell
from tests.adbd.sync import Sync
from tests.adbd.wire import COMMANDS, HEADER, NO_CHECKSUMS, Stream, packet, public_key

TOKEN, SIGNATURE, PUBLIC_KEY = 1, 2, 3
NAMES = {command: name for name, command in COMMANDS.items()}


class Client:
    """Serves one connection until it ends. `keys` are those that the phone trusts, `running`
    the commands that it runs for any client."""

    def __init__(
        self,
        phone: FakePhone,
        keys: list[rsa.RSAPublicKey],
        running: set[Process],
        reader: asyncio.StreamReader,
        writer: asyncio.StreamWriter,
    ) -> None:
        self.most = phone.most
        self._phone = phone
        self._keys = keys
        self._running = running
        self._reader, self._writer = reader, writer
        self._has_checksums = True
        self._token = b""
        self._is_in = False
        self._streams: dict[int, Stream] = {}
        self._opened = 0
        self._tasks: set[asyncio.Task[None]] = set()

    async def serve(self) -> None:
        with suppress(asyncio.IncompleteReadError, ConnectionError):
            while True:
                await self._take()
        self.hang_up()

    def hang_up(self) -> None:
        self._writer.close()
        for stream in self._streams.values():
            stream.on_end()

    async def send(self, name: str, first: int = 0, second: int = 0, data: bytes = b"") -> None:
        whole = packet(name, first, second, data, has_checksum=self._has_checksums)
        faults = self._phone.faults
        if faults.hang_up_after is not None:
            part = whole[: faults.hang_up_after]
            faults.hang_up_after -= len(part)
            if len(part) < len(whole):
                self._writer.write(part)
                self.hang_up()
                raise ConnectionResetError
        self._writer.write(whole)
        await self._writer.drain()

    async def _take(self) -> None:
        head = await self._reader.readexactly(HEADER.size)
        command, first, second, length, checksum, magic = HEADER.unpack(head)
        if magic != command ^ 0xFFFFFFFF or length > self._phone.most or command not in NAMES:
            raise ConnectionResetError
        data = await self._reader.readexactly(length)
        name = NAMES[command]
        if self._has_checksums and name != "CNXN" and sum(data) & 0xFFFFFFFF != checksum:
            raise ConnectionResetError
        match name:
            case "CNXN" if self._phone.faults.wants_tls:
                await self.send("STLS", 0x01000000)
            case "CNXN":
                self.most = min(second, self._phone.most)
                self._has_checksums = min(first, self._phone.version) < NO_CHECKSUMS
                await (self._challenge() if self._phone.needs_key else self._let_in())
            case "AUTH":
                await self._check(first, data)
            case "OPEN" if self._is_in:
                self._open(first, data.rstrip(b"\0").decode())
            case "WRTE" if stream := self._streams.get(second):
                stream.on_data(data)
                await self.send("OKAY", second, first)
            case "OKAY" if stream := self._streams.get(second):
                stream.on_acknowledged()
            case "CLSE" if stream := self._streams.pop(second, None):
                stream.on_end()
                await self.send("CLSE", second, first)  # as the real one answers
            case "WRTE":
                await self.send("CLSE", 0, first)

    async def _challenge(self) -> None:
        self._token = os.urandom(20)
        await self.send("AUTH", TOKEN, 0, self._token)

    async def _let_in(self) -> None:
        self._is_in = True
        await self.send("CNXN", self._phone.version, self._phone.most, self._phone.banner)

    async def _check(self, kind: int, data: bytes) -> None:
        if kind == SIGNATURE:
            if any(self._fits(key, data) for key in self._keys):
                await self._let_in()
            else:
                await self._challenge()
        elif kind == PUBLIC_KEY and self._phone.accepts_keys:
            self._keys.append(public_key(data))
            await self._let_in()

    def _fits(self, key: rsa.RSAPublicKey, signature: bytes) -> bool:
        digest = utils.Prehashed(hashes.SHA1())
        try:
            key.verify(signature, self._token, padding.PKCS1v15(), digest)
        except InvalidSignature:
            return False
        return True

    def _open(self, remote: int, service: str) -> None:
        self._opened += 1
        stream = self._streams[self._opened] = Stream(self, self._opened, remote)
        task = asyncio.create_task(self._serve(stream, service))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _serve(self, stream: Stream, service: str) -> None:
        kind, _, command = service.partition(":")
        name, *options = kind.split(",")
        v2 = "v2" in options
        is_known = name in ("shell", "exec", "sync")
        if not is_known or (v2 and "shell_v2" not in self._phone.features):
            del self._streams[stream.local]
            await self.send("CLSE", 0, stream.remote)
            return
        with suppress(EOFError, ConnectionError, ExceptionGroup):
            await self.send("OKAY", stream.local, stream.remote)
            if name == "sync":
                await Sync(self._phone, stream).serve()
            else:
                has_terminal = name == "shell" and not v2
                await shell(self._phone, stream, command, self._running, v2=v2, crlf=has_terminal)
        if self._streams.pop(stream.local, None) and not self._writer.is_closing():
            stream.on_end()
            with suppress(ConnectionError):
                await self.send("CLSE", stream.local, stream.remote)
