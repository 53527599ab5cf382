"""What routes ask for: the database, a transaction of their own, and the time."""

from collections.abc import Callable, Coroutine
from datetime import datetime
from functools import wraps
from inspect import Parameter, signature
from typing import Annotated, Any, TypeVar

from fastapi import Depends, Request

from server.database.transactions import Database
from server.http.clock import Clock

Answer = TypeVar("Answer")


async def _now(request: Request) -> datetime:  # a plain function would take a thread
    clock: Clock = request.app.state.clock
    return clock()


Now = Annotated[datetime, Depends(_now)]


async def _database(request: Request) -> Database:
    found: Database = request.app.state.database
    return found


TheDatabase = Annotated[Database, Depends(_database)]


def reads(route: Callable[..., Answer]) -> Callable[..., Coroutine[Any, Any, Answer]]:
    """A route whose parameter `session` is a transaction that reads.

    All of the route runs in one thread, and the transaction is over before it returns.
    """
    return _with_session(route, lambda database: database.read)


def writes(route: Callable[..., Answer]) -> Callable[..., Coroutine[Any, Any, Answer]]:
    """As `reads`, for a transaction that writes: it is committed before the answer leaves, so
    that a failed commit is never answered 201."""
    return _with_session(route, lambda database: database.write)


def _with_session(
    route: Callable[..., Answer], transaction: Callable[[Database], Callable[..., Any]]
) -> Callable[..., Coroutine[Any, Any, Answer]]:
    declared = signature(route)

    @wraps(route)
    async def in_thread(*, database: Database, **kwargs: Any) -> Answer:
        answer: Answer = await transaction(database)(
            lambda session: route(session=session, **kwargs)
        )
        return answer

    parameters = [
        parameter.replace(kind=Parameter.KEYWORD_ONLY)
        for name, parameter in declared.parameters.items()
        if name != "session"
    ]
    asked = Parameter("database", Parameter.KEYWORD_ONLY, annotation=TheDatabase)
    in_thread.__signature__ = declared.replace(parameters=[*parameters, asked])  # type: ignore[attr-defined]  # how FastAPI learns what to hand in
    return in_thread
