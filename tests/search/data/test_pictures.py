import io
import os
from pathlib import Path

import pytest
import torch
from PIL import Image
from torch import Tensor

from contract.errors import PhonebookError
from search.data import Batch, DataSet, Images, load

NO_PICTURE = "not a picture (AVIF, BMP, GIF, JPEG, JPEG2000, PNG, PPM, TIFF, WEBP)"
COLOURS = {"blue": (0, 0, 255), "green": (0, 255, 0), "red": (255, 0, 0)}


def noise(size: tuple[int, int], seed: int) -> Image.Image:
    """A picture in which every pixel differs from its neighbours."""
    generator = torch.Generator().manual_seed(seed)
    width, height = size
    byte_HWC = torch.randint(0, 256, (height, width, 3), generator=generator)
    return Image.fromarray(byte_HWC.to(torch.uint8).numpy())


def write_part(part: Path, *, each: int, size: tuple[int, int] = (40, 30)) -> Path:
    """Folders of three classes with so many pictures each."""
    for number, name in enumerate(COLOURS):
        (part / name).mkdir(parents=True)
        for index in range(each):
            noise(size, seed=100 * number + index).save(part / name / f"{index}.png")
    return part


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Twelve pictures to learn from and six to be judged on, of three classes."""
    write_part(tmp_path / "pictures" / "train", each=4)
    write_part(tmp_path / "pictures" / "val", each=2)
    return tmp_path / "pictures"


def loaded(folder: Path, *, workers: int = 0, smallest_area: float = 0.08) -> DataSet:
    return load(
        str(folder),
        resolution=16,
        most_classes=10,
        workers=workers,
        smallest_area=smallest_area,
    )


def same(ones: list[Batch], others: list[Batch]) -> bool:
    return len(ones) == len(others) and all(
        torch.equal(one[0], other[0]) and torch.equal(one[1], other[1])
        for one, other in zip(ones, others, strict=True)
    )


def shown(image_CHW: Tensor) -> Tensor:
    """The bytes HWC that a network's input was made of."""
    mean_C, deviation_C = torch.tensor([0.485, 0.456, 0.406]), torch.tensor([0.229, 0.224, 0.225])
    return ((image_CHW.permute(1, 2, 0) * deviation_C + mean_C) * 255).round().to(torch.uint8)


def only(folder: Path) -> Tensor:
    """The bytes HWC that the first picture of `folder` becomes when it is judged."""
    return shown(next(loaded(folder).train.batches(1))[0][0])


def test_a_folder_of_pictures_has_its_folders_as_classes(folder: Path) -> None:
    data = loaded(folder)
    assert data.class_names == ("blue", "green", "red")
    assert data.train.label_B.tolist() == [0] * 4 + [1] * 4 + [2] * 4
    assert data.test.label_B.tolist() == [0, 0, 1, 1, 2, 2]
    image_BCHW, label_B = next(data.train.batches(12))
    assert image_BCHW.shape == (12, 3, 16, 16)
    assert image_BCHW.dtype == torch.float32
    assert image_BCHW.is_contiguous(memory_format=torch.channels_last)
    assert label_B.tolist() == data.train.label_B.tolist()


@pytest.mark.parametrize("part", ["val", "valid", "validation", "test"])
def test_the_part_to_be_judged_on_has_several_names(folder: Path, part: str) -> None:
    (folder / "val").rename(folder / part)
    assert len(loaded(folder).test) == 6


def test_a_test_folder_without_classes_does_not_hide_the_validation_part(folder: Path) -> None:
    (folder / "test").mkdir()
    noise((20, 20), seed=1).save(folder / "test" / "unlabelled.png")
    assert len(loaded(folder).test) == 6


def test_without_parts_a_fifth_is_held_out_by_name(tmp_path: Path) -> None:
    write_part(tmp_path / "all", each=100, size=(4, 4))
    data = loaded(tmp_path / "all")
    assert len(data.train) + len(data.test) == 300
    assert 40 < len(data.test) < 80
    for lost in ("0", "1", "2"):
        (tmp_path / "all" / "blue" / f"{lost}.png").unlink()
    left = loaded(tmp_path / "all")
    for label in (1, 2):
        ours = data.test.where(data.test.label_B == label)
        theirs = left.test.where(left.test.label_B == label)
        assert same(list(ours.batches(100)), list(theirs.batches(100)))


