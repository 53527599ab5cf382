"""Server-sent events: whoever looks at the fleet learns when it has changed."""

import asyncio
from collections.abc import AsyncGenerator, Callable
from datetime import datetime

import structlog
from sqlalchemy.exc import OperationalError

from server.database import Database
from server.errors import NotReady
from server.store.fleet import digest

MOST_LISTENERS = 50
POLL_S = 2.0
STEP_S = 0.2  # within which a stream ends when the server is to end
HEARTBEAT_S = 15.0
LONGEST_S = 60.0  # then the browser asks anew, and a server that waits for streams can end

log = structlog.get_logger(__name__)


class Listeners:
    """The open streams of one server."""

    def __init__(self, database: Database, clock: Callable[[], datetime]) -> None:
        self._database = database
        self._clock = clock
        self._open = 0
        self._closing = False

    def close(self) -> None:
        """Let every stream end: the server is to end."""
        self._closing = True

    def stream(self) -> AsyncGenerator[str, None]:
        """Events of one listener: the fleet's digest now, and whenever it is another.

        Raises:
            NotReady: there are too many listeners already.
        """
        if self._open >= MOST_LISTENERS:
            raise NotReady(
                f"{MOST_LISTENERS} pages follow the fleet already; reload this one to see "
                "how it stands"
            )
        return self._events()

    async def _events(self) -> AsyncGenerator[str, None]:
        self._open += 1
        try:
            known, quiet_s, lived_s = None, 0.0, 0.0
            while not self._closing and lived_s < LONGEST_S:
                now = await self._digest()
                if now is not None and now != known:
                    known, quiet_s = now, 0.0
                    yield f"event: fleet\ndata: {now}\n\n"
                elif quiet_s >= HEARTBEAT_S:
                    quiet_s = 0.0
                    yield ": nothing new\n\n"
                waited_s = await self._pause()
                quiet_s, lived_s = quiet_s + waited_s, lived_s + waited_s
        finally:
            self._open -= 1

    async def _pause(self) -> float:
        waited_s = 0.0
        while waited_s < POLL_S and not self._closing:
            await asyncio.sleep(STEP_S)
            waited_s += STEP_S
        return waited_s

    async def _digest(self) -> str | None:
        """None while the database is away: the stream outlives that."""
        try:
            return await self._database.read(digest, self._clock())
        except OperationalError as error:
            log.error("the database did not answer", reason=str(error.orig))
            return None
