"""Pickles from elsewhere, read without running what is in them.

A pickle may name any function to call. Here it may build dicts, lists, tuples, strings and
numbers; numpy's scalars are decoded by code of this module, and everything else is refused.
"""

import io
import pickle
import struct
from typing import Any

_FORMATS = {"f8": "d", "f4": "f", "f2": "e", "i8": "q", "i4": "i", "u8": "Q", "u4": "I"}


class Refused(ValueError):
    """The pickle asks for what no table of numbers needs."""


def load(content: bytes) -> object:
    """The dicts, lists, strings and numbers in a pickle.

    Raises:
        ValueError: it is broken, or wants more than that.
    """
    try:
        return _Unpickler(io.BytesIO(content)).load()
    except Refused:
        raise
    except Exception as error:  # broken ones raise nearly anything; nothing of theirs has run
        raise ValueError(f"it is no whole pickle: {error}") from error


class _Unpickler(pickle.Unpickler):
    def find_class(self, module: str, name: str) -> Any:
        known = {
            ("numpy", "dtype"): _Dtype,
            ("numpy.core.multiarray", "scalar"): _SCALAR,
            ("numpy._core.multiarray", "scalar"): _SCALAR,
            ("_codecs", "encode"): _ENCODED,  # how old protocols spell bytes
        }
        if (module, name) not in known:
            raise Refused(f"it asks for {module}.{name}, and only numbers are taken from a pickle")
        return known[module, name]


class _Dtype:
    """What a pickle tells of a number's type; it has no attributes that a pickle could set."""

    __slots__ = ("code", "order")

    def __init__(self, code: str, *_flags: object) -> None:
        if code not in _FORMATS:
            raise Refused(f"it has numbers of numpy type {code!r}")
        self.code = code
        self.order = "<"

    def __setstate__(self, state: tuple[object, ...]) -> None:
        if len(state) < 2 or state[1] not in ("<", ">", "|", "="):
            raise Refused("it has numbers of an unknown byte order")
        self.order = ">" if state[1] == ">" else "<"


class _Scalar:
    __slots__ = ()

    def __call__(self, dtype: object, content: object) -> float:
        if not isinstance(dtype, _Dtype) or not isinstance(content, bytes):
            raise Refused("it has a number of an unknown form")
        (number,) = struct.unpack(f"{dtype.order}{_FORMATS[dtype.code]}", content)
        return float(number)


class _Encoded:
    __slots__ = ()

    def __call__(self, text: object, encoding: object) -> bytes:
        if not isinstance(text, str) or encoding != "latin1":
            raise Refused("it has bytes of an unknown form")
        return text.encode("latin1")


_SCALAR = _Scalar()
_ENCODED = _Encoded()
