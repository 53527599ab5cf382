from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch

from contract.errors import PhonebookError
from contract.spaces import SearchSpace
from search.dnas.figures import EpochResult
from search.runs.folder import RunFolder
from search.runs.record import Record
from search.training.figures import FinalEpoch
from tests.tables import table_of

IDENTITY = {"space": "fbnet-32", "epochs": 40, "paths": "1", "target_ms": None}
EPOCH = EpochResult(
    epoch=1,
    trains_theta=True,
    temperature=0.1,
    weight_cross_entropy=1.5,
    theta_cross_entropy=1.75,
    latency_term=0.5,
    theta_loss=0.875,
    theta_accuracy=1 / 3,
    expected_latency_us=1234.5,
    theta_entropy=0.1,
    theta=((0.1, 0.9), (1.0,)),
    seconds=3.25,
)


def saved(path: Path, content: object) -> None:
    torch.save(content, path)


def whole(path: Path) -> bytes:
    record = Record(identity=IDENTITY, search={"theta": torch.arange(300.0)})
    record.write(path)
    return path.read_bytes()


BROKEN: dict[str, Callable[[Path], Any]] = {
    "empty": lambda path: path.write_bytes(b""),
    "text": lambda path: path.write_text("hello"),
    "tensor": lambda path: saved(path, torch.zeros(3)),
    "other": lambda path: saved(path, {"weights": 3}),
    "cut": lambda path: path.write_bytes(whole(path)[:-100]),
    "half": lambda path: path.write_bytes(whole(path)[:700]),
    "damaged": lambda path: path.write_bytes(
        whole(path).replace(b"format", b"\xff\xff\xff\xff\xff\xff")
    ),
    "missing": lambda path: None,
    "folder": lambda path: path.mkdir(),
}


@pytest.mark.parametrize("make", BROKEN.values(), ids=BROKEN.keys())
def test_a_broken_checkpoint_is_refused_with_the_way_out(
    tmp_path: Path, make: Callable[[Path], Any]
) -> None:
    path = tmp_path / "checkpoint.pt"
    make(path)
    with pytest.raises(PhonebookError, match=r"is no checkpoint of a run .*--overwrite, or name"):
        Record.read(path, identity=IDENTITY)


def test_a_checkpoint_survives_its_file(tmp_path: Path) -> None:
    path = tmp_path / "checkpoint.pt"
    record = Record(
        identity=IDENTITY,
        epochs=[EPOCH],
        final_epochs=[FinalEpoch(epoch=1, cross_entropy=0.5)],
        search={"theta": torch.tensor([0.1, 0.2]), "place": {"epoch": 2}},
    )
    record.write(path)
    record.write(path)
    again = Record.read(path, identity=IDENTITY)
    assert (again.epochs, again.final_epochs) == (record.epochs, record.final_epochs)
    assert again.search is not None
    assert again.search["theta"].tolist() == torch.tensor([0.1, 0.2]).tolist()
    assert [file.name for file in tmp_path.iterdir()] == ["checkpoint.pt"]


def test_a_checkpoint_of_another_version_is_told(tmp_path: Path) -> None:
    saved(tmp_path / "checkpoint.pt", {"format": 0})
    with pytest.raises(PhonebookError, match=r"is of another version of Phonebook; .*--overwrite"):
        Record.read(tmp_path / "checkpoint.pt", identity=IDENTITY)


@pytest.mark.parametrize(
    ("now", "message"),
    [
        (
            {"space": "fbnet-96"},
            r"another run \(space fbnet-32, now fbnet-96\); repeat that run's",
        ),
        ({"epochs": 41, "paths": "all"}, r"\(epochs 40, now 41; paths 1, now all\)"),
        ({"target_ms": 3.0}, r"\(target_ms None, now 3\.0\)"),
        ({"new_option": 1}, r"\(new_option None, now 1\)"),
    ],
)
def test_a_checkpoint_of_another_run_names_what_differs(
    tmp_path: Path, now: dict[str, Any], message: str
) -> None:
    path = tmp_path / "checkpoint.pt"
    Record(identity=IDENTITY).write(path)
    with pytest.raises(PhonebookError, match=message):
        Record.read(path, identity=IDENTITY | now)


@pytest.mark.parametrize(
    ("name", "what"), [("result.json", "a finished run"), ("checkpoint.pt", "an unfinished run")]
)
def test_a_folder_with_a_run_is_refused_unless_told_what_to_do_with_it(
    tmp_path: Path, name: str, what: str
) -> None:
    (tmp_path / name).write_text("{}")
    with pytest.raises(PhonebookError, match=f"holds {what}; .*--resume .*--overwrite"):
        RunFolder(tmp_path)
    with pytest.raises(PhonebookError, match="either --overwrite or --resume, not both"):
        RunFolder(tmp_path, overwrite=True, resume=True)
    RunFolder(tmp_path, overwrite=True).begin({"epochs": 3})
    assert [file.name for file in tmp_path.iterdir()] == ["config.json"]


def test_a_run_is_not_resumed_without_its_table(tmp_path: Path) -> None:
    folder = RunFolder(tmp_path / "run")
    folder.begin({})
    with pytest.raises(PhonebookError, match=r"cannot be resumed: its lut\.json is missing"):
        folder.table_used()


def test_a_run_resumes_with_the_table_it_began_with(tmp_path: Path, tiny: SearchSpace) -> None:
    folder = RunFolder(tmp_path / "run")
    folder.begin({}, table_of(tiny))
    assert folder.table_used() == table_of(tiny)


def test_results_go_to_a_folder(tmp_path: Path) -> None:
    (tmp_path / "taken").write_text("")
    with pytest.raises(PhonebookError, match="is a file; name a folder"):
        RunFolder(tmp_path / "taken")
    with pytest.raises(PhonebookError, match=r"cannot write to --out .*taken/run"):
        RunFolder(tmp_path / "taken" / "run").begin({})


def test_a_run_resumes_from_its_checkpoint_and_not_from_a_result_alone(tmp_path: Path) -> None:
    assert not RunFolder(tmp_path, resume=True).resumes
    (tmp_path / "result.json").write_text("{}")
    with pytest.raises(PhonebookError, match=r"its checkpoint\.pt is gone"):
        RunFolder(tmp_path, resume=True)
    (tmp_path / "checkpoint.pt").write_text("")
    assert RunFolder(tmp_path, resume=True).resumes
