"""Encoded tables, kept while they are current: an unchanged table is encoded once."""

from collections import OrderedDict
from collections.abc import Callable, Hashable
from hashlib import sha256
from threading import Lock
from typing import Generic, TypeVar

from fastapi import Response

MOST_ANSWERS = 128
Made = TypeVar("Made")
FOR_GOOD = "private, max-age=31536000, immutable"


class Answer:
    """A body with a name for its content, by which a client asks whether its copy is current."""

    def __init__(self, body: bytes, *, media_type: str) -> None:
        self._body = body
        self._media_type = media_type
        self._tag = f'W/"{sha256(body).hexdigest()[:32]}"'  # weak: it may be compressed later

    def response(self, if_none_match: str, *, immutable: bool = False) -> Response:
        """The body, or 304 to a client that names this content."""
        headers = {
            "ETag": self._tag,
            "Cache-Control": FOR_GOOD if immutable else "no-cache",
            "Vary": "Accept",
        }
        if self._tag in if_none_match:
            return Response(status_code=304, headers=headers)
        return Response(self._body, media_type=self._media_type, headers=headers)


class Kept(Generic[Made]):
    """What was made and used last, by a key; of each key one version alone."""

    def __init__(self) -> None:
        self._kept: OrderedDict[Hashable, tuple[Hashable, Made]] = OrderedDict()
        self._lock = Lock()  # routes run in threads

    def get(self, key: Hashable, make: Callable[[], Made], *, version: Hashable = None) -> Made:
        """What is kept under `key` in that version, or made now in its place."""
        with self._lock:
            if key in self._kept and self._kept[key][0] == version:
                self._kept.move_to_end(key)
                return self._kept[key][1]
        made = make()
        with self._lock:
            self._kept[key] = version, made
            if len(self._kept) > MOST_ANSWERS:
                self._kept.popitem(last=False)
        return made

    def clear(self) -> None:
        """Forget everything."""
        with self._lock:
            self._kept.clear()


Answers = Kept[Answer]
