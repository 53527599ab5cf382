import gzip
from pathlib import Path

import pytest
import torch
from torch import Tensor

from contract.errors import PhonebookError
from search.data import DataSet, Images, Scaling, grey_images, load
from search.data.idx import parse_idx
from tests.search.conftest import idx, write_idx_folder


def loaded(
    name: str | Path, *, most_classes: int = 10, classes: int | None = None, seed: int = 0
) -> DataSet:
    return load(str(name), resolution=16, most_classes=most_classes, classes=classes, seed=seed)


def numbered(count: int) -> Images:
    """Images whose label is their place."""
    return grey_images(
        torch.arange(count).float().reshape(count, 1, 1),
        torch.arange(count),
        scaling=Scaling(mean=0.0, deviation=1.0, resolution=1),
    )


def labels(images: Images, batch_size: int = 1000, **options: int) -> list[list[int]]:
    return [label_B.tolist() for _, label_B in images.batches(batch_size, **options)]


def all_images(images: Images) -> Tensor:
    return torch.cat([image_BCHW for image_BCHW, _ in images.batches(1000)])


def test_digits_are_three_equal_channels_of_the_space_s_size() -> None:
    digits = loaded("digits")
    assert len(digits.train) + len(digits.test) == 1797
    assert 0.17 < len(digits.test) / 1797 < 0.23
    assert digits.class_names == tuple("0123456789")
    image_BCHW, label_B = next(digits.train.batches(400, shuffle=0))
    assert image_BCHW.shape[1:] == (3, 16, 16)
    assert torch.equal(image_BCHW[:, 0], image_BCHW[:, 2])
    assert abs(image_BCHW.mean().item()) < 0.05
    assert set(label_B.tolist()) == set(range(10))


def test_the_test_images_of_digits_follow_the_seed() -> None:
    first, again, other = (all_images(loaded("digits", seed=seed).test) for seed in (0, 0, 1))
    assert torch.equal(first, again)
    assert first.shape != other.shape or not torch.equal(first, other)


def test_the_sides_of_a_split_are_disjoint_and_complete_and_follow_the_seed() -> None:
    images = numbered(1000)
    weights, theta = images.split(0.8, seed=7)
    again, _ = images.split(0.8, seed=7)
    other, _ = images.split(0.8, seed=8)
    assert 750 < len(weights) < 850
    assert not set(weights.label_B.tolist()) & set(theta.label_B.tolist())
    assert len(weights) + len(theta) == 1000
    assert torch.equal(weights.label_B, again.label_B)
    assert weights.label_B.tolist() != other.label_B.tolist()


def test_more_images_move_no_other_to_the_other_side() -> None:
    few, _ = numbered(500).split(0.5, seed=0)
    many, _ = numbered(1000).split(0.5, seed=0)
    assert [label for label in many.label_B.tolist() if label < 500] == few.label_B.tolist()


def test_a_split_of_what_a_test_part_left_has_its_share() -> None:
    """The two draws of one seed are independent of each other."""
    _, train = numbered(4000).hold_out(0.2, seed=3)
    weights, _ = train.split(0.8, seed=3)
    assert len(weights) / len(train) == pytest.approx(0.8, abs=0.03)


@pytest.mark.parametrize("share", [0.0, 1.0])
def test_an_empty_side_is_refused(share: float) -> None:
    with pytest.raises(PhonebookError, match="one side would be empty; give more images"):
        numbered(20).split(share, seed=0)


def test_batches_hold_every_image_once_and_none_is_tiny() -> None:
    batches = list(numbered(65).batches(64, shuffle=0))
    assert [len(label_B) for _, label_B in batches] == [33, 32]
    assert sorted(torch.cat([label_B for _, label_B in batches]).tolist()) == list(range(65))
    for image_BCHW, label_B in batches:
        assert torch.equal(image_BCHW[:, 0, 0, 0], label_B.float())
        assert image_BCHW.is_contiguous(memory_format=torch.channels_last)


def test_the_order_follows_the_seed_and_is_the_images_own_without_one() -> None:
    images = numbered(30)
    assert labels(images) == [list(range(30))]
    assert labels(images, shuffle=1) == labels(images, shuffle=1)
    assert labels(images, shuffle=1) != labels(images, shuffle=2)


def test_a_resumed_pass_has_the_batches_that_were_missing() -> None:
    images = numbered(30)
    assert labels(images, 7, shuffle=1, skip=2) == labels(images, 7, shuffle=1)[2:]
    assert labels(images, 7, shuffle=1, skip=5) == []


@pytest.mark.parametrize(("count", "batch_size", "world"), [(65, 16, 2), (50, 12, 3), (5, 2, 2)])
def test_processes_share_a_shuffled_pass_in_equal_batches(
    count: int, batch_size: int, world: int
) -> None:
    ranks = [
        labels(numbered(count), batch_size, shuffle=4, rank=rank, world=world)
        for rank in range(world)
    ]
    sizes = [[len(batch) for batch in rank] for rank in ranks]
    assert all(of_rank == sizes[0] for of_rank in sizes)
    assert max(sizes[0]) - min(sizes[0]) <= 1
    assert max(sizes[0]) * world <= batch_size
    drawn = [label for rank in ranks for batch in rank for label in batch]
    assert len(drawn) == len(set(drawn)) == count - count % world


