import io
from pathlib import Path
from typing import Any

import pytest
import torch
from PIL import Image

from contract.errors import PhonebookError
from search.data import DataSet, load
from search.data.parquet import parts_of


def encoded(shade: int) -> bytes:
    file = io.BytesIO()
    Image.new("RGB", (16, 16), (shade, shade, shade)).save(file, "png")
    return file.getvalue()


def table(labels: list[int | None], *, image: str = "image", label: str = "label") -> Any:
    """Pictures of one shade, which is their row; classes with names."""
    import datasets

    kinds = {image: datasets.Image(), label: datasets.ClassLabel(names=["cat", "cow", "dog"])}
    pictures = [{"bytes": encoded(row), "path": None} for row in range(len(labels))]
    return datasets.Dataset.from_dict(
        {image: pictures, label: labels}, features=datasets.Features(kinds)
    )


def plain(labels: list[int], *, label: str = "label") -> Any:
    """The same without Hugging Face's notes on what the columns are."""
    import datasets

    pictures = [{"bytes": encoded(row), "path": "x.png"} for row in range(len(labels))]
    kind = {"bytes": datasets.Value("binary"), "path": datasets.Value("string")}
    kinds = {"image": kind, label: datasets.Value("int64")}
    return datasets.Dataset.from_dict(
        {"image": pictures, label: labels}, features=datasets.Features(kinds)
    )


def loaded(path: Path | str, **options: int) -> DataSet:
    return load(str(path), resolution=16, most_classes=10, **options)


def shades(data: DataSet) -> list[int]:
    image_BCHW, _ = next(data.train.batches(100))
    return [round(value * 255) for value in (image_BCHW[:, 0, 0, 0] * 0.229 + 0.485).tolist()]


def test_parquet_files_are_told_apart_by_name(tmp_path: Path) -> None:
    (tmp_path / "data").mkdir()
    table([0, 1, 2, 0]).to_parquet(tmp_path / "data" / "train-00000-of-00002.parquet")
    table([1, 1, 2]).to_parquet(tmp_path / "data" / "train-00001-of-00002.parquet")
    table([2, 0]).to_parquet(tmp_path / "data" / "test-00000-of-00001.parquet")
    data = loaded(tmp_path)
    assert data.class_names == ("cat", "cow", "dog")
    assert data.train.label_B.tolist() == [0, 1, 2, 0, 1, 1, 2]
    assert data.test.label_B.tolist() == [2, 0]
    assert shades(data) == [0, 1, 2, 3, 0, 1, 2]


def test_a_folder_for_each_part_will_do(tmp_path: Path) -> None:
    for part, labels in (("train", [0, 1, 2]), ("validation", [1, 2])):
        (tmp_path / part).mkdir()
        table(list(labels)).to_parquet(tmp_path / part / "0000.parquet")
    data = loaded(tmp_path)
    assert (len(data.train), len(data.test)) == (3, 2)


def test_one_parquet_file_has_a_fifth_held_out(tmp_path: Path) -> None:
    plain([0, 1, 2] * 100, label="fine_label").to_parquet(tmp_path / "a[1].parquet")
    data = loaded(tmp_path / "a[1].parquet")
    assert len(data.train) + len(data.test) == 300
    assert 40 < len(data.test) < 80
    assert data.class_names == ("0", "1", "2")


def test_files_of_no_part_beside_others_are_refused(tmp_path: Path) -> None:
    for name in ("train", "more"):
        table([0, 1]).to_parquet(tmp_path / f"{name}.parquet")
    with pytest.raises(PhonebookError, match=r"more\.parquet names no part, but others do; call"):
        loaded(tmp_path)


def test_a_broken_parquet_file_is_refused(tmp_path: Path) -> None:
    (tmp_path / "train.parquet").write_bytes(b"<html>not found</html>")
    with pytest.raises(PhonebookError, match=r"parquet files cannot be read \(.+\); fetch them"):
        loaded(tmp_path)


