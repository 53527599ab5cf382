"""How folders of pictures are laid out: what is refused with words, and what is held out."""

import shutil
from pathlib import Path

import pytest
import torch
from PIL import Image

from contract.errors import PhonebookError
from contract.spaces import space
from search.data import DataSet, load
from search.data.views import decode
from search.run import app as search
from tests.search.conftest import Serve
from tests.search.data.test_pictures import noise, write_part
from tests.tables import table_of

SMALL = space("fbnet-32-0.35")


def loaded(folder: Path) -> DataSet:
    return load(str(folder), resolution=16, most_classes=10)


def flat(part: Path, count: int) -> None:
    part.mkdir(parents=True, exist_ok=True)
    for index in range(count):
        noise((20, 20), seed=index).save(part / f"flat-{index}.png")


@pytest.mark.parametrize("part", ["val", "test", "validation"])
def test_a_part_to_be_judged_on_without_folders_of_classes_is_refused(
    tmp_path: Path, part: str
) -> None:
    write_part(tmp_path / "train", each=4)
    flat(tmp_path / part, 5)
    with pytest.raises(
        PhonebookError, match=rf"{part} has 5 pictures in no folder of a class"
    ) as e:
        loaded(tmp_path)
    assert "looks like train/CLASS/* and val/CLASS/*" in str(e.value)


def test_parts_are_not_taken_for_classes(tmp_path: Path) -> None:
    flat(tmp_path / "train", 4)
    flat(tmp_path / "val", 2)
    with pytest.raises(PhonebookError, match=r"train has 4 pictures in no folder of a class"):
        loaded(tmp_path)
    shutil.rmtree(tmp_path / "train")
    with pytest.raises(PhonebookError, match=r"val has 2 pictures in no folder of a class"):
        loaded(tmp_path)


def test_pictures_beside_each_other_have_no_classes(tmp_path: Path) -> None:
    flat(tmp_path, 3)
    with pytest.raises(PhonebookError, match=r"3 pictures in no folder .* looks like CLASS/\*"):
        loaded(tmp_path)


def test_a_class_may_be_called_train(tmp_path: Path) -> None:
    for name in ("bus", "car", "train"):
        flat(tmp_path / name, 10)
    assert loaded(tmp_path).class_names == ("bus", "car", "train")


def test_where_the_test_part_came_from_is_told(tmp_path: Path) -> None:
    write_part(tmp_path / "all", each=40, size=(4, 4))
    assert loaded(tmp_path / "all").test_from == "20% held out, as the data has no test part"
    write_part(tmp_path / "train", each=2)
    write_part(tmp_path / "valid", each=2)
    shutil.rmtree(tmp_path / "all")
    assert loaded(tmp_path).test_from == "its part valid/"


def test_the_screen_says_where_the_test_part_came_from(
    tmp_path: Path, serve: Serve, idx_folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    table = table_of(SMALL)
    told = ["--device", "test-phone", "--space", SMALL.name, "--server", serve(table)]
    with pytest.raises(PhonebookError, match="cannot be split"):
        search([*told, "--data", str(idx_folder), "--weights-share", "0.999999"])
    assert "6 to be judged on (the files t10k-*), 3 classes" in capsys.readouterr().out


def test_of_every_class_something_is_left_to_learn_from(tmp_path: Path) -> None:
    for number in range(9):
        flat(tmp_path / f"class{number}", 1 if number < 6 else 2)
    flat(tmp_path / "many", 50)
    for seed in range(10):
        data = load(str(tmp_path), resolution=16, most_classes=10, seed=seed)
        learnt, judged = (set(part.label_B.tolist()) for part in (data.train, data.test))
        assert learnt == set(range(10))
        assert judged == {6, 7, 8, 9}  # those of two images or more
        assert "none of class0, class1, class2 and 3 more, of which there is one" in data.test_from
        rows = torch.cat([data.train.row_B, data.test.row_B])
        assert rows.sort().values.tolist() == list(range(62))


@pytest.mark.parametrize(("mode", "reason"), [("F", "32-bit floats"), ("I", "32-bit integers")])
def test_pixels_whose_white_nobody_knows_are_unreadable_and_named(
    tmp_path: Path, mode: str, reason: str
) -> None:
    write_part(tmp_path / "train", each=2)
    write_part(tmp_path / "val", each=2)
    Image.new(mode, (20, 20), 1).save(tmp_path / "train" / "blue" / "odd.tif")
    data = loaded(tmp_path)
    assert sum(len(label_B) for _, label_B in data.train.batches(10)) == 6
    ((name, why),) = data.train.unreadable().items()
    assert name == "train/blue/odd.tif"
    assert reason in why
    assert "save it with 8 or 16 bits" in why
    with pytest.raises(ValueError, match=reason):
        decode(tmp_path / "train" / "blue" / "odd.tif")
