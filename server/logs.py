"""Logs: one structured line each on stderr, for people on a terminal, else as JSON."""

import logging
import sys

import structlog
from structlog.typing import Processor


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
        [console()]
        if sys.stderr.isatty()
        else [structlog.processors.format_exc_info, structlog.processors.JSONRenderer()]
    )
    handler = logging.StreamHandler(sys.stderr)
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
