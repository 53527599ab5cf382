"""Operator or network to ExecuTorch program: the only module that meets torch and search.blocks.

The agent exports the very modules that the search trains, so that a row times what is built.
"""

import os
from pathlib import Path

import torch
from executorch.exir import (
    EdgeCompileConfig,
    ExecutorchProgramManager,
    to_edge_transform_and_lower,
)
from executorch.exir.schema import KernelCall
from safetensors.torch import load_file
from torch import Tensor, nn
from torch.nn.utils.fusion import fuse_conv_bn_eval
from torchao.quantization.pt2e.quantize_pt2e import convert_pt2e, prepare_pt2e

from contract.operators import Operator
from device_agent.backends.backend import Backend
from device_agent.backends.registry import backend_of
from device_agent.device import ProgramFile
from device_agent.programs.delegation import Delegation
from device_agent.programs.inputs import pseudo_random
from device_agent.programs.program import Program
from search.supernet.blocks import build, build_network

CALIBRATION_IMAGES = 4


def export(program: Program, file: ProgramFile) -> None:
    """Write the program's `.pte`, its expected output, and what of it runs in the backend.

    Weights are random from a fixed seed unless the program names a file. Batch norms are
    folded into their convolutions first: a backend does so anyway, and lowering the smaller
    graph takes half the time. The expected output is the unfolded module's in float32, and the
    quantised module's in int8.

    Image and output are float32 in either: an int8 program quantises the one and dequantises
    the other itself, so an int8 operator that is timed alone includes both. Calibrated on
    pseudo-random images, it takes as long as any other but need not classify as well.
    """
    backend = backend_of(program.backend)
    torch.set_num_threads(1)
    torch.manual_seed(0)
    if isinstance(program.content, Operator):
        module, slot = build(program.content), program.content.slot
    else:
        module, slot = build_network(program.content), program.content.stem.slot
    if program.weights:
        module.load_state_dict(load_file(program.weights))
    else:
        _keep_the_signal(module)
    module.eval()

    # The first of them is the image that every runner makes.
    images_NCHW = torch.from_numpy(
        pseudo_random((CALIBRATION_IMAGES, slot.in_channels, slot.input_size, slot.input_size))
    )
    image_BCHW = images_NCHW[:1]
    if program.memory_format == "channels_last":
        image_BCHW = image_BCHW.contiguous(memory_format=torch.channels_last)
    with torch.no_grad():
        if program.dtype == "int8":
            _fold_batch_norms(module)
            module = _quantised(module, images_NCHW, backend)
            expected = module(image_BCHW)
        else:
            expected = module(image_BCHW)
            _fold_batch_norms(module)
        graph = torch.export.export(module, (image_BCHW,))
    lowered = to_edge_transform_and_lower(
        graph,
        partitioner=[backend.partitioner()],
        compile_config=EdgeCompileConfig(_check_ir_validity=False),
    )
    made = lowered.to_executorch()
    _write_whole(file.expected_output, expected.contiguous().numpy().tobytes())
    _write_whole(file.delegation, _delegation(made).model_dump_json().encode())
    _write_whole(file.path, bytes(made.buffer))


def _keep_the_signal(module: nn.Module) -> None:
    """Random weights of He et al. 2015 (arXiv:1502.01852) that neither fade nor blow up the image.

    Through PyTorch's own it fades layer by layer, below what int8 resolves, until an output says
    nothing but the last bias.
    """
    for layer in module.modules():
        if isinstance(layer, nn.Conv2d | nn.Linear):
            nn.init.kaiming_normal_(layer.weight, nonlinearity="relu")


def _quantised(module: nn.Module, images_NCHW: Tensor, backend: Backend) -> nn.Module:
    """The module after static quantisation, as the backend wants it.

    The activations' ranges are those that these images cause.
    """
    graph = torch.export.export(module, (images_NCHW[:1],)).module()
    prepared = prepare_pt2e(graph, backend.quantizer())
    for image_CHW in images_NCHW:
        prepared(image_CHW[None])
    converted: nn.Module = convert_pt2e(prepared)
    return converted


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


def _delegation(made: ExecutorchProgramManager) -> Delegation:
    (plan,) = made.executorch_program.execution_plan
    calls = (each.instr_args for chain in plan.chains for each in chain.instructions)
    outside = [plan.operators[call.op_index] for call in calls if isinstance(call, KernelCall)]
    return Delegation(
        delegates=tuple(delegate.id for delegate in plan.delegates),
        outside=tuple(f"{each.name}.{each.overload}".rstrip(".") for each in outside),
    )


def _write_whole(path: Path, content: bytes) -> None:
    partial = path.with_name(f"{path.name}.{os.getpid()}.partial")
    partial.write_bytes(content)
    partial.replace(path)
