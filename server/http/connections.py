"""The server's connections: how many there are, and how long each may keep the server waiting.

A connection *waits* while it is the client's turn: until all of a request has come, and while an
answer is not taken. As long as one waits there is room for a newcomer.
"""

import asyncio
import resource
from collections.abc import Mapping
from dataclasses import dataclass
from http import HTTPStatus
from typing import Any, ClassVar, cast

import h11
import structlog
from uvicorn.protocols.http.h11_impl import H11Protocol

from contract.errors import PhonebookError
from contract.problems import ANY_PROBLEM, Problem
from server.http.middleware import BROWSER_HEADERS, CONTENT_POLICY
from server.http.problems import MEDIA_TYPE

MOST_CONNECTIONS = 1000
LEAST_CONNECTIONS = 16
FILES_EACH = 2  # the connection, and a file that is sent over it
OTHER_FILES = 128  # the database, what Python has open, newcomers that are not counted yet
MOST_HEAD_BYTES = 16 * 1024
HEAD_S = 10.0
TAKING_S = 60.0
RETRY_S = 5
# asyncio takes in so many before it looks at any of them; the others wait in the system.
ACCEPTED_AT_ONCE = 8
BACKLOG = 1024

log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class Limits:
    """What one server's connections may take."""

    connections: int
    head_s: float = HEAD_S  # from its opening, or the last answer's end, to the end of a head
    taking_s: float = TAKING_S  # in which a client takes nothing of an answer


def make_room_for_connections() -> int:
    """How many connections this process may have; it may open more files from now on.

    Raises:
        PhonebookError: it may open so few that it could not serve.
    """
    wanted = FILES_EACH * MOST_CONNECTIONS + OTHER_FILES
    files, most_files = resource.getrlimit(resource.RLIMIT_NOFILE)
    if files == resource.RLIM_INFINITY:
        return MOST_CONNECTIONS
    if files < wanted:
        files = wanted if most_files == resource.RLIM_INFINITY else min(wanted, most_files)
        resource.setrlimit(resource.RLIMIT_NOFILE, (files, most_files))
    room = (files - OTHER_FILES) // FILES_EACH
    if room < LEAST_CONNECTIONS:
        needed = FILES_EACH * LEAST_CONNECTIONS + OTHER_FILES
        raise PhonebookError(
            f"a server needs {needed} open files, and this process may have {files}; allow it "
            f"more with `ulimit -n {wanted}`"
        )
    return min(MOST_CONNECTIONS, room)


def limited(limits: Limits) -> type[asyncio.Protocol]:
    """What `uvicorn.Config(http=...)` takes, within these limits."""
    return type("LimitedConnection", (Connection,), {"limits": limits})


class Connection(H11Protocol):
    """One client's connection, which ends when it keeps the server waiting for too long.

    At the limit the one that has waited for longest makes room; where none waits the newcomer
    is told to come back.
    """

    limits: ClassVar[Limits]

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.waits_since: float | None = None
        self.dropped = False
        self._untaken_bytes = 0
        self._deadline: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]  # as the parent's
        super().connection_made(transport)
        self._wait()
        if len(self.connections) > self.limits.connections:
            self._find_room()

    def connection_lost(self, exc: Exception | None) -> None:
        self._set_deadline(None)
        super().connection_lost(exc)

    def handle_events(self) -> None:
        super().handle_events()
        if self._is_at_work():
            self._set_deadline(None)
            if not self.cycle.more_body:
                self.waits_since = None

    def on_response_complete(self) -> None:
        self._wait()
        super().on_response_complete()

    def pause_writing(self) -> None:
        super().pause_writing()
        self._wait()

    def resume_writing(self) -> None:
        super().resume_writing()
        if self._is_at_work():
            self._set_deadline(None)
            self.waits_since = None

    def send_400_response(self, msg: str) -> None:
        if self.conn.our_state in (h11.IDLE, h11.SEND_RESPONSE):
            detail = (
                f"this is no HTTP/1.1 request, or its head is larger than {MOST_HEAD_BYTES} bytes"
            )
            self._refuse(HTTPStatus.BAD_REQUEST, detail)
        else:  # it has its answer, and what comes now makes no sense
            self.transport.close()

    def drop(self) -> None:
        """End it at once, whatever was still to be sent."""
        self.dropped = True
        self.transport.abort()

    def _is_at_work(self) -> bool:
        """Whether there is a request, and its client takes what is sent."""
        answers = self.cycle is not None and not self.cycle.response_complete
        return answers and not (self.flow.write_paused or self.transport.is_closing())

    def _wait(self) -> None:
        self.waits_since = self.loop.time()
        self._untaken_bytes = self.transport.get_write_buffer_size()
        self._set_deadline(self.limits.taking_s if self._untaken_bytes else self.limits.head_s)

    def _set_deadline(self, after_s: float | None) -> None:
        if self._deadline is not None:
            self._deadline.cancel()
        self._deadline = None if after_s is None else self.loop.call_later(after_s, self._overdue)

    def _overdue(self) -> None:
        untaken_bytes = self.transport.get_write_buffer_size()
        if 0 < untaken_bytes < self._untaken_bytes:  # it takes its answer, slowly
            self._untaken_bytes = untaken_bytes
            self._set_deadline(self.limits.taking_s)
        else:
            self.drop()

    def _find_room(self) -> None:
        open_ = [one for one in cast("set[Connection]", self.connections) if not one.dropped]
        if len(open_) <= self.limits.connections:
            return
        waiting = {one: one.waits_since for one in open_ if one.waits_since is not None}
        del waiting[self]
        if waiting:
            log.warning("too many connections: the idlest makes room", most=len(open_) - 1)
            min(waiting, key=waiting.__getitem__).drop()
            return
        log.warning("too many connections: a new one is refused", most=len(open_) - 1)
        self._refuse(
            HTTPStatus.SERVICE_UNAVAILABLE,
            f"the server answers {len(open_) - 1} requests already; ask again in a while",
            {"Retry-After": str(RETRY_S)},
        )

    def _refuse(
        self, status: HTTPStatus, detail: str, headers: Mapping[str, str] | None = None
    ) -> None:
        """Answer in the application's place, and close."""
        self.dropped = True
        document = Problem(type=ANY_PROBLEM, title=status.phrase, status=status, detail=detail)
        body = document.model_dump_json().encode()
        told = {
            "Content-Type": MEDIA_TYPE,
            "Content-Length": str(len(body)),
            "Connection": "close",
            "Content-Security-Policy": CONTENT_POLICY,
            **BROWSER_HEADERS,
            **(headers or {}),
        }
        response = h11.Response(
            status_code=status, headers=list(told.items()), reason=status.phrase
        )
        for event in (response, h11.Data(data=body), h11.EndOfMessage()):
            self.transport.write(self.conn.send(event) or b"")
        self.transport.close()
