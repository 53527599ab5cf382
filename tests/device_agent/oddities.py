"""Programs that the product never exports, to show what a runner must withstand."""

from pathlib import Path

import torch
from executorch.exir import EdgeCompileConfig, to_edge_transform_and_lower
from executorch.extension.pybindings import portable_lib
from torch import Tensor, nn

from device_agent.programs.inputs import pseudo_random

SHAPE = (1, 4, 8, 8)


class Overwriting(nn.Module):
    """No delegate runs it, and its second step writes where its input was."""

    def forward(self, x_BCHW: Tensor) -> Tensor:
        return torch.sigmoid(x_BCHW * 2 + 1) + 3


class TwoInputs(nn.Module):
    """A program the runners have no input for."""

    def forward(self, x_BCHW: Tensor, y_BCHW: Tensor) -> Tensor:
        return x_BCHW + y_BCHW


def export_oddities(folder: Path) -> None:
    """Write both programs; the first with what it should give, and gives with a stale input."""
    image = torch.from_numpy(pseudo_random(SHAPE))
    _export(TwoInputs(), (image, image), folder / "two_inputs.pte")

    path = folder / "overwriting.pte"
    _export(Overwriting(), (image,), path)
    path.with_suffix(".expected").write_bytes(Overwriting()(image).numpy().tobytes())
    method = portable_lib._load_program(str(path)).load_method("forward")
    method.set_inputs([image])
    method.execute()
    method.execute()
    path.with_suffix(".stale").write_bytes(method.get_outputs()[0].numpy().tobytes())


def _export(module: nn.Module, inputs: tuple[Tensor, ...], path: Path) -> None:
    graph = torch.export.export(module.eval(), inputs)
    lowered = to_edge_transform_and_lower(
        graph, compile_config=EdgeCompileConfig(_check_ir_validity=False)
    )
    path.write_bytes(bytes(lowered.to_executorch().buffer))
