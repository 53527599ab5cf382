"""One database of one server: every transaction begins and ends in one thread of a bounded pool.

A route never waits for a thread while a transaction is open, so whoever holds a lock always gets
on. Writers have threads of their own, so that those who wait for a lock keep no reader waiting;
the event loop runs nothing that may block, so that the server always tells that it lives
(`docs/decisions/0014`).
"""

import asyncio
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from functools import partial
from threading import Thread
from typing import Concatenate, ParamSpec, TypeVar

from sqlalchemy import Engine
from sqlalchemy.orm import Session

from server.database.engine import POOL_SIZE, glancing, reading, writing
from server.errors import Busy

READERS = 12
GLANCERS = 4
# SQLite has one writer at a time: the others wait here, where that costs nothing.
WRITERS = {"sqlite": 1, "postgresql": 8}
LONGEST_WAIT_S = 20.0  # of a request, for its turn and its transaction together

P = ParamSpec("P")
Answer = TypeVar("Answer")


class Database:
    """Runs functions of a session in threads, each in a transaction of its own.

    Raises from every method:
        Busy: there was no answer within `longest_wait_s`. What had not begun never begins; what
            had goes on, so that a write may yet be stored.
    """

    def __init__(self, engine: Engine, *, longest_wait_s: float = LONGEST_WAIT_S) -> None:
        writers = WRITERS[engine.dialect.name]
        # Nobody waits for a connection; `Versions` keeps one.
        assert writers + READERS + GLANCERS < POOL_SIZE
        self.engine = engine
        self._longest_wait_s = longest_wait_s
        self.reading = reading(engine)
        self.writing = writing(engine)
        self._glancing = glancing(engine)
        self._writers = ThreadPoolExecutor(writers, "writer")
        self._readers = ThreadPoolExecutor(READERS, "reader")
        self._glancers = ThreadPoolExecutor(GLANCERS, "glancer")

    async def write(
        self,
        work: Callable[Concatenate[Session, P], Answer],
        /,
        *args: P.args,
        **kwargs: P.kwargs,
    ) -> Answer:
        """What `work` returns, once all that it has done is committed."""

        def transaction() -> Answer:
            with self.writing.begin() as session:
                return work(session, *args, **kwargs)

        return await self._within_limit(self._writers, transaction)

    async def read(
        self,
        work: Callable[Concatenate[Session, P], Answer],
        /,
        *args: P.args,
        **kwargs: P.kwargs,
    ) -> Answer:
        """What `work` returns, from the database at one moment."""

        def transaction() -> Answer:
            with self.reading() as session:
                return work(session, *args, **kwargs)

        return await self._within_limit(self._readers, transaction)

    async def glance(
        self,
        work: Callable[Concatenate[Engine, P], Answer],
        /,
        *args: P.args,
        **kwargs: P.kwargs,
    ) -> Answer:
        """What `work` returns, which asks one small thing: not kept waiting by long readers."""
        return await self._within_limit(
            self._glancers, partial(work, self._glancing, *args, **kwargs)
        )

    async def compute(
        self, work: Callable[P, Answer], /, *args: P.args, **kwargs: P.kwargs
    ) -> Answer:
        """What `work` returns, which asks nothing of the database."""
        return await self._within_limit(self._readers, partial(work, *args, **kwargs))

    def close(self, *, within_s: float) -> bool:
        """Begin nothing more; whether what has begun is over within that time."""
        ending = Thread(target=self._end, daemon=True)
        ending.start()
        ending.join(within_s)
        return not ending.is_alive()

    def _end(self) -> None:
        pools = (self._writers, self._readers, self._glancers)
        for pool in pools:
            pool.shutdown(wait=False, cancel_futures=True)
        for pool in pools:
            pool.shutdown()

    async def _within_limit(self, pool: ThreadPoolExecutor, work: Callable[[], Answer]) -> Answer:
        running: Future[Answer] = pool.submit(work)
        try:
            return await asyncio.wait_for(asyncio.wrap_future(running), self._longest_wait_s)
        except TimeoutError as error:
            raise Busy(
                f"the database has not answered for {self._longest_wait_s:g} s; ask again in a "
                "while, which does no harm: nothing is stored twice"
            ) from error
