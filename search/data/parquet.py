"""Parquet files and the Hugging Face Hub: where their parts, pictures and labels are."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from glob import escape
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from contract.errors import PhonebookError, listing

HUB = "hub:"
HUB_NAME = re.compile(r"hub:(?P<path>[\w.-]+/[\w.-]+)(:(?P<config>[^:]+))?")
LABELS = ("label", "labels", "fine_label")
TRAIN = "train"
TESTS = ("test", "validation", "valid", "val")  # the first that is there is the test part
PART = re.compile(rf"(?<![a-z])({TRAIN}|{'|'.join(TESTS)})(?![a-z])", re.IGNORECASE)


@dataclass(frozen=True, kw_only=True, slots=True)
class Part:
    """One part of a data set: pictures that are not decoded yet, and their labels."""

    rows: Any  # datasets.Dataset with the columns `image` and perhaps `name`
    label_B: Tensor  # int64


@dataclass(frozen=True, kw_only=True, slots=True)
class Parts:
    """What a data set has; without a test part, one is to be held out."""

    class_names: tuple[str, ...]
    train: Part
    test: Part | None
    test_name: str | None  # what the data calls that part


def parquet_files(path: Path) -> list[Path]:
    """The file itself, or the parquet files of a folder, its `data` and its parts' folders."""
    if path.is_file():
        return [path] if path.suffix == ".parquet" else []
    folders = [path, *(path / name for name in ("data", TRAIN, *TESTS))]
    return sorted(file for folder in folders for file in folder.glob("*.parquet"))


def read_parquet(path: Path, files: list[Path]) -> Parts:
    """The parts that the files' names tell apart (`train-0.parquet`, `test/0.parquet`).

    Raises:
        PhonebookError: no Parquet file, a name of no part, or no pictures or labels in it.
    """
    from datasets import Dataset
    from datasets.exceptions import DatasetsError

    parts: dict[str, list[str]] = {}
    for file in files:
        found = PART.findall(str(file.relative_to(path)) if file != path else file.stem)
        parts.setdefault(found[-1].lower() if found else "", []).append(str(file))
    if "" in parts and len(parts) > 1:
        raise PhonebookError(
            f"--data {path}: {listing(parts[''])} names no part, but others do; "
            f"call each file by {TRAIN} or {TESTS[0]}"
        )
    try:
        tables = {
            part or TRAIN: Dataset.from_parquet([escape(name) for name in names])
            for part, names in parts.items()
        }
    except (OSError, ValueError, DatasetsError) as error:
        raise PhonebookError(
            f"--data {path}: its parquet files cannot be read ({_reason(error)}); fetch them again"
        ) from error
    return parts_of(tables, where=f"--data {path}")


def read_hub(name: str) -> Parts:
    """The data set `hub:OWNER/NAME` or `hub:OWNER/NAME:CONFIG`, fetched unless it was before.

    Raises:
        PhonebookError: another name, no connection, no such data set, or not one of pictures.
    """
    wanted = HUB_NAME.fullmatch(name)
    if wanted is None:
        raise PhonebookError(
            f"--data {name} is no name on the Hugging Face Hub; give `hub:OWNER/NAME`, "
            "or `hub:OWNER/NAME:CONFIG`"
        )
    from datasets import load_dataset
    from datasets.exceptions import DatasetsError

    try:
        tables = load_dataset(wanted["path"], wanted["config"])
    except (OSError, ValueError, DatasetsError) as error:
        raise PhonebookError(
            f"--data {name}: the Hugging Face Hub did not give {wanted['path']} "
            f"({_reason(error)}); check the name and the connection, or fetch its parquet files "
            "elsewhere and give their folder"
        ) from error
    return parts_of(tables, where=f"--data {name}")


def parts_of(tables: Mapping[str, Any], *, where: str) -> Parts:
    """The pictures and labels of a data set's tables.

    Args:
        tables: each part's `datasets.Dataset`, by the part's name.
        where: begins the errors.

    Raises:
        PhonebookError: no part to train on, no column of pictures or of usable labels, or another
            kind of column in the part to be judged on.
    """
    train = TRAIN if TRAIN in tables else next(iter(tables))
    if train != TRAIN and len(tables) > 1:
        raise PhonebookError(
            f"{where} has the parts {', '.join(tables)}, but none called {TRAIN}; rename one"
        )
    image, label = _columns(tables[train].features, where)
    tests = [name for name in TESTS if name in tables and name != train]
    labelled_names = [name for name in tests if _is_labelled(tables[name], label, where)]
    labelled = [tables[name] for name in labelled_names]
    if not _is_labelled(tables[train], label, where):
        raise PhonebookError(f"{where}: the part {train} has no rows with labels; give another")
    for column in (image, label):
        kinds = [table.features.get(column) for table in (tables[train], *labelled[:1])]
        if kinds[0] != kinds[-1]:
            raise PhonebookError(
                f"{where}: the column {column} is {kinds[0]} in {train}, but {kinds[-1]} in the "
                "part to be judged on; write them alike"
            )
    return Parts(
        class_names=_class_names([tables[train], *labelled[:1]], label),
        train=_part(tables[train], image, label),
        test=_part(labelled[0], image, label) if labelled else None,
        test_name=labelled_names[0] if labelled else None,
    )


def _columns(features: Mapping[str, Any], where: str) -> tuple[str, str]:
    from datasets import ClassLabel, Image, Value

    stored = {"bytes": Value("binary"), "path": Value("string")}  # without Hugging Face's notes
    images = [n for n, kind in features.items() if isinstance(kind, Image) or kind == stored]
    labels = [name for name, kind in features.items() if isinstance(kind, ClassLabel)]
    labels = [
        *(name for name in LABELS if name in labels),
        *labels,
        *(
            name
            for name in LABELS
            if isinstance(features.get(name), Value) and "int" in features[name].dtype
        ),
    ]
    if not images or not labels:
        missing = "no column of pictures" if not images else "no column of labels"
        raise PhonebookError(
            f"{where} has {missing}, only {', '.join(f'{n} ({k})' for n, k in features.items())}; "
            "it needs an Image column, and a ClassLabel one or whole numbers called "
            f"{' or '.join(LABELS)}"
        )
    return images[0], labels[0]


def _class_names(tables: Sequence[Any], label: str) -> tuple[str, ...]:
    from datasets import ClassLabel

    kind = tables[0].features[label]
    if isinstance(kind, ClassLabel):
        return tuple(kind.names)
    highest = max(int(_labels(table, label).max()) for table in tables)
    return tuple(str(number) for number in range(highest + 1))


def _is_labelled(table: Any, label: str, where: str) -> bool:
    """Whether there are labels; contests keep those of their test part, and write -1."""
    if label not in table.column_names or not len(table):
        return False
    if table.data.column(label).null_count:
        raise PhonebookError(f"{where}: the column {label} has gaps; remove the rows without one")
    return int(_labels(table, label).min()) >= 0


def _part(table: Any, image: str, label: str) -> Part:
    from datasets import Image

    rows = table.select_columns([image]).rename_columns({image: "image"})
    return Part(rows=rows.cast_column("image", Image(decode=False)), label_B=_labels(table, label))


def _labels(table: Any, label: str) -> Tensor:
    return torch.tensor(table.data.column(label).to_numpy()).long()


def _reason(error: Exception) -> str:
    return str(error).partition("\n")[0] or type(error).__name__
