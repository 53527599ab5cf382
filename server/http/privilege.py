"""The local privilege: who sits at the server's computer needs no token before there is one."""

import time

from starlette.types import Scope

from server.database.transactions import Database
from server.http.locality import is_from_here
from server.store import tokens

LOOK_EVERY_S = 1.0


class LocalPrivilege:
    """Ends for good once a token was made, by whatever process, and is then never asked about.

    A proxy on this computer looks like somebody who sits at it, so that whoever lets others in
    must not leave this door open behind them.
    """

    def __init__(self, database: Database, *, possible: bool) -> None:
        self._database = database
        self._possible = possible
        self._looked_at_s = float("-inf")

    async def holds(self, scope: Scope) -> bool:
        """Whether the sender may do without a token."""
        if not (self._possible and is_from_here(scope)):
            return False
        now_s = time.monotonic()
        if now_s - self._looked_at_s > LOOK_EVERY_S:
            if await self._database.glance(tokens.any_ever):
                self._possible = False
            self._looked_at_s = now_s
        return self._possible
