"""What was made of the database, kept while it is current: made once, however many ask for it."""

import asyncio
import gzip
from collections import OrderedDict
from collections.abc import Awaitable, Callable, Hashable
from hashlib import sha256

from fastapi import Response

MOST_ANSWERS = 128
LEAST_COMPRESSED = 1000  # bytes
FOR_GOOD = "private, max-age=31536000, immutable"


class Answer:
    """A body with a name for its content, by which a client asks whether its copy is current."""

    def __init__(self, body: bytes, *, media_type: str) -> None:
        self._body = body
        self._compressed = gzip.compress(body, 6) if len(body) >= LEAST_COMPRESSED else None
        self._media_type = media_type
        self._tag = f'W/"{sha256(body).hexdigest()[:32]}"'  # weak: it may be compressed

    def response(
        self, if_none_match: str, accept_encoding: str, *, immutable: bool = False
    ) -> Response:
        """The body, compressed for whoever takes that, or 304 to whoever has this content."""
        headers = {
            "ETag": self._tag,
            "Cache-Control": FOR_GOOD if immutable else "no-cache",
            "Vary": "Accept, Accept-Encoding",
        }
        if self._is_named_in(if_none_match):
            return Response(status_code=304, headers=headers)
        if self._compressed is not None and "gzip" in accept_encoding:
            headers["Content-Encoding"] = "gzip"
            return Response(self._compressed, media_type=self._media_type, headers=headers)
        return Response(self._body, media_type=self._media_type, headers=headers)

    def _is_named_in(self, if_none_match: str) -> bool:
        """By weak comparison (RFC 9110, 13.1.2): `*` names whatever there is."""
        tags = {tag.strip() for tag in if_none_match.split(",")}
        return "*" in tags or bool({self._tag, self._tag.removeprefix("W/")} & tags)


class AnswerCache:
    """The answers that were used last, by a key.

    Whoever asks for what is being made waits for that, so that it is made once. For use in the
    event loop alone.
    """

    def __init__(self) -> None:
        self._kept: OrderedDict[Hashable, asyncio.Future[Answer]] = OrderedDict()

    async def get(self, key: Hashable, make: Callable[[], Awaitable[Answer]]) -> Answer:
        """What is kept under `key`, or made now."""
        found = self._kept.get(key)
        if found is None:
            found = self._kept[key] = asyncio.ensure_future(make())
            found.add_done_callback(lambda made: self._forget_failed(key, made))
            if len(self._kept) > MOST_ANSWERS:
                self._kept.popitem(last=False)
        self._kept.move_to_end(key)
        return await asyncio.shield(found)  # one who asks and leaves takes it from nobody

    def clear(self) -> None:
        """Forget everything."""
        self._kept.clear()

    def _forget_failed(self, key: Hashable, made: asyncio.Future[Answer]) -> None:
        failed = made.cancelled() or made.exception() is not None
        if failed and self._kept.get(key) is made:
            del self._kept[key]
