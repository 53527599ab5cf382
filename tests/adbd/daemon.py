"""The daemon: listens on this computer alone, in a thread of its own."""

import asyncio
import threading
from asyncio.subprocess import Process
from contextlib import suppress
from typing import Self

from cryptography.hazmat.primitives.asymmetric import rsa

from tests.adbd.clients import Client
from tests.adbd.phone import FakePhone
from tests.adbd.shells import end

LIMIT_S = 20.0


class Adbd:
    """A context manager: while it is entered, `serial` is an address where the phone answers."""

    def __init__(self, phone: FakePhone) -> None:
        self.phone = phone
        self.keys: list[rsa.RSAPublicKey] = []
        self.connections = 0
        self._running: set[Process] = set()
        self._clients: set[Client] = set()
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, daemon=True)

    @property
    def serial(self) -> str:
        return f"127.0.0.1:{self._port}"

    def __enter__(self) -> Self:
        self._thread.start()
        started = asyncio.run_coroutine_threadsafe(self._start(), self._loop)
        self._port = started.result(LIMIT_S)
        return self

    def __exit__(self, *raised: object) -> None:
        asyncio.run_coroutine_threadsafe(self._stop(), self._loop).result(LIMIT_S)
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(LIMIT_S)
        self._loop.close()

    def hang_up(self) -> None:
        """Pull the cable of every client, as it is."""

        def cut() -> None:
            for client in self._clients:
                client.hang_up()

        self._loop.call_soon_threadsafe(cut)

    async def _start(self) -> int:
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", 0, limit=4 << 20)
        port: int = self._server.sockets[0].getsockname()[1]
        return port

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        if self.phone.faults.refuse_connections:
            writer.close()
            return
        self.connections += 1
        client = Client(self.phone, self.keys, self._running, reader, writer)
        self._clients.add(client)
        try:
            await client.serve()
        finally:
            self._clients.discard(client)

    async def _stop(self) -> None:
        self._server.close()
        for client in list(self._clients):
            client.hang_up()
        rest = [task for task in asyncio.all_tasks() if task is not asyncio.current_task()]
        for task in rest:
            task.cancel()
        with suppress(asyncio.CancelledError):
            await asyncio.gather(*rest, return_exceptions=True)
        await end(self._running)