def test_processes_share_a_pass_in_order_and_leave_nothing_out() -> None:
    ranks = [
        [label for batch in labels(numbered(11), 4, rank=rank, world=2) for label in batch]
        for rank in range(2)
    ]
    assert ranks == [list(range(0, 11, 2)), list(range(1, 11, 2))]


def test_processes_that_cannot_share_are_refused() -> None:
    with pytest.raises(PhonebookError, match="batch of 10 images cannot be shared by 4 processes"):
        numbered(30).batches(10, world=4)
    with pytest.raises(PhonebookError, match="3 images cannot be shared by 4 processes"):
        numbered(3).batches(8, shuffle=0, world=4)


def test_an_idx_folder_is_read_plain_or_gzipped(idx_folder: Path) -> None:
    plain = loaded(idx_folder)
    for file in list(idx_folder.iterdir()):
        (idx_folder / f"{file.name}.gz").write_bytes(gzip.compress(file.read_bytes()))
        file.unlink()
    zipped = loaded(idx_folder)
    assert (len(plain.train), len(plain.test)) == (20, 6)
    assert torch.equal(all_images(plain.train), all_images(zipped.train))
    assert plain.test.label_B.tolist() == [0, 1, 2] * 2
    assert plain.class_names == ("0", "1", "2")


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


@pytest.mark.parametrize("content", [b"no gzip", gzip.compress(b"x" * 1000, mtime=0)[:-20]])
def test_a_broken_gzip_file_is_refused(idx_folder: Path, content: bytes) -> None:
    (idx_folder / "t10k-labels-idx1-ubyte").unlink()
    (idx_folder / "t10k-labels-idx1-ubyte.gz").write_bytes(content)
    with pytest.raises(
        PhonebookError, match=r"ubyte\.gz is no whole gzip file \(.+\); fetch it again"
    ):
        loaded(idx_folder)


def test_what_is_no_data_is_refused_with_what_would_be(tmp_path: Path) -> None:
    with pytest.raises(PhonebookError, match=r"nowhere: no such folder; give `digits`, .+hub:"):
        loaded(tmp_path / "nowhere")
    with pytest.raises(PhonebookError, match="an empty folder; give `digits`"):
        loaded(tmp_path)
    (tmp_path / "notes").mkdir()
    for file in (tmp_path / "notes" / "todo.txt", tmp_path / "table.csv"):
        file.write_text("a,b")
    with pytest.raises(PhonebookError, match="no data in this folder; give `digits`"):
        loaded(tmp_path)
    with pytest.raises(PhonebookError, match=r"table\.csv: no data in this file; give `digits`"):
        loaded(tmp_path / "table.csv")


def test_labels_must_fit_the_space_and_differ(tmp_path: Path) -> None:
    with pytest.raises(
        PhonebookError,
        match=r"labels up to 9, but the space tells 9 classes apart .+ give --classes 9 for",
    ):
        loaded("digits", most_classes=9)
    one_class = write_idx_folder(tmp_path / "one", labels=[3] * 5, test_labels=[3] * 2)
    with pytest.raises(PhonebookError, match="has only the class 3"):
        loaded(one_class)


def test_fewer_classes_than_the_space_has_are_fine() -> None:
    assert len(loaded("digits", most_classes=100).train) == len(loaded("digits").train)


def test_classes_are_drawn_by_seed_and_renumbered_in_order() -> None:
    everything = loaded("digits", seed=5)
    four, again, other = (loaded("digits", classes=4, seed=seed) for seed in (5, 5, 6))
    assert four.class_names == again.class_names != other.class_names
    assert list(four.class_names) == sorted(four.class_names)
    for label, name in enumerate(four.class_names):
        count = int((everything.train.label_B == int(name)).sum())
        assert int((four.train.label_B == label).sum()) == count
    assert set(four.test.label_B.tolist()) == set(range(4))
    assert len(loaded("digits", classes=4, most_classes=4).class_names) == 4


@pytest.mark.parametrize("classes", [0, 1, 11])
def test_a_number_of_classes_that_cannot_be_drawn_is_refused(classes: int) -> None:
    with pytest.raises(
        PhonebookError, match=rf"--classes {classes}, but .+ has 10 classes; give 2"
    ):
        loaded("digits", classes=classes)


def test_classes_without_test_images_are_refused(tmp_path: Path) -> None:
    folder = write_idx_folder(tmp_path / "x", labels=[0, 1, 2] * 4, test_labels=[2, 2])
    met = set()
    for seed in range(20):
        try:
            assert "2" in loaded(folder, classes=2, seed=seed).class_names
        except PhonebookError as error:
            met.add(str(error).partition(": ")[0].removeprefix(f"--data {folder} "))
    assert met == {"has no test images of 0, 1; give more images or --classes"}


def test_idx_bytes_keep_their_shape() -> None:
    values = torch.arange(12).reshape(3, 2, 2)
    assert torch.equal(parse_idx(idx(values), dimensions=3, where="here").long(), values)
