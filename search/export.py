"""`python -m search.export --result runs/x/result.json`: the network found, as an ONNX file."""

import logging
import warnings
from importlib import import_module
from pathlib import Path
from typing import Annotated

import torch
from cyclopts import Parameter
from torch import nn

from contract.cli import command_line, main
from contract.errors import PhonebookError
from contract.spaces import space as space_named
from search.networks import load
from search.result import SearchResult
from search.screen import plain_console

HELP = "Write the network that a search found as an ONNX file, with its trained weights."
app = command_line("python -m search.export", HELP)


@app.default
def export(*, result: Path, to: Annotated[Path | None, Parameter(name="--onnx")] = None) -> None:
    """Write the network that a search found as an ONNX file, with its trained weights.

    Args:
        result: The result.json of a search; its weights.safetensors lies beside it.
        to: The file to write; else network.onnx beside the result.
    """
    found = SearchResult.read(result)
    module = load(result.with_name("weights.safetensors"))
    path = to or result.with_name("network.onnx")
    # PyTorch's exporter logs a line for each operator of torchvision that it does not find.
    logging.getLogger("torch.onnx").setLevel(logging.ERROR)
    resolution = space_named(found.space).resolution
    write_onnx(path, module, resolution=resolution)
    plain_console().print(
        f"{path}: `image`, float32, any batch x 3 x {resolution} x {resolution}, to `logits`"
    )


def write_onnx(path: Path, module: nn.Module, *, resolution: int) -> None:
    """The module as one ONNX file, from `image` [B, 3, H, W] to `logits` [B, N] for any B.

    The module is in eval mode; `resolution` is H and W in pixels.

    Raises:
        PhonebookError: the extra `onnx` is not installed, or the file cannot be written.
    """
    try:
        for name in ("onnx", "onnxscript"):
            import_module(name)
    except ImportError as error:
        raise PhonebookError(
            f"writing ONNX needs {error.name}; install it with `pip install 'phonebook[onnx]'`"
        ) from error
    # Two images: a batch of one would be taken for a constant.
    image_BCHW = torch.zeros(2, 3, resolution, resolution)
    with warnings.catch_warnings():
        # PyTorch 2.13's exporter calls a deprecated function of its own.
        warnings.filterwarnings("ignore", r"`isinstance\(treespec, LeafSpec\)`", FutureWarning)
        program = torch.onnx.export(
            module,
            (image_BCHW,),
            dynamo=True,
            verbose=False,
            input_names=["image"],
            output_names=["logits"],
            dynamic_shapes=({0: torch.export.Dim("batch")},),
        )
    assert program is not None
    try:
        program.save(path)
    except OSError as error:
        raise PhonebookError(f"cannot write {path}: {error.strerror}") from error


if __name__ == "__main__":
    main(app)
