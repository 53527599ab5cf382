"""A network as an ONNX file."""

import logging
import warnings
from importlib import import_module
from pathlib import Path

import torch
from torch import nn

from contract import commands
from contract.errors import PhonebookError


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
            f"writing ONNX needs {error.name}; in the checkout run `{commands.install('onnx')}`"
        ) from error
    # PyTorch's exporter logs a line for each operator of torchvision that it does not find.
    logging.getLogger("torch.onnx").setLevel(logging.ERROR)
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