def test_only_pictures_in_visible_folders_count(folder: Path) -> None:
    (folder / "train" / ".cache").mkdir()
    noise((4, 4), seed=0).save(folder / "train" / ".cache" / "0.png")
    (folder / "train" / "empty").mkdir()
    (folder / "train" / "blue" / "notes.txt").write_text("blue ones")
    noise((4, 4), seed=0).save(folder / "train" / "blue" / "ANOTHER.JPEG")
    data = loaded(folder)
    assert data.class_names == ("blue", "green", "red")
    assert len(data.train) == 13


def test_parts_with_different_classes_are_refused(folder: Path) -> None:
    (folder / "val" / "red").rename(folder / "val" / "rot")
    with pytest.raises(PhonebookError, match=r"only in train: red; only in val: rot"):
        loaded(folder)


def test_loading_opens_no_picture(folder: Path) -> None:
    for file in list(folder.rglob("*.png")):
        file.unlink()
        file.symlink_to("nowhere")
    data = loaded(folder)
    assert data.train.label_B.tolist() == [0] * 4 + [1] * 4 + [2] * 4
    assert data.train.unreadable() == {}


def test_the_seed_alone_decides_order_and_views(folder: Path) -> None:
    first = list(loaded(folder).train.batches(5, shuffle=1))
    assert same(first, list(loaded(folder).train.batches(5, shuffle=1)))
    assert not same(first, list(loaded(folder).train.batches(5, shuffle=2)))
    assert same(first[1:], list(loaded(folder).train.batches(5, shuffle=1, skip=1)))


def test_a_picture_s_view_does_not_depend_on_the_others(folder: Path) -> None:
    images = loaded(folder).train
    alone = images.where(torch.arange(12) == 7)
    (view_BCHW, _) = next(alone.batches(1, shuffle=9))
    (all_BCHW, _) = next(images.batches(12, shuffle=9))
    assert any(torch.equal(view_BCHW[0], image_CHW) for image_CHW in all_BCHW)


@pytest.mark.filterwarnings("ignore:.*fork:DeprecationWarning")
def test_reading_in_other_processes_changes_nothing(folder: Path) -> None:
    (folder / "train" / "red" / "2.png").write_bytes(b"")
    before = torch.random.get_rng_state()
    here, there = loaded(folder).train, loaded(folder, workers=2).train
    assert same(list(here.batches(5, shuffle=1)), list(there.batches(5, shuffle=1)))
    assert same(list(here.batches(5)), list(there.batches(5)))
    assert here.unreadable() == there.unreadable()
    assert list(there.unreadable()) == ["train/red/2.png"]
    assert torch.equal(torch.random.get_rng_state(), before)


def unreadable_files() -> dict[str, bytes | None]:
    whole = io.BytesIO()
    noise((64, 64), seed=0).save(whole, "jpeg")
    png = io.BytesIO()
    noise((64, 64), seed=0).save(png, "png")
    return {
        "empty.jpg": b"",
        "text.jpg": b"<html>not found</html>",
        "truncated.jpg": whole.getvalue()[:2000],
        "truncated.png": png.getvalue()[:5000],
        "garbled.png": png.getvalue()[:60] + bytes(200) + png.getvalue()[260:],
        "missing.jpg": None,
    }


def test_unreadable_pictures_are_left_out_and_named(folder: Path) -> None:
    files = unreadable_files()
    for name, content in files.items():
        (folder / "train" / "red" / name).write_bytes(content or b"")
    images = loaded(folder).train
    (folder / "train" / "red" / "missing.jpg").unlink()
    assert len(images) == 12 + len(files)
    batches = list(images.batches(9, shuffle=0))
    assert sum(len(label_B) for _, label_B in batches) == 12
    assert all(len(image_BCHW) == len(label_B) for image_BCHW, label_B in batches)
    reasons = images.unreadable()
    assert sorted(reasons) == sorted(f"train/red/{name}" for name in files)
    assert reasons["train/red/empty.jpg"] == NO_PICTURE
    assert "No such file" in reasons["train/red/missing.jpg"]
    assert "truncated" in reasons["train/red/truncated.jpg"]


