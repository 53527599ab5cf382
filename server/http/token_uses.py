"""When tokens were last used: noted once an hour each, if that can be had without delay."""

from datetime import datetime, timedelta
from uuid import UUID

import structlog
from sqlalchemy.exc import SQLAlchemyError
from starlette.types import ASGIApp, Receive, Scope, Send

from server.database.engine import FileReplaced
from server.database.transactions import Database
from server.errors import Busy
from server.http.clock import Clock
from server.store import tokens
from server.store.tokens import Holder

NOTED_EVERY = timedelta(hours=1)

log = structlog.get_logger(__name__)


class TokenUses:
    """Notes a use once the answer has left, one at a time: nobody waits for it, and nobody is
    refused because the database is locked, full or may only be read.
    """

    def __init__(self, app: ASGIApp, *, database: Database, clock: Clock) -> None:
        self._app = app
        self._database = database
        self._clock = clock
        self._tried: dict[UUID, datetime] = {}
        self._is_noting = False

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        await self._app(scope, receive, send)
        holder: Holder | None = scope.get("state", {}).get("holder")  # `Access` has found
        if holder is None or self._is_noting:
            return
        now = self._clock()
        last = self._tried.get(holder.id, holder.last_used_at)
        if last is None or now - last >= NOTED_EVERY:
            self._tried[holder.id] = now
            self._is_noting = True
            try:
                await self._database.write(tokens.note_use, holder.id, now)
            except (SQLAlchemyError, FileReplaced, Busy) as error:
                log.info("the use of a token was not noted", token=holder.name, reason=str(error))
            finally:
                self._is_noting = False
