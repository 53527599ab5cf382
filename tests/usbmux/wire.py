"""The daemon's packets: four little-endian words (length, version, type, tag), a property list."""

import asyncio
import plistlib
import struct
from collections.abc import Mapping
from typing import Any, NamedTuple

_HEADER = struct.Struct("<IIII")
PLIST_VERSION, PLIST_TYPE = 1, 8

OK, BAD_COMMAND, NO_DEVICE, REFUSED, BAD_VERSION = 0, 1, 2, 3, 6


class Request(NamedTuple):
    """What a client asks, under its own tag."""

    tag: int
    message: dict[str, Any]


async def read(reader: asyncio.StreamReader) -> Request:
    """Raises IncompleteReadError at the end, ValueError where it is no such packet."""
    header = await reader.readexactly(_HEADER.size)
    length, version, kind, tag = _HEADER.unpack(header)
    if (version, kind) != (PLIST_VERSION, PLIST_TYPE) or length < _HEADER.size:
        raise ValueError(f"version {version}, type {kind}, {length} bytes")
    return Request(tag, plistlib.loads(await reader.readexactly(length - _HEADER.size)))


def packet(tag: int, message: Mapping[str, Any]) -> bytes:
    body = plistlib.dumps(dict(message))
    return _HEADER.pack(_HEADER.size + len(body), PLIST_VERSION, PLIST_TYPE, tag) + body


def result(tag: int, number: int) -> bytes:
    return packet(tag, {"MessageType": "Result", "Number": number})