def test_rows_without_a_whole_picture_are_left_out_and_named(tmp_path: Path) -> None:
    import datasets

    pictures = [{"bytes": encoded(row), "path": None} for row in range(4)]
    pictures[1] = {"bytes": encoded(1)[:50], "path": None}
    rows = {"image": [*pictures, None], "label": [0, 1, 0, 1, 1]}
    kinds = datasets.Features(image=datasets.Image(), label=datasets.Value("int64"))
    for part in ("train", "test"):
        datasets.Dataset.from_dict(rows, features=kinds).to_parquet(tmp_path / f"{part}.parquet")
    data = loaded(tmp_path)
    _, label_B = next(data.train.batches(5))
    assert label_B.tolist() == [0, 0, 1]
    assert list(data.train.unreadable()) == ["train row 1", "train row 4"]
    assert data.train.unreadable()["train row 4"] == "the row has no picture"
    assert data.test.unreadable() == {}


@pytest.mark.filterwarnings("ignore:.*fork:DeprecationWarning")
def test_rows_are_read_in_other_processes_too(tmp_path: Path) -> None:
    table([0, 1, 2] * 5).to_parquet(tmp_path / "train.parquet")
    table([0, 1]).to_parquet(tmp_path / "test.parquet")
    here = list(loaded(tmp_path).train.batches(4, shuffle=1))
    there = list(loaded(tmp_path, workers=2).train.batches(4, shuffle=1))
    for one, other in zip(here, there, strict=True):
        assert torch.equal(one[0], other[0])
        assert torch.equal(one[1], other[1])


def test_the_test_part_counts_before_the_validation_part_unless_its_labels_are_secret() -> None:
    parts = {"train": table([0, 1]), "validation": table([1] * 3), "test": table([2] * 4)}
    judged = parts_of(parts, where="--data x").test
    assert judged is not None
    assert judged.label_B.tolist() == [2] * 4
    judged = parts_of({**parts, "test": plain([-1] * 4)}, where="--data x").test
    assert judged is not None
    assert judged.label_B.tolist() == [1] * 3


def test_columns_are_found_by_what_they_hold() -> None:
    found = parts_of({"train": table([0, 2], image="img", label="animal")}, where="--data x")
    assert found.class_names == ("cat", "cow", "dog")
    assert found.train.label_B.tolist() == [0, 2]
    assert found.test is None


@pytest.mark.parametrize(
    ("gone", "missing"), [("image", "no column of pictures"), ("label", "no column of labels")]
)
def test_a_table_without_pictures_or_labels_is_refused(gone: str, missing: str) -> None:
    with pytest.raises(PhonebookError, match=rf"--data x has {missing}, only \w+ \(.+it needs"):
        parts_of({"train": table([0, 1]).remove_columns(gone)}, where="--data x")


def test_labels_with_gaps_are_refused() -> None:
    with pytest.raises(PhonebookError, match="column label has gaps; remove the rows"):
        parts_of({"train": table([0, None, 1])}, where="--data x")


def test_a_part_with_other_columns_is_refused() -> None:
    parts = {"train": table([0, 1]), "test": plain([0, 1])}
    with pytest.raises(PhonebookError, match=r"column image is Image.+ in the part to be judged"):
        parts_of(parts, where="--data x")
    parts = {"train": table([0, 1]), "test": table([0, 1]).remove_columns("image")}
    with pytest.raises(PhonebookError, match="but None in the part to be judged on; write them"):
        parts_of(parts, where="--data x")


def test_parts_none_of_which_is_to_train_on_are_refused() -> None:
    with pytest.raises(PhonebookError, match="the parts a, b, but none called train"):
        parts_of({"a": table([0]), "b": table([1])}, where="--data x")


def test_secret_labels_cannot_be_trained_on() -> None:
    with pytest.raises(PhonebookError, match="part train has no rows with labels"):
        parts_of({"train": plain([-1, -1])}, where="--data x")


def test_a_hub_that_does_not_answer_is_an_error_that_says_what_else_to_do() -> None:
    with pytest.raises(
        PhonebookError,
        match=r"--data hub:owner/name:big: .+ did not give owner/name \(.+\); check .+ connection",
    ):
        loaded("hub:owner/name:big")


@pytest.mark.parametrize("name", ["hub:", "hub:name", "hub:a/b/c", "hub:a/b:"])
def test_a_name_that_the_hub_cannot_have_is_refused(name: str) -> None:
    with pytest.raises(PhonebookError, match="is no name on the Hugging Face Hub; give `hub:OWN"):
        loaded(name)
