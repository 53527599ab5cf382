import json
from pathlib import Path

import pytest

from contract.errors import PhonebookError
from contract.results import SearchResult
from search.files import write_document
from tests.search.conftest import certain_result


def test_a_result_survives_its_file(tmp_path: Path) -> None:
    says = certain_result()
    write_document(tmp_path / "result.json", says)
    assert SearchResult.read(tmp_path / "result.json") == says
    assert says.network().params() == says.params
    written = json.loads((tmp_path / "result.json").read_text())
    assert set(written) >= {
        "device",
        "runtime",
        "space",
        "seed",
        "architecture",
        "predicted_us",
        "measured_us",
        "macs",
        "params",
        "accuracy",
        "table_snapshot",
    }
    assert written["measured_us"] is None
    assert written["runtime"]["threads"] == 1


@pytest.mark.parametrize("content", ["", "{}", "[1]", "no json"])
def test_another_file_is_no_result(tmp_path: Path, content: str) -> None:
    path = tmp_path / "result.json"
    path.write_text(content)
    with pytest.raises(PhonebookError, match="is no result of a search"):
        SearchResult.read(path)


def test_a_missing_result_is_said_to_be_missing(tmp_path: Path) -> None:
    with pytest.raises(PhonebookError, match=r"cannot read .*gone\.json: No such file"):
        SearchResult.read(tmp_path / "gone.json")
