"""Operator or network to ExecuTorch program: the only module that meets torch and search.blocks.

The agent exports the very modules that the search trains, so that a row times what is built.
"""

import os
from pathlib import Path

import torch
from executorch.backends.xnnpack.partition.xnnpack_partitioner import XnnpackPartitioner
from executorch.exir import EdgeCompileConfig, to_edge_transform_and_lower
from safetensors.torch import load_file
from torch import nn
from torch.nn.utils.fusion import fuse_conv_bn_eval

from contract.operators import Operator
from device_agent.inputs import pseudo_random
from device_agent.programs import Program, ProgramFile
from search.blocks import build, build_network


def export(program: Program, file: ProgramFile) -> None:
    """Write the program's `.pte` and its expected output.

    Weights are random from a fixed seed unless the program names a file. Batch norms are
    folded into their convolutions first: XNNPACK does so anyway, and lowering the smaller
    graph takes half the time. The expected output is the unfolded module's.
    """
    torch.set_num_threads(1)
    torch.manual_seed(0)
    if isinstance(program.content, Operator):
        module, slot = build(program.content), program.content.slot
    else:
        module, slot = build_network(program.content), program.content.stem.slot
    if program.weights:
        module.load_state_dict(load_file(program.weights))
    module.eval()

    image_BCHW = torch.from_numpy(
        pseudo_random((1, slot.in_channels, slot.input_size, slot.input_size))
    )
    if program.memory_format == "channels_last":
        image_BCHW = image_BCHW.contiguous(memory_format=torch.channels_last)
    with torch.no_grad():
        expected = module(image_BCHW)
        _fold_batch_norms(module)
        graph = torch.export.export(module, (image_BCHW,))
    lowered = to_edge_transform_and_lower(
        graph,
        partitioner=[XnnpackPartitioner()],
        compile_config=EdgeCompileConfig(_check_ir_validity=False),
    )
    _write_whole(file.expected_output, expected.contiguous().numpy().tobytes())
    _write_whole(file.path, bytes(lowered.to_executorch().buffer))


def _fold_batch_norms(module: nn.Module) -> None:
    """Replace each Conv2d that a BatchNorm2d follows in an nn.Sequential by their fusion."""
    for child in module.children():
        _fold_batch_norms(child)
    if isinstance(module, nn.Sequential):
        for index in range(len(module) - 1):
            first, second = module[index], module[index + 1]
            if isinstance(first, nn.Conv2d) and isinstance(second, nn.BatchNorm2d):
                module[index] = fuse_conv_bn_eval(first, second)
                module[index + 1] = nn.Identity()


def _write_whole(path: Path, content: bytes) -> None:
    partial = path.with_name(f"{path.name}.{os.getpid()}.partial")
    partial.write_bytes(content)
    partial.replace(path)