def test_a_picture_that_is_a_program_is_not_run(folder: Path) -> None:
    noise((20, 20), seed=0).save(folder / "train" / "blue" / "0.png", "eps")
    images = loaded(folder).train
    list(images.batches(12))
    assert images.unreadable() == {"train/blue/0.png": NO_PICTURE}


def test_a_file_name_that_is_no_text_is_refused(folder: Path) -> None:
    name = os.fsdecode(b"caf\xe9.png")
    try:
        noise((4, 4), seed=0).save(folder / "train" / "blue" / name)
    except OSError:
        pytest.skip("this file system has no such names")
    with pytest.raises(PhonebookError, match=r"caf\\xe9\.png' is not UTF-8; rename it"):
        loaded(folder)


def test_labels_stay_with_their_pictures_when_some_are_left_out(folder: Path) -> None:
    for name, colour in COLOURS.items():
        for file in (folder / "train" / name).iterdir():
            Image.new("RGB", (20, 20), colour).save(file)
    (folder / "train" / "blue" / "1.png").write_bytes(b"")
    (folder / "train" / "green" / "0.png").write_bytes(b"")
    image_BCHW, label_B = next(loaded(folder).train.batches(12, shuffle=3))
    assert len(label_B) == 10
    for image_CHW, label in zip(image_BCHW, label_B.tolist(), strict=True):
        assert tuple(shown(image_CHW)[8, 8].tolist()) == list(COLOURS.values())[label]


def test_the_parts_of_a_split_tell_of_the_same_unreadable_pictures(folder: Path) -> None:
    (folder / "train" / "blue" / "0.png").write_bytes(b"")
    one, other = loaded(folder).train.split(0.5, seed=1)
    for part in (one, other):
        list(part.batches(12))
    assert one.unreadable().keys() == other.unreadable().keys() == {"train/blue/0.png"}


def test_a_batch_of_which_nothing_can_be_read_is_an_error(folder: Path) -> None:
    for file in (folder / "train" / "blue").iterdir():
        file.write_bytes(b"")
    batches = loaded(folder).train.batches(4)
    with pytest.raises(
        PhonebookError,
        match=r"none of the 4 pictures .+ the first is train/blue/0\.png: not a picture",
    ):
        next(batches)


@pytest.mark.parametrize(
    ("mode", "colour", "expected"),
    [
        ("RGB", (10, 200, 30), [10, 200, 30]),
        ("RGBA", (10, 200, 30, 99), [10, 200, 30]),
        ("CMYK", (245, 55, 225, 0), [10, 200, 30]),
        ("L", 128, [128] * 3),
        ("LA", (128, 0), [128] * 3),
        ("I;16", 128 * 257, [128] * 3),
        ("1", 1, [255] * 3),
    ],
)
def test_every_kind_of_picture_becomes_red_green_and_blue(
    folder: Path, mode: str, colour: int | tuple[int, ...], expected: list[int]
) -> None:
    file = folder / "train" / "blue" / "0.png"
    Image.new(mode, (20, 20), colour).save(file, "tiff" if mode == "CMYK" else "png")
    assert only(folder)[8, 8].tolist() == expected


def test_a_transparent_palette_is_fine(folder: Path) -> None:
    picture = Image.new("RGB", (20, 20), (10, 200, 30)).quantize(4)
    picture.save(folder / "train" / "blue" / "0.png", transparency=b"\x00\x80")
    assert only(folder)[8, 8].tolist() == [10, 200, 30]


