"""Server-sent events: whoever looks at the fleet learns when it has changed."""

import asyncio
from collections.abc import AsyncIterator, Callable
from datetime import datetime

import structlog
from sqlalchemy.exc import OperationalError
from starlette.responses import StreamingResponse
from starlette.types import Receive, Scope, Send

from server.database.engine import FileReplaced
from server.database.transactions import Database
from server.errors import Busy, NotReady
from server.store.fleet import digest

MOST_LISTENERS = 50
POLL_S = 2.0
HEARTBEAT_S = 15.0
LONGEST_S = 60.0  # then the browser asks anew, and a server that waits for streams can end

log = structlog.get_logger(__name__)


class Listeners:
    """The open streams of one server, and one task that looks at the fleet for all of them.

    For use in the event loop alone.
    """

    def __init__(self, database: Database, clock: Callable[[], datetime]) -> None:
        self._database = database
        self._clock = clock
        self._open = 0
        self._closing = False
        self._digest: str | None = None
        self._news = asyncio.Event()  # replaced whenever it is set
        self._poll: asyncio.Task[None] | None = None

    def close(self) -> None:
        """Let every stream end: the server is to end."""
        self._closing = True
        self._tell()

    def stream(self) -> "FleetStream":
        """An answer to one listener: the fleet's digest now, and whenever it is another.

        Raises:
            NotReady: there are too many listeners already.
        """
        if self._open >= MOST_LISTENERS:
            raise NotReady(
                f"{MOST_LISTENERS} pages follow the fleet already; reload this one to see "
                "how it stands"
            )
        self._open += 1
        if self._poll is None or self._poll.done():
            self._poll = asyncio.create_task(self._look())
        return FleetStream(self)

    def leave(self) -> None:
        """Make room for another listener."""
        self._open -= 1

    async def events(self) -> AsyncIterator[str]:
        """What one listener hears, for a minute at most."""
        now = asyncio.get_running_loop().time
        until, known = now() + LONGEST_S, None
        while not self._closing and now() < until:
            news = self._news
            if self._digest is not None and self._digest != known:
                known = self._digest
                yield f"event: fleet\ndata: {known}\n\n"
            try:
                await asyncio.wait_for(news.wait(), min(HEARTBEAT_S, until - now()))
            except TimeoutError:
                yield ": nothing new\n\n"

    async def _look(self) -> None:
        """Tell every listener of changes, as long as there is one."""
        while self._open and not self._closing:
            found = await self._look_once()
            if found is not None and found != self._digest:
                self._digest = found
                self._tell()
            await asyncio.sleep(POLL_S)
        self._digest = None  # whoever comes next is told how it stands then

    async def _look_once(self) -> str | None:
        """None while the database is away: the streams outlive that."""
        try:
            return await self._database.read(digest, self._clock())
        except (OperationalError, FileReplaced, Busy) as error:
            log.error("the database did not answer", reason=str(error))
            return None

    def _tell(self) -> None:
        self._news.set()
        self._news = asyncio.Event()


class FleetStream(StreamingResponse):
    """The events of one listener, whose room is free again when it is gone."""

    def __init__(self, listeners: Listeners) -> None:
        headers = {"Cache-Control": "no-store", "X-Accel-Buffering": "no"}
        super().__init__(listeners.events(), media_type="text/event-stream", headers=headers)
        self._listeners = listeners

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        try:
            await super().__call__(scope, receive, send)
        finally:
            self._listeners.leave()
