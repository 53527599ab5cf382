"""A folder of pictures: `train/CLASS/*` beside `val/CLASS/*`, or `CLASS/*` alone."""

import os
from pathlib import Path

import torch
from PIL import Image

from contract.errors import PhonebookError, listing
from search.data.parquet import TESTS, TRAIN, Part, Parts
from search.data.views import FORMATS

Classes = dict[str, list[str]]  # the pictures in each class's folder, relative to the data's


def read_folder(folder: Path) -> Parts | None:
    """The pictures of a folder, none of which is opened; None if there are none.

    Raises:
        PhonebookError: a part has pictures but no folders of classes, the parts have different
            classes, or a file's name is not UTF-8.
    """
    parts = {name: _classes(folder / name, folder) for name in (TRAIN, *TESTS)}
    train = parts.pop(TRAIN)
    tests = [(name, classes) for name, classes in parts.items() if classes]
    flat = _flat_part(folder, has_train=bool(train), has_tests=bool(tests))
    if flat is not None:
        raise PhonebookError(_how_it_should_look(folder, flat))
    if not train:
        train, tests = _classes(folder, folder), []
    if not train:
        return None
    for name, test in tests[:1]:
        if test.keys() != train.keys():
            raise PhonebookError(
                f"--data {folder}: {TRAIN} and {name} have different classes ("
                f"only in {TRAIN}: {listing(sorted(train.keys() - test.keys())) or 'none'}; "
                f"only in {name}: {listing(sorted(test.keys() - train.keys())) or 'none'}); "
                "each class needs a folder of pictures in both"
            )
    return Parts(
        class_names=tuple(train),
        train=_part(folder, train),
        test=_part(folder, tests[0][1]) if tests else None,
        test_name=f"{tests[0][0]}/" if tests else None,
    )


def _flat_part(folder: Path, *, has_train: bool, has_tests: bool) -> str | None:
    """The part whose pictures lie in no folder of a class, and would be passed over; `.` for the
    folder itself. A part to be judged on does not matter where another one has classes."""
    if not has_train and _classes(folder, folder).keys() - {TRAIN, *TESTS}:
        return None  # a folder of classes, one of which may be called `train`
    if not has_train and _pictures(folder / TRAIN):
        return TRAIN
    if not has_tests:
        for name in TESTS:
            if _pictures(folder / name):
                return name
    if not has_train and _pictures(folder):
        return "."
    return None


def _how_it_should_look(folder: Path, part: str) -> str:
    where = folder if part == "." else folder / part
    count = len(_pictures(where))
    shape = "CLASS/*" if part == "." else f"{TRAIN}/CLASS/* and {TESTS[-1]}/CLASS/*"
    moved = (
        "; sort ImageNet's validation pictures into folders by the labels that come with them"
        if part in TESTS
        else ""
    )
    return (
        f"--data {folder}: {where} has {count} pictures in no folder of a class, so nobody knows "
        f"what they show; a folder of pictures looks like {shape}, with a folder for each class "
        f"under the same name in both parts{moved}"
    )


def _pictures(folder: Path) -> list[str]:
    """The names of the pictures that lie in the folder itself; none if there is no such one."""
    readable = {
        suffix for suffix, kind in Image.registered_extensions().items() if kind in FORMATS
    }
    if not folder.is_dir():
        return []
    with os.scandir(folder) as entries:
        return sorted(
            entry.name
            for entry in entries
            if os.path.splitext(entry.name)[1].lower() in readable
            and not entry.name.startswith(".")
            and not entry.is_dir()
        )


def _classes(part: Path, folder: Path) -> Classes:
    """The folders in a part that have pictures, in order; none if there is no such part."""
    if not part.is_dir():
        return {}
    classes = {}
    for name in sorted(entry.name for entry in os.scandir(part) if _is_class(entry)):
        inside = (part / name).relative_to(folder)
        files = [str(inside / picture) for picture in _pictures(part / name)]
        if files:
            classes[name] = files
    return classes


def _is_class(entry: os.DirEntry[str]) -> bool:
    return entry.is_dir() and not entry.name.startswith(".")


def _part(folder: Path, classes: Classes) -> Part:
    from datasets import Dataset
    from datasets import Image as ImageFeature

    names = [name for files in classes.values() for name in files]
    paths = [os.path.join(folder, name) for name in names]
    try:
        rows = Dataset.from_dict({"image": paths, "name": names})
    except UnicodeEncodeError as error:
        raise PhonebookError(
            f"--data {folder}: the file name {os.fsencode(error.object)!r} is not UTF-8; rename it"
        ) from error
    label_B = torch.tensor([i for i, files in enumerate(classes.values()) for _ in files])
    return Part(rows=rows.cast_column("image", ImageFeature(decode=False)), label_B=label_B)
