"""From what `--data` says to images that a space can learn."""

from dataclasses import replace
from pathlib import Path
from random import Random

import torch

from contract.errors import PhonebookError, listing
from search.data.folder import read_folder
from search.data.grey import DIGITS, digits, idx_folder, is_idx_folder
from search.data.images import DataSet, Images
from search.data.parquet import HUB, Part, Parts, parquet_files, read_hub, read_parquet
from search.data.pictures import Look, Pictures, Table
from search.data.views import SMALLEST_AREA

TEST_SHARE = 0.2  # held out where the data has no test part
ACCEPTED = (
    f"`{DIGITS}`, a folder with the IDX files of MNIST, a folder of pictures (train/CLASS/* and "
    "val/CLASS/*, or CLASS/*), parquet files (train*.parquet and test*.parquet), or "
    "`hub:OWNER/NAME` for the Hugging Face Hub"
)


def load(
    name: str,
    *,
    resolution: int,
    most_classes: int,
    classes: int | None = None,
    seed: int = 0,
    workers: int = 0,
    smallest_area: float = SMALLEST_AREA,
) -> DataSet:
    """The data set of that name; no picture is read yet.

    Args:
        name: `digits`; a folder of MNIST's IDX files, of pictures or of parquet files; one
            parquet file; `hub:OWNER/NAME` or `hub:OWNER/NAME:CONFIG`.
        resolution: height and width in pixels that the space wants.
        most_classes: the most that the space can tell apart.
        classes: keep so many, drawn at random; None for all.
        seed: draws the classes, and the test images of data that has no test part.
        workers: processes that read pictures; 0 for this one.
        smallest_area: least share of a large picture that a crop in training shows.

    Raises:
        PhonebookError: no such data, parts missing or broken, or unsuitable labels.
    """
    look = Look(resolution=resolution, smallest_area=smallest_area)
    if name == DIGITS:
        everything = digits(resolution=resolution)
        images = _held_out(name, everything, _numbers(everything), seed=seed)
    elif name.startswith(HUB):
        images = _pictures(name, read_hub(name), look, seed=seed, workers=workers)
    elif is_idx_folder(Path(name)):
        train, test = idx_folder(Path(name), resolution=resolution)
        images = DataSet(
            name=name,
            class_names=_numbers(train, test),
            train=train,
            test=test,
            test_from="the files t10k-*",
        )
    else:
        images = _pictures(name, _read_path(Path(name)), look, seed=seed, workers=workers)
    if classes is not None:
        images = _drawn_classes(images, classes, seed=seed)
    _check_labels(images, most_classes)
    return images


def _read_path(path: Path) -> Parts:
    if not path.exists():
        raise PhonebookError(f"--data {path}: no such folder; give {ACCEPTED}")
    if files := parquet_files(path):
        return read_parquet(path, files)
    parts = read_folder(path) if path.is_dir() else None
    if parts is None:
        kind = "file" if path.is_file() else "folder"
        empty = path.is_dir() and not any(path.iterdir())
        raise PhonebookError(
            f"--data {path}: {'an empty' if empty else 'no data in this'} {kind}; give {ACCEPTED}"
        )
    return parts


def _pictures(name: str, parts: Parts, look: Look, *, seed: int, workers: int) -> DataSet:
    def images(part: Part, prefix: str) -> Images:
        table = Table(rows=part.rows, prefix=prefix)
        source = Pictures(table=table, look=look, workers=workers)
        return Images(source=source, row_B=torch.arange(len(part.label_B)), label_B=part.label_B)

    train = images(parts.train, "train row ")
    if parts.test is None:
        return _held_out(name, train, parts.class_names, seed=seed)
    test = images(parts.test, "test row ")
    came_from = f"its part {parts.test_name}"
    return DataSet(
        name=name, class_names=parts.class_names, train=train, test=test, test_from=came_from
    )


def _held_out(
    name: str, everything: Images, class_names: tuple[str, ...], *, seed: int
) -> DataSet:
    """A fifth of the images to be judged on, drawn by their names and the seed.

    Of every class something is left to learn from, and where it has two images or more, one of
    them is judged.
    """
    test, _ = everything.hold_out(TEST_SHARE, seed=seed)
    is_test_B = torch.isin(everything.row_B, test.row_B)
    single = []
    for label in sorted(set(everything.label_B.tolist())):
        places = (everything.label_B == label).nonzero().flatten()
        if is_test_B[places].all():
            is_test_B[places[-1]] = False
        elif not is_test_B[places].any() and len(places) > 1:
            is_test_B[places[0]] = True
        if len(places) == 1:
            single.append(class_names[label])
    without = f"; none of {listing(single)}, of which there is one image" if single else ""
    return DataSet(
        name=name,
        class_names=class_names,
        train=everything.where(~is_test_B),
        test=everything.where(is_test_B),
        test_from=f"{TEST_SHARE:.0%} held out, as the data has no test part{without}",
    )


def _numbers(*images: Images) -> tuple[str, ...]:
    """Names of classes that have none: their numbers."""
    highest = max(int(part.label_B.max()) for part in images)
    return tuple(str(number) for number in range(highest + 1))


def _drawn_classes(images: DataSet, classes: int, *, seed: int) -> DataSet:
    there = sorted(set(images.train.label_B.tolist()))
    if not 2 <= classes <= len(there):
        raise PhonebookError(
            f"--classes {classes}, but --data {images.name} has {len(there)} classes; "
            f"give 2 to {len(there)} (a preset may have set another number)"
        )
    drawn = sorted(Random(seed).sample(there, classes))
    new_label_N = torch.full((len(images.class_names),), -1)
    new_label_N[drawn] = torch.arange(len(drawn))
    return DataSet(
        name=images.name,
        class_names=tuple(images.class_names[label] for label in drawn),
        train=_renumbered(images.train, new_label_N),
        test=_renumbered(images.test, new_label_N),
        test_from=images.test_from,
    )


def _renumbered(images: Images, new_label_N: torch.Tensor) -> Images:
    label_B = new_label_N[images.label_B]
    return replace(images, label_B=label_B).where(label_B >= 0)


def _check_labels(images: DataSet, most_classes: int) -> None:
    count = len(images.class_names)
    highest = count - 1
    if count > most_classes:
        raise PhonebookError(
            f"--data {images.name} has labels up to {highest}, but the space tells {most_classes} "
            f"classes apart (0 to {most_classes - 1}); give --classes {most_classes} for as many "
            "of them drawn at random, or choose another --space"
        )
    there = sorted(set(images.train.label_B.tolist()))
    if len(there) == 1:
        raise PhonebookError(
            f"--data {images.name} has only the class {images.class_names[there[0]]}; "
            "there is nothing to tell apart"
        )
    if not len(images.test):
        raise PhonebookError(
            f"--data {images.name} has no test images of {listing(images.class_names)}; "
            "give more images or --classes"
        )
