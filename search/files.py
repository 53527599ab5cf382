"""Files that are there as a whole or not at all."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from contract.errors import PhonebookError
from contract.values import Value


@contextmanager
def whole_file(path: Path) -> Iterator[Path]:
    """A place to write to; it takes the path's name, and replaces what had it, at the end.

    Raises:
        PhonebookError: it cannot be written; what was there before stays.
    """
    partial = path.with_name(f"{path.name}.partial")
    try:
        yield partial
        partial.replace(path)
    except OSError as error:
        raise PhonebookError(
            f"cannot write {path} ({error.strerror}); make room there, or name another --out"
        ) from error


def write_document(path: Path, value: Value) -> None:
    """The value as a JSON document for people and programs.

    Raises:
        PhonebookError: as `whole_file` does.
    """
    with whole_file(path) as partial:
        partial.write_text(value.model_dump_json(indent=2) + "\n", encoding="utf-8")
