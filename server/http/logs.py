"""Logs: one structured line each on stderr, for people on a terminal, else as JSON."""

import logging
import sys
import threading
import time
from collections.abc import Callable
from contextvars import Context
from dataclasses import dataclass

import structlog
from structlog.typing import EventDict, Processor, WrappedLogger

# Whose lines anybody can cause who reaches the port, without as much as a request.
BY_STRANGERS = ("asyncio", "uvicorn.error", "server.http.connections")
FEW = 3
FEW_S = 60.0  # in which so many of a kind are logged

log = logging.getLogger(__name__)


def configure() -> None:
    """Send our own logs and those of the libraries beneath through one formatter."""
    shared: list[Processor] = [
        structlog.contextvars.merge_contextvars,
        structlog.stdlib.add_log_level,
        structlog.stdlib.add_logger_name,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
    ]
    structlog.configure(
        processors=[*shared, structlog.stdlib.ProcessorFormatter.wrap_for_formatter],
        logger_factory=structlog.stdlib.LoggerFactory(),
        cache_logger_on_first_use=True,
    )
    last: list[Processor] = (
        [structlog.processors.format_exc_info, harmless, console()]
        if sys.stderr.isatty()
        else [structlog.processors.format_exc_info, structlog.processors.JSONRenderer()]
    )
    handler = logging.StreamHandler(sys.stderr)
    handler.addFilter(Few())
    handler.setFormatter(
        structlog.stdlib.ProcessorFormatter(
            foreign_pre_chain=shared,
            processors=[structlog.stdlib.ProcessorFormatter.remove_processors_meta, *last],
        )
    )
    logging.basicConfig(handlers=[handler], level=logging.WARNING, force=True)
    logging.getLogger("server").setLevel(logging.INFO)
    logging.getLogger("uvicorn.error").addFilter(_not_told_before)


def console() -> structlog.dev.ConsoleRenderer:
    """For people. Tracebacks are plain: with every local value they would be slow, and might
    tell secrets.
    """
    return structlog.dev.ConsoleRenderer(exception_formatter=structlog.dev.plain_traceback)


def _not_told_before(record: logging.LogRecord) -> bool:
    """Uvicorn repeats a failed request's exception, without the request's id."""
    return not record.getMessage().startswith("Exception in ASGI application")


def harmless(_logger: WrappedLogger, _method: str, line: EventDict) -> EventDict:
    """What a client wrote is shown, and never does anything to the terminal."""
    return {
        name: _printable(value, kept="\n\t" if name in ("exception", "stack") else "")
        if isinstance(value, str)
        else value
        for name, value in line.items()
    }


def _printable(text: str, *, kept: str) -> str:
    return "".join(
        one if one.isprintable() or one in kept else one.encode("unicode_escape").decode()
        for one in text
    )


@dataclass(slots=True)
class _Kind:
    like: str
    since_s: float
    passed: int = 0
    left_out: int = 0


class Few(logging.Filter):
    """Lets a few lines of each kind pass in a minute, of those that anybody can cause.

    With the next line of whatever kind after that minute goes how many were left out.
    """

    def __init__(self, *, now_s: Callable[[], float] = time.monotonic) -> None:
        super().__init__()
        self._now_s = now_s
        self._lock = threading.Lock()
        self._kinds: dict[tuple[object, ...], _Kind] = {}

    def filter(self, record: logging.LogRecord) -> bool:
        with self._lock:
            over = self._over()
            passes = record.name not in BY_STRANGERS or self._counts(record)
        for kind in over:
            # In an empty context: it is no line of the request that is at hand.
            Context().run(
                log.warning, "%d lines like this were left out: %s", kind.left_out, kind.like
            )
        return passes

    def _over(self) -> list[_Kind]:
        now = self._now_s()
        names = [name for name, kind in self._kinds.items() if now - kind.since_s >= FEW_S]
        return [kind for name in names if (kind := self._kinds.pop(name)).left_out]

    def _counts(self, record: logging.LogRecord) -> bool:
        event = record.msg["event"] if isinstance(record.msg, dict) else None
        failure = record.exc_info[0] if record.exc_info else None
        name = (record.name, record.pathname, record.lineno, event, failure)
        kind = self._kinds.get(name)
        if kind is None:
            like = str(event or record.getMessage()).partition("\n")[0]
            kind = self._kinds[name] = _Kind(like, self._now_s())
        if kind.passed < FEW:
            kind.passed += 1
            return True
        kind.left_out += 1
        return False
