"""What a program or library says of itself in its ELF headers: for which machine, needing what."""

import struct
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

AARCH64 = 183

_PT_LOAD, _PT_DYNAMIC, _PT_INTERP, _PT_NOTE = 1, 2, 3, 4
_DT_NEEDED, _DT_STRTAB = 1, 5
_LITTLE_64_BIT = b"\x7fELF\x02\x01"


@dataclass(frozen=True, kw_only=True, slots=True)
class Elf:
    """`loader` is None of a library and of a static program; `needed` are names without folders.

    `is_android` where the NDK's linker has marked it.
    """

    machine: int
    loader: str | None
    needed: tuple[str, ...]
    is_android: bool


def read_elf(path: Path) -> Elf:
    """The headers of a 64-bit little-endian file.

    Raises:
        ValueError: no such file's headers, or damaged ones.
        OSError: it cannot be read.
    """
    content = path.read_bytes()
    if not content.startswith(_LITTLE_64_BIT):
        raise ValueError("no 64-bit ELF program")
    try:
        return _parse(content)
    except (struct.error, StopIteration, ValueError) as error:
        raise ValueError("its ELF headers are damaged") from error


@dataclass(frozen=True, slots=True)
class _Segment:
    kind: int
    offset: int
    address: int
    size: int


def _parse(content: bytes) -> Elf:
    (machine,) = struct.unpack_from("<H", content, 18)
    (table,) = struct.unpack_from("<Q", content, 32)
    entry_size, count = struct.unpack_from("<HH", content, 54)
    segments = [_segment(content, table + number * entry_size) for number in range(count)]
    loader = next((_text(content, one.offset) for one in segments if one.kind == _PT_INTERP), None)
    notes = [name for one in segments if one.kind == _PT_NOTE for name in _notes(content, one)]
    return Elf(
        machine=machine,
        loader=loader,
        needed=tuple(_needed(content, segments)),
        is_android=b"Android" in notes,
    )


def _segment(content: bytes, at: int) -> _Segment:
    kind, _, offset, address, _, size = struct.unpack_from("<IIQQQQ", content, at)
    return _Segment(kind, offset, address, size)


def _needed(content: bytes, segments: list[_Segment]) -> list[str]:
    names: list[str] = []
    for dynamic in (one for one in segments if one.kind == _PT_DYNAMIC):
        entries = [
            struct.unpack_from("<qQ", content, at)
            for at in range(dynamic.offset, dynamic.offset + dynamic.size, 16)
        ]
        address = dict(entries).get(_DT_STRTAB, 0)
        strings = next(
            address - one.address + one.offset
            for one in segments
            if one.kind == _PT_LOAD and one.address <= address < one.address + one.size
        )
        names += [_text(content, strings + value) for tag, value in entries if tag == _DT_NEEDED]
    return names


def _notes(content: bytes, notes: _Segment) -> Iterator[bytes]:
    at = notes.offset
    while at < notes.offset + notes.size:
        name_size, described, _ = struct.unpack_from("<III", content, at)
        yield content[at + 12 : at + 12 + name_size].rstrip(b"\0")
        at += 12 + _padded(name_size) + _padded(described)


def _padded(size: int) -> int:
    return (size + 3) // 4 * 4


def _text(content: bytes, at: int) -> str:
    return content[at : content.index(b"\0", at)].decode("ascii", errors="replace")
