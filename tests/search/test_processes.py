import json
import os
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from torch import Tensor

from contract.errors import PhonebookError
from contract.results import SearchResult
from contract.spaces import SearchSpace, space
from search import data
from search.networks import load
from search.processes import Processes
from search.training.from_scratch import accuracy
from tests.search import two_processes
from tests.search.conftest import Serve
from tests.tables import table_of

ROOT = Path(__file__).parents[2]
SMALL = space("fbnet-32-0.35")


def torchrun(*arguments: str) -> subprocess.CompletedProcess[str]:
    """Two processes that work together, on a port that is free."""
    return subprocess.run(
        [
            *(sys.executable, "-m", "torch.distributed.run", "--standalone"),
            *("--nproc-per-node", "2", "-m", *arguments),
        ],
        cwd=ROOT,
        env=os.environ | {"OMP_NUM_THREADS": "1"},
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )


def worked(what: str, folder: Path) -> Path:
    """What two processes of `two_processes` wrote there."""
    done = torchrun("tests.search.two_processes", what, str(folder))
    assert done.returncode == 0, done.stderr
    return folder


@pytest.fixture(scope="module")
def stepped(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return worked("one-step", tmp_path_factory.mktemp("stepped"))


@pytest.fixture(scope="module")
def ended(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return worked("to-the-end", tmp_path_factory.mktemp("ended"))


@pytest.mark.slow
@pytest.mark.parametrize("what", [*two_processes.EACH, "training"])
def test_all_processes_end_with_the_same_bits(ended: Path, what: str) -> None:
    """A training's batch norms included: each process judges its share with the same network."""
    (losses, one), (other_losses, other) = (
        torch.load(ended / f"end-{what}-{rank}.pt") for rank in (0, 1)
    )
    assert losses == other_losses
    assert one.keys() == other.keys()
    assert all(torch.equal(value, other[name]) for name, value in one.items())


@pytest.mark.parametrize("paths", two_processes.EACH)
def test_two_halves_of_a_batch_have_the_mean_of_their_gradients(
    tiny: SearchSpace, stepped: Path, paths: two_processes.Paths
) -> None:
    """With a plain step of length 1, what comes out is the mean of what each would do alone."""
    config = replace(two_processes.CONFIG, paths=paths)
    alone: list[dict[str, Tensor]] = []
    for rank in (0, 1):
        search = two_processes.search_of(tiny, config, Processes())
        alone.append(two_processes.plain_steps(search, two_processes.half(rank)))
    together = torch.load(stepped / f"once-{paths}-0.pt")
    assert together.keys() == alone[0].keys()
    for name, value in together.items():
        mean = (alone[0][name] + alone[1][name]) / 2
        torch.testing.assert_close(value, mean, atol=1e-5, rtol=1e-4, msg=name)


@pytest.mark.slow
def test_the_command_runs_in_two_processes_of_which_one_writes(
    tmp_path: Path, idx_folder: Path, serve: Serve
) -> None:
    out = tmp_path / "run"
    options = ["--device", "test-phone", "--server", serve(table_of(SMALL)), "--measure", "no"]
    options += ["--space", SMALL.name, "--data", str(idx_folder), "--out", str(out)]
    options += ["--epochs", "2", "--batch-size", "8", "--paths", "1", "--weight-lr", "0.01"]
    options += ["--final.epochs", "1", "--final.batch-size", "8", "--final.lr", "0.01"]
    options += ["--threads", "1", "--logger", "tensorboard"]
    done = torchrun("search.run", *options)
    assert done.returncode == 0, done.stderr
    result = SearchResult.read(out / "result.json")
    assert json.loads((out / "config.json").read_text())["processes"] == 2
    assert done.stdout.count("found: predicted") == 1
    lines = [json.loads(line) for line in (out / "metrics.jsonl").read_text().splitlines()]
    assert [(line["phase"], line["epoch"]) for line in lines] == [
        *(("search", 1), ("search", 2), ("final", 1))
    ]
    assert len(list((out / "tensorboard").iterdir())) == 1
    assert not list(out.glob("*.partial"))
    assert result.accuracy == judged(out / "weights.safetensors", idx_folder)


def judged(weights: Path, images: Path) -> float:
    """The accuracy of the network that was written, by this process alone."""
    test = data.load(str(images), resolution=SMALL.resolution, most_classes=SMALL.classes).test
    return accuracy(load(weights), test, batch_size=8, processes=Processes())


@pytest.mark.slow
def test_processes_that_cannot_share_a_batch_are_refused(tmp_path: Path) -> None:
    with pytest.raises(PhonebookError, match="--batch-size is 7, which 2 processes cannot share"):
        Processes(world=2).require_equal_shares("batch-size", 7)
    done = torchrun("search.run", "--device", "x", "--batch-size", "7")
    assert "error: --batch-size is 7, which 2 processes cannot share equally; " in done.stderr
    assert "give a multiple of 2" in done.stderr
    assert "exitcode  : 2" in done.stderr
