"""Files that are there as a whole or not at all."""

import errno
import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from contract.errors import PhonebookError
from contract.values import Value

LEAST_FREE_BYTES = 64 * 1024


@contextmanager
def whole_file(path: Path) -> Iterator[Path]:
    """A place to write to; it takes the path's name, and replaces what had it, at the end.

    Raises:
        PhonebookError: it cannot be written; what was there before stays.
    """
    partial = path.with_name(f"{path.name}.partial")
    with writing(path):
        try:
            yield partial
            partial.replace(path)
        except Exception as error:  # torch and safetensors raise their own on a full disk
            has_room = _has_room(path)
            partial.unlink(missing_ok=True)
            if not has_room:
                raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC)) from error
            raise


@contextmanager
def writing(path: Path) -> Iterator[None]:
    """
    Raises:
        PhonebookError: what is done within cannot write to that path.
    """
    try:
        yield
    except OSError as error:
        raise PhonebookError(
            f"cannot write {path} ({error.strerror or error}); make room there, or name another "
            "--out"
        ) from error


def _has_room(path: Path) -> bool:
    """Libraries that write files have words of their own for a disk that is full."""
    return shutil.disk_usage(path.parent).free >= LEAST_FREE_BYTES


def write_document(path: Path, value: Value) -> None:
    """The value as a JSON document for people and programs.

    Raises:
        PhonebookError: as `whole_file` does.
    """
    with whole_file(path) as partial:
        partial.write_text(value.model_dump_json(indent=2) + "\n", encoding="utf-8")