def test_a_large_picture_is_judged_by_its_middle(folder: Path) -> None:
    """Shorter side to 16 * 256 / 224 pixels, then the 16 in the middle."""
    picture = Image.new("RGB", (200, 100), (255, 0, 0))
    picture.paste((0, 255, 0), (100 - 43, 50 - 43, 100 + 43, 50 + 43))
    picture.save(folder / "train" / "blue" / "0.png")
    view_HWC = only(folder)
    assert (view_HWC[1:-1, 1:-1, 1] > 250).all()
    picture.paste((0, 0, 255), (100 - 34, 50 - 34, 100 + 34, 50 + 34))
    picture.save(folder / "train" / "blue" / "0.png")
    assert (only(folder)[0, 1:-1, 1] > 190).all()


def test_a_picture_of_the_network_s_size_is_judged_as_it_is(folder: Path) -> None:
    picture = noise((16, 16), seed=5)
    picture.save(folder / "train" / "blue" / "0.png")
    assert shown_bytes(picture) == only(folder).flatten().tolist()


def shown_bytes(picture: Image.Image) -> list[int]:
    return list(picture.tobytes())


def views(images: Images, count: int) -> list[Tensor]:
    """The views of one picture in so many passes."""
    return [shown(next(images.batches(1, shuffle=seed))[0][0]) for seed in range(count)]


def first_alone(folder: Path, picture: Image.Image, *, smallest_area: float = 0.08) -> Images:
    picture.save(folder / "train" / "blue" / "0.png")
    images = loaded(folder, smallest_area=smallest_area).train
    return images.where(torch.arange(12) == 0)


def test_small_pictures_are_shifted_by_up_to_four_pixels_and_mirrored(folder: Path) -> None:
    picture = noise((16, 16), seed=5)
    whole_HWC = torch.tensor(shown_bytes(picture), dtype=torch.uint8).reshape(16, 16, 3)
    padded_HWC = torch.zeros(24, 24, 3, dtype=torch.uint8)
    padded_HWC[4:20, 4:20] = whole_HWC
    shifts = {
        (top, left, mirrored): view_HWC.flip(1) if mirrored else view_HWC
        for top in range(9)
        for left in range(9)
        for mirrored in (False, True)
        for view_HWC in [padded_HWC[top : top + 16, left : left + 16]]
    }
    met = {
        next(shift for shift, view in shifts.items() if torch.equal(view, view_HWC))
        for view_HWC in views(first_alone(folder, picture), 40)
    }
    assert len(met) > 20
    assert {mirrored for _, _, mirrored in met} == {False, True}


def test_large_pictures_are_cropped_to_a_share_of_their_area_and_mirrored(folder: Path) -> None:
    """Red rises to the right and green downwards: a view's range is its share of a side."""
    ramp = Image.merge("RGB", (*ramps(256), Image.new("L", (256, 256))))
    for smallest_area, least, most in ((0.08, 0.08, 1.0), (0.9, 0.9, 1.0)):
        areas, mirrored = [], set()
        for view_HWC in views(first_alone(folder, ramp, smallest_area=smallest_area), 60):
            red, green = view_HWC[8, :, 0].double(), view_HWC[:, 8, 1].double()
            wide, tall = abs(float(red[-1] - red[0])), float(green[-1] - green[0])
            areas.append(wide * tall / (256 * 15 / 16) ** 2)
            mirrored.add(bool(red[-1] < red[0]))
        assert min(areas) > least * 0.8
        assert max(areas) < most * 1.1
        assert mirrored == {False, True}
        assert max(areas) - min(areas) > (most - least) * 0.5


def ramps(side: int) -> tuple[Image.Image, Image.Image]:
    downwards = Image.linear_gradient("L").resize((side, side))
    return downwards.transpose(Image.Transpose.ROTATE_90), downwards


def test_a_picture_far_from_square_is_cropped_all_the_same(folder: Path) -> None:
    images = first_alone(folder, noise((400, 3), seed=1))
    assert all(view_HWC.shape == (16, 16, 3) for view_HWC in views(images, 5))


def test_grey_tensors_need_no_processes() -> None:
    digits = load("digits", resolution=8, most_classes=10, workers=2)
    assert len(next(digits.train.batches(4))[1]) <= 4
    assert digits.train.unreadable() == {}
