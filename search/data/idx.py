"""IDX files, the format of MNIST: a header of big-endian sizes, then bytes."""

import gzip
import math
import struct
import zlib
from pathlib import Path

import torch
from torch import Tensor

from contract.errors import PhonebookError

UNSIGNED_BYTE = 0x08


def read_idx(folder: Path, name: str, *, dimensions: int) -> Tensor:
    """The bytes of `folder/name` or `folder/name.gz`, shaped as its header says.

    Raises:
        PhonebookError: neither file is there, or it is no whole IDX file of that many dimensions.
    """
    plain, zipped = folder / name, folder / f"{name}.gz"
    if plain.is_file():
        return parse_idx(plain.read_bytes(), dimensions=dimensions, where=str(plain))
    if not zipped.is_file():
        raise PhonebookError(f"--data {folder}: neither {plain.name} nor {zipped.name} is in it")
    try:
        content = gzip.decompress(zipped.read_bytes())
    except (OSError, EOFError, zlib.error) as error:
        raise PhonebookError(
            f"{zipped} is no whole gzip file ({error}); fetch it again"
        ) from error
    return parse_idx(content, dimensions=dimensions, where=str(zipped))


def parse_idx(content: bytes, *, dimensions: int, where: str) -> Tensor:
    """The tensor in an IDX file's content; `where` names the file in errors.

    Raises:
        PhonebookError: another magic number, or another length than the header says.
    """
    header = 4 + 4 * dimensions
    if content[:4] != bytes((0, 0, UNSIGNED_BYTE, dimensions)) or len(content) < header:
        raise PhonebookError(
            f"{where} does not begin as an IDX file of bytes in {dimensions} dimensions; "
            "fetch it again"
        )
    shape = struct.unpack(f">{dimensions}I", content[4:header])
    expected = header + math.prod(shape)
    if len(content) != expected:
        raise PhonebookError(
            f"{where} holds {len(content)} bytes, but its header promises {expected}; "
            "fetch it again"
        )
    # A bytearray, because torch wants memory that it may write to.
    return torch.frombuffer(bytearray(content), dtype=torch.uint8)[header:].reshape(shape)
