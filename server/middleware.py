"""Around every request: an id, one log line, headers for browsers, a limit on the body."""

import re
import time
from http import HTTPStatus
from uuid import uuid4

import structlog
from starlette.datastructures import Headers, MutableHeaders
from starlette.exceptions import HTTPException
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from server.locality import peer
from server.roles import NOBODY

REQUEST_ID = "X-Request-ID"
_READABLE_ID = re.compile(r"[A-Za-z0-9._-]{1,64}")

CONTENT_POLICY = (
    "default-src 'self'; img-src 'self' data: blob:; style-src 'self' 'unsafe-inline'; "
    "object-src 'none'; base-uri 'none'; form-action 'self'; frame-ancestors 'none'"
)
# Swagger UI and ReDoc start from a script inside their page, and ReDoc from a worker.
DOCS_POLICY = f"{CONTENT_POLICY}; script-src 'self' 'unsafe-inline'; worker-src 'self' blob:"
DOCS_PATHS = ("/docs", "/docs/oauth2-redirect", "/redoc")
BROWSER_HEADERS = {
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
    "Referrer-Policy": "same-origin",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Permissions-Policy": "camera=(), geolocation=(), microphone=(), payment=(), usb=()",
}

LISTENED_TO = 4  # times the limit

log = structlog.get_logger(__name__)


class RequestLog:
    """Gives each request an id, the sender's if it is readable, and logs how it ended."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        given = Headers(scope=scope).get(REQUEST_ID, "")
        request_id = given if _READABLE_ID.fullmatch(given) else uuid4().hex
        scope.setdefault("state", {})["request_id"] = request_id
        status = HTTPStatus.INTERNAL_SERVER_ERROR.value

        async def send_with_headers(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
                headers = MutableHeaders(scope=message)
                headers[REQUEST_ID] = request_id
                headers["Content-Security-Policy"] = (
                    DOCS_POLICY if scope["path"] in DOCS_PATHS else CONTENT_POLICY
                )
                headers.update(BROWSER_HEADERS)
            await send(message)

        began = time.perf_counter()
        with structlog.contextvars.bound_contextvars(request_id=request_id):
            try:
                await self._app(scope, receive, send_with_headers)
            finally:
                caller = scope["state"].get("caller", NOBODY)
                log.info(
                    "request",
                    client=peer(scope),
                    who=caller.name,
                    method=scope["method"],
                    path=scope["path"],
                    status=status,
                    ms=round((time.perf_counter() - began) * 1000, 1),
                )


class BodyLimit:
    """Stops reading a body that is too large, and never begins one that says it is much too large.

    One that is somewhat too large is read to its end: a proxy that is still sending takes the
    connection's end for a fault of the server's, and its client would try again for ever.

    FastAPI's own limit answers in plain text; an exception from here becomes a problem document.
    """

    def __init__(self, app: ASGIApp, *, most_bytes: int) -> None:
        self._app = app
        self._most_bytes = most_bytes

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        told = Headers(scope=scope).get("content-length", "") if scope["type"] == "http" else ""
        told_bytes = int(told) if told.isdecimal() else 0
        seen_bytes = 0

        async def receive_within_limit() -> Message:
            nonlocal seen_bytes
            if told_bytes > self._most_bytes:
                if told_bytes <= LISTENED_TO * self._most_bytes:
                    await _drain(receive)
                raise self._too_large()
            message = await receive()
            seen_bytes += len(message.get("body", b""))
            if seen_bytes > self._most_bytes:
                raise self._too_large()
            return message

        await self._app(scope, receive_within_limit, send)

    def _too_large(self) -> HTTPException:
        return HTTPException(
            HTTPStatus.REQUEST_ENTITY_TOO_LARGE,
            f"the body is larger than {self._most_bytes} bytes; post less at once",
        )


async def _drain(receive: Receive) -> None:
    more = True
    while more:
        more = (await receive()).get("more_body", False)
