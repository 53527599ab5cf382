"""The body of a write: all of it, in time and not too large, before anything is done with it."""

import asyncio
from contextlib import suppress

from fastapi import Request
from starlette.datastructures import Headers
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from server.errors import BodyTooLarge, BodyTooSlow, Refusal
from server.http.locality import SAFE_METHODS
from server.http.problems import refused

LONGEST_S = 30.0
LISTENED_TO = 4  # times the limit


async def pass_over(scope: Scope, receive: Receive, most_bytes: int) -> None:
    """Read the body of a write that is refused, unless it is much too large, and keep none of it.

    A proxy that is still sending it would not hand on the answer. Who waits to be asked for it is
    not asked.
    """
    headers = Headers(scope=scope)
    left_bytes = LISTENED_TO * most_bytes
    if scope["method"] in SAFE_METHODS or "expect" in headers or _told(headers) > left_bytes:
        return
    with suppress(TimeoutError):
        async with asyncio.timeout(LONGEST_S):
            while left_bytes > 0:
                message = await receive()
                left_bytes -= len(message.get("body", b""))
                if not message.get("more_body", False):
                    break


def _told(headers: Headers) -> int:
    """How many bytes the body has, as it says."""
    told = headers.get("content-length", "")
    return int(told) if told.isdecimal() else 0


class WholeBodies:
    """Hands each write on once its body is there: one that trickles in holds nothing but itself.

    A body that says it is much too large is never begun. One that is somewhat too large is read to
    its end, and not kept: a proxy that is still sending takes the connection's end for a fault of
    the server's, and its client would try again for ever. Those of reads are nobody's to read.
    """

    def __init__(self, app: ASGIApp, *, most_bytes: int, longest_s: float = LONGEST_S) -> None:
        self._app = app
        self._most_bytes = most_bytes
        self._longest_s = longest_s

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http" or scope["method"] in SAFE_METHODS:
            await self._app(scope, receive, send)
            return
        try:
            whole: Message | None = await self._read(scope, receive)
        except Refusal as refusal:
            await refused(Request(scope), refusal)(scope, receive, send)
            return

        async def receive_whole() -> Message:
            nonlocal whole
            if whole is None:
                return await receive()  # when the client goes
            message, whole = whole, None
            return message

        await self._app(scope, receive_whole, send)

    async def _read(self, scope: Scope, receive: Receive) -> Message:
        told_bytes = _told(Headers(scope=scope))
        if told_bytes > LISTENED_TO * self._most_bytes:
            raise self._too_large()
        body, seen_bytes = bytearray(), 0
        try:
            async with asyncio.timeout(self._longest_s):
                while True:
                    message = await receive()
                    if message["type"] == "http.disconnect":
                        return message
                    seen_bytes += len(message.get("body", b""))
                    if seen_bytes > LISTENED_TO * self._most_bytes:
                        raise self._too_large()
                    if seen_bytes <= self._most_bytes:
                        body += message.get("body", b"")
                    if not message.get("more_body", False):
                        break
        except TimeoutError as error:
            raise BodyTooSlow(
                f"the body was not complete within {self._longest_s:g} s; post less at once"
            ) from error
        if max(told_bytes, seen_bytes) > self._most_bytes:
            raise self._too_large()
        return {"type": "http.request", "body": bytes(body), "more_body": False}

    def _too_large(self) -> BodyTooLarge:
        return BodyTooLarge(f"the body is larger than {self._most_bytes} bytes; post less at once")
