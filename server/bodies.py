"""The body of a write: all of it, in time and not too large, before anything is done with it."""

import asyncio

from fastapi import Request
from starlette.datastructures import Headers
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from server.errors import BodyTooLarge, BodyTooSlow, Refusal
from server.locality import SAFE_METHODS
from server.problems import refused

LONGEST_S = 30.0


class WholeBodies:
    """Hands each write on once its body is there: one that trickles in holds nothing but itself.

    A body that says it is too large is never begun. Those of reads are nobody's to read.
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
        told = Headers(scope=scope).get("content-length", "")
        if told.isdecimal() and int(told) > self._most_bytes:
            raise self._too_large()
        body = bytearray()
        try:
            async with asyncio.timeout(self._longest_s):
                while True:
                    message = await receive()
                    if message["type"] == "http.disconnect":
                        return message
                    body += message.get("body", b"")
                    if len(body) > self._most_bytes:
                        raise self._too_large()
                    if not message.get("more_body", False):
                        return {"type": "http.request", "body": bytes(body), "more_body": False}
        except TimeoutError as error:
            raise BodyTooSlow(
                f"the body was not complete within {self._longest_s:g} s; post less at once"
            ) from error

    def _too_large(self) -> BodyTooLarge:
        return BodyTooLarge(f"the body is larger than {self._most_bytes} bytes; post less at once")
