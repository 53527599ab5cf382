from pathlib import Path

import pytest

from contract.errors import PhonebookError
from contract.networks import published
from contract.results import ResultNetwork, SearchResult, TrainingResult
from contract.spaces import space

SPACE = space("fbnet-224")


def trained_result(folder: Path, name: str) -> Path:
    """What a training of a published network leaves."""
    network = published(name)
    result = TrainingResult(
        space=network.space,
        architecture=network.blocks,
        head_channels=network.head_channels,
        macs=network.macs(),
        params=network.params(),
        accuracy=0.5,
    )
    path = folder / "result.json"
    path.write_text(result.model_dump_json(indent=2))
    return path


@pytest.mark.parametrize("name", ["fbnet-a", "fbnet-iphonex"])
def test_a_training_s_result_names_its_network_with_its_head(tmp_path: Path, name: str) -> None:
    path = trained_result(tmp_path, name)
    assert ResultNetwork.read(path).network(name) == published(name)
    with pytest.raises(PhonebookError, match="is no result of a search"):
        SearchResult.read(path)


def test_a_result_of_before_names_no_head_and_has_the_usual_one() -> None:
    blocks = published("fbnet-a").blocks
    said = ResultNetwork.model_validate({"space": SPACE.name, "architecture": blocks, "seed": 0})
    assert said.network("found").head == SPACE.head


def test_another_document_is_no_result(tmp_path: Path) -> None:
    path = tmp_path / "result.json"
    path.write_text('{"space": "fbnet-224"}')
    with pytest.raises(PhonebookError, match=r"is no result of a search \(architecture: "):
        ResultNetwork.read(path)
