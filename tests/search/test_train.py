import json
from collections.abc import Iterator
from pathlib import Path

import pytest
import torch

from contract.errors import PhonebookError
from contract.networks import published
from contract.results import SearchResult
from contract.spaces import space
from search import data, train
from search.files import write_document
from search.networks import load
from search.processes import Processes
from search.supernet.supernet import Supernet
from search.training.from_scratch import accuracy
from tests.search.conftest import found_by
from tests.tables import table_of

SMALL = space("fbnet-32-0.35")
QUICK = ["--epochs", "1", "--batch-size", "8", "--lr", "0.01", "--threads", "1"]


def trained(out: Path, images: Path, *arguments: str) -> dict[str, object]:
    """result.json of a short training by the command."""
    train.app([*arguments, "--data", str(images), "--out", str(out), *QUICK])
    result: dict[str, object] = json.loads((out / "result.json").read_text())
    return result


def test_a_published_network_is_trained_and_kept(
    tmp_path: Path, idx_folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "run"
    result = trained(out, idx_folder, "--network", "fbnet-a", "--space", SMALL.name)
    network = published("fbnet-a", in_space=SMALL)
    assert (result["space"], result["architecture"]) == (SMALL.name, list(network.blocks))
    assert (result["macs"], result["params"]) == (network.macs(), network.params())
    images = data.load(str(idx_folder), resolution=32, most_classes=10).test
    module = load(out / "weights.safetensors")
    assert result["accuracy"] == accuracy(module, images, batch_size=3, processes=Processes())
    line = json.loads((out / "metrics.jsonl").read_text())
    assert (line["phase"], line["epoch"]) == ("final", 1)
    assert "training fbnet-a of fbnet-32-0.35" in capsys.readouterr().out


def test_a_finished_training_may_be_resumed_and_not_be_repeated_by_mistake(
    tmp_path: Path, idx_folder: Path
) -> None:
    asked = ("--network", "fbnet-a", "--space", SMALL.name)
    first = trained(tmp_path / "run", idx_folder, *asked)
    with pytest.raises(PhonebookError, match="holds a finished run"):
        trained(tmp_path / "run", idx_folder, *asked)
    assert trained(tmp_path / "run", idx_folder, *asked, "--resume") == first
    other = ("--network", "fbnet-b", "--space", SMALL.name, "--resume")
    with pytest.raises(PhonebookError, match=r"is of another run \(architecture"):
        trained(tmp_path / "run", idx_folder, *other)


@pytest.fixture
def searched(tmp_path: Path) -> Path:
    """The result.json of a search, with two samples."""
    torch.manual_seed(0)
    result = found_by(Supernet(SMALL, table_of(SMALL)), SMALL, table_of(SMALL), samples=2)
    write_document(tmp_path / "result.json", result)
    return tmp_path / "result.json"


@pytest.mark.parametrize("sample", [None, 2])
def test_the_network_of_a_search_or_one_of_its_samples_is_trained(
    tmp_path: Path, idx_folder: Path, searched: Path, sample: int | None
) -> None:
    result = SearchResult.read(searched)
    asked = ["--architecture", str(searched)] + (["--sample", str(sample)] if sample else [])
    found = trained(tmp_path / "run", idx_folder, *asked)
    expected = result.samples[1] if sample else result
    assert found["architecture"] == list(expected.architecture)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ([], "give either --architecture RESULT.JSON or --network NAME"),
        (["--network", "fbnet-a", "--architecture", "x"], "give either --architecture"),
        (["--network", "fbnet-d"], "no network 'fbnet-d'; did you mean"),
        (["--network", "fbnet-a", "--sample", "1"], "--sample is of a search's result; give"),
        (["--network", "fbnet-a", "--resume"], "--resume needs --out: the folder of the training"),
        (["--architecture", "gone.json"], r"cannot read gone\.json"),
    ],
)
def test_a_wrong_training_is_explained(arguments: list[str], message: str) -> None:
    with pytest.raises(PhonebookError, match=message):
        train.app(arguments)


def test_a_sample_that_is_none_or_a_space_that_is_another_is_refused(searched: Path) -> None:
    asked = ["--architecture", str(searched)]
    for number in ("0", "3"):
        with pytest.raises(PhonebookError, match=rf"--sample is {number}, .* samples 1 to 2"):
            train.app([*asked, "--sample", number])
    with pytest.raises(PhonebookError, match=r"is of fbnet-32-0\.35; leave --space fbnet-96 out"):
        train.app([*asked, "--space", "fbnet-96"])


def test_a_folder_without_a_training_is_not_resumed(tmp_path: Path) -> None:
    asked = ["--network", "fbnet-a", "--out", str(tmp_path / "run"), "--resume"]
    with pytest.raises(PhonebookError, match="holds no training to resume"):
        train.app(asked)


@pytest.fixture(autouse=True)
def _threads_as_before() -> Iterator[None]:
    before = torch.get_num_threads()
    yield
    torch.set_num_threads(before)
