import sys
from pathlib import Path

import onnxruntime
import pytest
import torch
from torch import nn

from contract.errors import PhonebookError
from search import export
from search.files import write_document
from search.networks import load, write_weights
from search.runs.onnx import write_onnx
from search.supernet.blocks import build_network
from tests.search.conftest import certain_result, trained


@pytest.fixture
def run_folder(tmp_path: Path) -> Path:
    """What a search leaves, as far as an export reads it."""
    found = certain_result()
    write_document(tmp_path / "result.json", found)
    network = found.network()
    write_weights(tmp_path / "weights.safetensors", trained(build_network(network)), network)
    return tmp_path


@pytest.mark.slow
def test_the_onnx_file_computes_what_the_network_does(
    run_folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    export.app(["--result", str(run_folder / "result.json")])
    assert capsys.readouterr().out == (
        f"{run_folder / 'network.onnx'}: `image`, float32, any batch x 3 x 32 x 32, to `logits`\n"
    )
    module = load(run_folder / "weights.safetensors")
    session = onnxruntime.InferenceSession(run_folder / "network.onnx")
    for batch in (1, 5):
        image_BCHW = torch.randn(batch, 3, 32, 32)
        (logits,) = session.run(["logits"], {"image": image_BCHW.numpy()})
        torch.testing.assert_close(
            torch.from_numpy(logits), module(image_BCHW).detach(), rtol=1e-3, atol=1e-4
        )


@pytest.mark.parametrize("missing", ["onnx", "onnxscript"])
def test_without_the_extra_the_command_that_installs_it_is_named(
    run_folder: Path, monkeypatch: pytest.MonkeyPatch, missing: str
) -> None:
    monkeypatch.setitem(sys.modules, missing, None)
    with pytest.raises(
        PhonebookError, match=rf"needs {missing}; .*pip install -c constraints.txt -e '\.\[onnx\]'"
    ):
        export.app(["--result", str(run_folder / "result.json")])


def test_a_result_without_its_weights_is_explained(run_folder: Path) -> None:
    (run_folder / "weights.safetensors").unlink()
    with pytest.raises(PhonebookError, match=r"cannot read .*weights\.safetensors"):
        export.app(["--result", str(run_folder / "result.json")])


def test_a_place_that_cannot_be_written_is_explained(tmp_path: Path) -> None:
    with pytest.raises(PhonebookError, match=r"cannot write .*none/x\.onnx: No such file"):
        write_onnx(tmp_path / "none" / "x.onnx", nn.Flatten().eval(), resolution=2)
