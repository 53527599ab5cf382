"""What the server refuses, by HTTP status. Each becomes a problem document.

Refusal
|-- Unauthenticated 401  nobody in particular asks, or with a token that does not work
|-- Forbidden       403  the sender may not do this
|-- NotFound        404  names what is not there, and what is near
|   `-- Renamed          a device that has another name now
|-- Conflict        409  the request contradicts what is stored
|-- BodyTooSlow     408  the body did not come in time
|-- BodyTooLarge    413  the body is larger than the server takes
|-- Unprocessable   422  the request contradicts itself, or cannot be stored
|-- TooManyRequests 429  the sender writes too often
|-- NotReady        503  the server cannot work yet
`-- Busy            503  the request waited for its turn for too long
"""

from collections.abc import Mapping, Sequence
from datetime import datetime
from difflib import get_close_matches
from http import HTTPStatus
from typing import ClassVar

from contract.errors import near
from contract.problems import ANY_PROBLEM, RENAMED, Problem
from contract.times import stamp


class Refusal(Exception):
    """A request that cannot be answered. The message says who, what, and what to do next.

    Attributes:
        near: names that the client may have meant.
        headers: what the answer says besides.
        type: what programs know it by, where the status alone does not tell (`contract.timings`).
    """

    status: ClassVar[HTTPStatus]

    def __init__(
        self,
        detail: str,
        *,
        near: Sequence[str] = (),
        headers: Mapping[str, str] | None = None,
        type: str = ANY_PROBLEM,
    ) -> None:
        super().__init__(detail)
        self.near = tuple(near)
        self.headers = dict(headers or {})
        self.type = type

    def document(self) -> Problem:
        """What a program is told."""
        return Problem(
            type=self.type,
            title=self.status.phrase,
            status=self.status,
            detail=str(self),
            near=self.near,
        )


class Unauthenticated(Refusal):
    """The server must know who asks, and does not."""

    status = HTTPStatus.UNAUTHORIZED

    def __init__(self, detail: str) -> None:
        super().__init__(detail, headers={"WWW-Authenticate": "Bearer"})


class Forbidden(Refusal):
    """Whoever asks may not do this."""

    status = HTTPStatus.FORBIDDEN


class NotFound(Refusal):
    """What the request names does not exist."""

    status = HTTPStatus.NOT_FOUND


class Renamed(NotFound):
    """A device by a name that it has no longer.

    Attributes:
        was: that name.
        name: its present one.
    """

    def __init__(self, was: str, name: str, until: datetime) -> None:
        super().__init__(
            f"device {was} is called {name} now, since {stamp(until)}; use that name, which an "
            f"agent takes with --name {name}",
            near=[name],
            type=RENAMED,
        )
        self.was = was
        self.name = name


class Conflict(Refusal):
    """The request contradicts what is stored."""

    status = HTTPStatus.CONFLICT


class BodyTooSlow(Refusal):
    """The request's body did not come in time."""

    status = HTTPStatus.REQUEST_TIMEOUT

    def __init__(self, detail: str) -> None:
        super().__init__(detail, headers={"Connection": "close"})


class BodyTooLarge(Refusal):
    """The request's body is larger than the server takes."""

    status = HTTPStatus.REQUEST_ENTITY_TOO_LARGE


class Unprocessable(Refusal):
    """The request contradicts itself, or holds what no database can store."""

    status = HTTPStatus.UNPROCESSABLE_ENTITY


class TooManyRequests(Refusal):
    """The sender writes more often than the server takes from one."""

    status = HTTPStatus.TOO_MANY_REQUESTS


class NotReady(Refusal):
    """The server runs but cannot answer questions about its database."""

    status = HTTPStatus.SERVICE_UNAVAILABLE


class Busy(Refusal):
    """The request waited for its turn for too long; the same one may be sent again."""

    status = HTTPStatus.SERVICE_UNAVAILABLE

    def __init__(self, detail: str) -> None:
        super().__init__(detail, headers={"Retry-After": "5"})


def unknown(kind: str, name: str, known: Sequence[str], *, type: str = ANY_PROBLEM) -> NotFound:
    """`no device 'hots'; did you mean host?`"""
    return NotFound(
        f"no {kind} {name!r}; {near(name, known)}",
        near=get_close_matches(name, known, n=3, cutoff=0.5),
        type=type,
    )
