"""The server on this machine, from its socket to its end."""

import errno
import logging
import os
import socket
import sys
from collections.abc import Callable
from functools import partial
from typing import NoReturn

import structlog
import uvicorn
from fastapi import FastAPI

from contract.cli import INTERRUPTED
from contract.errors import PhonebookError
from contract.stopping import Terminated, die_of_sigterm
from server.app import create_app
from server.database.engine import open_database, shown
from server.database.schema import prepare
from server.database.transactions import Database
from server.http import logs
from server.http.connections import (
    ACCEPTED_AT_ONCE,
    BACKLOG,
    MOST_HEAD_BYTES,
    Limits,
    limited,
    make_room_for_connections,
)
from server.http.locality import is_loopback
from server.pages.fleet.events import Listeners
from server.settings import Settings
from server.tokens import require_one

ENDING_S = 10  # in which requests that have begun may end
HANGING_S = 2.0  # and then, what they have begun in the database
SWITCH_S = 0.001

log = structlog.get_logger(__name__)


def serve(settings: Settings) -> None:
    """Serve until Ctrl-C. The address is printed once it answers."""
    logs.configure()
    limits = Limits(make_room_for_connections())
    engine = open_database(settings.database_url)
    prepare(engine)
    local = is_loopback(settings.host)
    if not local:
        require_one(engine, f"{settings.host} can be reached by others")
    elif not settings.spares_tokens:
        require_one(engine, "nobody may do without a token here, as it is set")
    with listen(settings.host, settings.port) as listener:
        address = f"http://{_in_url(settings.host)}:{listener.getsockname()[1]}"
        application = create_app(engine, settings, local=local)
        server = AnnouncingServer(
            configured(application, limits),
            announcement=f"Phonebook serves {address} (database {shown(engine.url)})",
            listeners=application.state.listeners,
        )
        leave: Callable[[], NoReturn] = partial(os._exit, 0)
        try:
            server.run(sockets=[listener])
        except Terminated:
            leave = die_of_sigterm
            raise
        except KeyboardInterrupt:
            leave = partial(os._exit, INTERRUPTED)
            raise
        finally:
            end(application.state.database, leave)
    engine.dispose()


def configured(application: FastAPI, limits: Limits) -> uvicorn.Config:
    """How uvicorn serves the application."""
    # Threads that compute give way to the event loop five times as soon as Python would have it.
    sys.setswitchinterval(SWITCH_S)
    return uvicorn.Config(
        application,
        http=limited(limits),
        h11_max_incomplete_event_size=MOST_HEAD_BYTES,
        ws="none",
        backlog=ACCEPTED_AT_ONCE,
        timeout_graceful_shutdown=ENDING_S,
        log_config=None,
        access_log=False,  # RequestLog writes one
        lifespan="off",
        proxy_headers=False,  # who is here is told by the connection, never by a header
    )


def end(database: Database, leave: Callable[[], NoReturn]) -> None:
    """Let what has begun in the database come to its end; if it does not, leave it behind.

    Python waits for its threads, and one that waits for a database that does not answer would
    keep it for ever. What they do was acknowledged to nobody.
    """
    if not database.close(within_s=HANGING_S):
        log.warning("the database does not answer; what it has not confirmed is left to it")
        logging.shutdown()
        leave()


class AnnouncingServer(uvicorn.Server):
    """Prints one line when it answers: people read it, and scripts learn the port from it.

    At its end it ends the streams too, which would go on for as long as somebody listens.
    """

    def __init__(self, config: uvicorn.Config, *, announcement: str, listeners: Listeners) -> None:
        super().__init__(config)
        self._announcement = announcement
        self._listeners = listeners

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        for listener in sockets or []:
            listener.listen(BACKLOG)  # more than uvicorn asked for
        sys.stdout.write(f"{self._announcement}\n")
        sys.stdout.flush()

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        self._listeners.close()
        await super().shutdown(sockets)


def listen(host: str, port: int) -> socket.socket:
    """A socket of ours on that address.

    Raises:
        PhonebookError: the address is taken, or not of this machine.
    """
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    # With the protocol spelled out asyncio turns Nagle's algorithm off; without, each answer of
    # more than one packet waits some 40 ms for the client's acknowledgement.
    listener = socket.socket(family, socket.SOCK_STREAM, socket.IPPROTO_TCP)
    try:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind((host, port))
    except OSError as error:
        listener.close()
        if error.errno == errno.EADDRINUSE:
            raise PhonebookError(
                f"port {port} on {host} is in use; stop what listens there, or give another "
                "with --port (0 takes a free one)"
            ) from error
        raise PhonebookError(f"cannot listen on {host}, port {port}: {error.strerror}") from error
    return listener


def _in_url(host: str) -> str:
    return f"[{host}]" if ":" in host else host
