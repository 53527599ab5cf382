"""The daemon, in a thread of its own, on a socket's path or on a port of this computer alone."""

import asyncio
import plistlib
import shutil
import socket
import tempfile
import threading
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Self

from tests.usbmux import wire

LIMIT_S = 20.0
_PIECE = 1 << 18


@dataclass
class Cabled:
    """An iPhone, whether plugged in or not: its UDID, and what its ports lead to here."""

    udid: str
    ports: dict[int, int] = field(default_factory=dict)
    is_paired: bool = True
    connection: str = "USB"


class FakeUsbmuxd:
    """A context manager: while it is entered, `address` is where it answers.

    `answer` may replace its answer to a request, to break the protocol.
    """

    def __init__(self, *phones: Cabled, tcp: bool = False) -> None:
        self.connects = 0  # that succeeded
        self.answer: Callable[[wire.Request], bytes | None] = lambda request: None
        self._phones = list(phones)
        self._plugged: dict[int, Cabled] = {}
        self._numbers = 0
        self._tcp = tcp
        self._folder = Path(tempfile.mkdtemp(prefix="usbmuxd-"))  # a socket's path must be short
        self._listening: set[asyncio.StreamWriter] = set()
        self._carried: dict[asyncio.StreamWriter, int] = {}  # by their phone's number
        self._writers: set[asyncio.StreamWriter] = set()
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        self._do(self._start())
        for phone in self._phones:
            self.plug(phone)
        return self

    def __exit__(self, *raised: object) -> None:
        self._do(self._stop())
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(LIMIT_S)
        self._loop.close()
        shutil.rmtree(self._folder)

    def plug(self, phone: Cabled) -> None:
        """It is listed under a new number, as usbmuxd does."""
        self._do(self._plug(phone))

    def unplug(self, phone: Cabled) -> None:
        """Pull its cable: its connections end as they are."""
        self._do(self._unplug(phone))

    def _do(self, work: Any) -> None:
        asyncio.run_coroutine_threadsafe(work, self._loop).result(LIMIT_S)

    async def _start(self) -> None:
        if self._tcp:
            self._server = await asyncio.start_server(self._serve, "127.0.0.1", 0)
            self.address = "127.0.0.1:{1}".format(*self._server.sockets[0].getsockname())
        else:
            path = self._folder / "socket"
            self._server = await asyncio.start_unix_server(self._serve, path)
            self.address = str(path)

    async def _stop(self) -> None:
        self._server.close()
        for writer in list(self._writers):
            writer.close()
        rest = [task for task in asyncio.all_tasks() if task is not asyncio.current_task()]
        for task in rest:
            task.cancel()
        await asyncio.gather(*rest, return_exceptions=True)

    async def _plug(self, phone: Cabled) -> None:
        self._numbers += 1
        self._plugged[self._numbers] = phone
        for writer in self._listening:
            writer.write(wire.packet(0, self._attached(self._numbers)))

    async def _unplug(self, phone: Cabled) -> None:
        for number in [each for each, known in self._plugged.items() if known is phone]:
            del self._plugged[number]
            for writer, owner in list(self._carried.items()):
                if owner == number:
                    writer.transport.abort()
            for writer in self._listening:
                writer.write(wire.packet(0, {"MessageType": "Detached", "DeviceID": number}))

    def _attached(self, number: int) -> dict[str, Any]:
        phone = self._plugged[number]
        properties = {
            "ConnectionType": phone.connection,
            "DeviceID": number,
            "LocationID": 0,
            "ProductID": 0x12A8,
            "SerialNumber": phone.udid,
        }
        return {"MessageType": "Attached", "DeviceID": number, "Properties": properties}

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._writers.add(writer)
        try:
            while True:
                request = await wire.read(reader)
                replaced = self.answer(request)
                if replaced is not None:
                    writer.write(replaced)
                elif request.message.get("MessageType") == "Connect":
                    await self._connect(request, reader, writer)
                else:
                    writer.write(self._answer(request, writer))
                await writer.drain()
        except (OSError, ValueError, asyncio.IncompleteReadError):
            return
        finally:
            self._listening.discard(writer)
            self._writers.discard(writer)
            writer.close()

    def _answer(self, request: wire.Request, writer: asyncio.StreamWriter) -> bytes:
        tag, message = request
        match message.get("MessageType"):
            case "ListDevices":
                listed = [self._attached(number) for number in self._plugged]
                return wire.packet(tag, {"DeviceList": listed})
            case "Listen":
                self._listening.add(writer)
                known = [wire.packet(0, self._attached(number)) for number in self._plugged]
                return wire.result(tag, wire.OK) + b"".join(known)
            case "ReadBUID":
                return wire.packet(tag, {"BUID": "30142955-444094379208051516"})
            case "ReadPairRecord":
                return self._pair_record(tag, message.get("PairRecordID"))
            case _:
                return wire.result(tag, wire.BAD_COMMAND)

    def _pair_record(self, tag: int, udid: object) -> bytes:
        if any(phone.udid == udid and phone.is_paired for phone in self._plugged.values()):
            record = plistlib.dumps({"HostID": "phonebook", "SystemBUID": "phonebook"})
            return wire.packet(tag, {"PairRecordData": record})
        return wire.result(tag, wire.NO_DEVICE)

    async def _connect(
        self, request: wire.Request, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
    ) -> None:
        """Carry bytes both ways until either side ends; after a refusal the client may go on."""
        tag, message = request
        number = message["DeviceID"]
        if number not in self._plugged:
            writer.write(wire.result(tag, wire.NO_DEVICE))
            return
        port = self._plugged[number].ports.get(socket.ntohs(message["PortNumber"]))
        try:
            if port is None:
                raise ConnectionRefusedError
            there, back = await asyncio.open_connection("127.0.0.1", port)
        except OSError:
            writer.write(wire.result(tag, wire.REFUSED))
            return
        self.connects += 1
        carried = {writer: number, back: number}
        self._carried |= carried
        self._writers.add(back)
        writer.write(wire.result(tag, wire.OK))
        try:
            await asyncio.gather(_pump(reader, back), _pump(there, writer))
        finally:
            for each in carried:
                self._carried.pop(each, None)
            self._writers.discard(back)
            back.close()
        raise ConnectionError("both sides have ended")


async def _pump(source: asyncio.StreamReader, sink: asyncio.StreamWriter) -> None:
    with suppress(OSError):
        while piece := await source.read(_PIECE):
            sink.write(piece)
            await sink.drain()
    with suppress(OSError):
        sink.close()
