import gzip
from pathlib import Path

import pytest
import torch

from contract.errors import PhonebookError
from search.data import DataSet, Images, Scaling, load
from search.idx import parse_idx
from tests.search.conftest import idx, write_idx_folder


def loaded(name: str | Path, *, classes: int = 10, seed: int = 0) -> DataSet:
    generator = torch.Generator().manual_seed(seed)
    return load(str(name), resolution=16, classes=classes, generator=generator)


def numbered(count: int) -> Images:
    """Images whose label is their place."""
    return Images(
        grey_BHW=torch.arange(count).float().reshape(count, 1, 1),
        label_B=torch.arange(count),
        scaling=Scaling(mean=0.0, deviation=1.0, resolution=1),
    )


def test_digits_are_three_equal_channels_of_the_space_s_size() -> None:
    digits = loaded("digits")
    assert (len(digits.train), len(digits.test)) == (1438, 359)
    image_BCHW, label_B = next(digits.train.batches(400, torch.Generator().manual_seed(0)))
    assert image_BCHW.shape == (360, 3, 16, 16)
    assert torch.equal(image_BCHW[:, 0], image_BCHW[:, 2])
    assert abs(image_BCHW.mean().item()) < 0.05
    assert set(label_B.tolist()) == set(range(10))


def test_the_splits_are_disjoint_and_complete_and_follow_the_seed() -> None:
    images = numbered(100)
    weights, theta = images.split(0.8, torch.Generator().manual_seed(7))
    again, _ = images.split(0.8, torch.Generator().manual_seed(7))
    other, _ = images.split(0.8, torch.Generator().manual_seed(8))
    assert (len(weights), len(theta)) == (80, 20)
    assert not set(weights.label_B.tolist()) & set(theta.label_B.tolist())
    assert set(weights.label_B.tolist()) | set(theta.label_B.tolist()) == set(range(100))
    assert torch.equal(weights.label_B, again.label_B)
    assert not torch.equal(weights.label_B, other.label_B)


def test_the_test_images_of_digits_follow_the_seed() -> None:
    first, again, other = (loaded("digits", seed=seed).test.grey_BHW for seed in (0, 0, 1))
    assert torch.equal(first, again)
    assert not torch.equal(first, other)


def test_batches_hold_every_image_once_and_none_is_tiny() -> None:
    batches = list(numbered(65).batches(64, torch.Generator().manual_seed(0)))
    assert [len(label_B) for _, label_B in batches] == [33, 32]
    assert sorted(torch.cat([label_B for _, label_B in batches]).tolist()) == list(range(65))
    for image_BCHW, label_B in batches:
        assert torch.equal(image_BCHW[:, 0, 0, 0], label_B.float())


def test_an_idx_folder_is_read_plain_or_gzipped(idx_folder: Path) -> None:
    plain = loaded(idx_folder)
    for file in list(idx_folder.iterdir()):
        (idx_folder / f"{file.name}.gz").write_bytes(gzip.compress(file.read_bytes()))
        file.unlink()
    zipped = loaded(idx_folder)
    assert (len(plain.train), len(plain.test)) == (20, 6)
    assert torch.equal(plain.train.grey_BHW, zipped.train.grey_BHW)
    assert plain.test.label_B.tolist() == [0, 1, 2] * 2


@pytest.mark.parametrize(
    ("file", "content", "message"),
    [
        ("train-images-idx3-ubyte", None, "neither train-images-idx3-ubyte nor .*gz is in it"),
        ("train-images-idx3-ubyte", b"", "does not begin as an IDX file"),
        ("train-images-idx3-ubyte", b"<html>not found</html>", "does not begin as an IDX file"),
        ("t10k-images-idx3-ubyte", idx(torch.zeros(6, 4, 4))[:-1], "its header promises 112"),
        ("train-labels-idx1-ubyte", idx(torch.zeros(19)), "has 20 images and 19 labels"),
        ("t10k-labels-idx1-ubyte", idx(torch.zeros(0)), "has 6 images and 0 labels"),
    ],
)
def test_a_broken_folder_is_refused_by_name(
    idx_folder: Path, file: str, content: bytes | None, message: str
) -> None:
    (idx_folder / file).unlink()
    if content is not None:
        (idx_folder / file).write_bytes(content)
    with pytest.raises(PhonebookError, match=message) as caught:
        loaded(idx_folder)
    assert str(idx_folder) in str(caught.value)


@pytest.mark.parametrize("content", [b"no gzip", gzip.compress(b"x" * 1000)[:-20]])
def test_a_broken_gzip_file_is_refused(idx_folder: Path, content: bytes) -> None:
    (idx_folder / "t10k-labels-idx1-ubyte").unlink()
    (idx_folder / "t10k-labels-idx1-ubyte.gz").write_bytes(content)
    with pytest.raises(
        PhonebookError, match=r"ubyte\.gz is no whole gzip file \(.+\); fetch it again"
    ):
        loaded(idx_folder)


def test_a_missing_and_an_empty_folder_are_refused(tmp_path: Path) -> None:
    with pytest.raises(PhonebookError, match="no such folder; give `digits`"):
        loaded(tmp_path / "nowhere")
    with pytest.raises(PhonebookError, match="is in it"):
        loaded(tmp_path)


def test_labels_must_fit_the_space_and_differ(tmp_path: Path) -> None:
    with pytest.raises(PhonebookError, match="labels up to 9, but the space tells 9 classes"):
        loaded("digits", classes=9)
    one_class = write_idx_folder(tmp_path / "one", labels=[3] * 5, test_labels=[3] * 2)
    with pytest.raises(PhonebookError, match="has only the class 3"):
        loaded(one_class)


def test_fewer_classes_than_the_space_has_are_fine() -> None:
    assert len(loaded("digits", classes=100).train) == 1438


def test_idx_bytes_keep_their_shape() -> None:
    values = torch.arange(12).reshape(3, 2, 2)
    assert torch.equal(parse_idx(idx(values), dimensions=3, where="here").long(), values)
