"""Encoded tables, kept while they are current: an unchanged table is encoded once."""

from collections import OrderedDict
from collections.abc import Callable, Hashable
from hashlib import sha256
from threading import Lock

from fastapi import Response

MOST_ANSWERS = 128
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


class Answers:
    """The answers used last, by a key that changes whenever the answer would."""

    def __init__(self) -> None:
        self._kept: OrderedDict[Hashable, Answer] = OrderedDict()
        self._lock = Lock()  # routes run in threads

    def get(self, key: Hashable, make: Callable[[], Answer]) -> Answer:
        """The answer kept under `key`, or a new one."""
        with self._lock:
            answer = self._kept.get(key)
            if answer is not None:
                self._kept.move_to_end(key)
                return answer
        answer = make()
        with self._lock:
            self._kept[key] = answer
            if len(self._kept) > MOST_ANSWERS:
                self._kept.popitem(last=False)
        return answer
