"""Programs that a backend runs in part, or not at all: ExecuTorch's own kernels do the rest."""

from dataclasses import replace
from typing import Any

from contract.blocks import Head, MBConv
from contract.operators import Operator
from device_agent.backends import registry
from device_agent.backends.xnnpack.backend import XNNPACK
from device_agent.device import ProgramFile
from device_agent.programs.cache import export_to_pte
from device_agent.programs.program import Program


def export_in_part(program: Program, file: ProgramFile) -> None:
    """Leave all of a block to portable kernels, and the mean of a head from a contiguous image;
    other programs are the product's. Runs in worker processes, whose backend it changes."""
    assert isinstance(program.content, Operator)
    match program.content.block:
        case MBConv():
            partitioner = _nothing
        case Head() if program.memory_format == "contiguous":
            partitioner = _no_mean
        case _:
            partitioner = XNNPACK.partitioner
    registry.BACKENDS = {XNNPACK.name: replace(XNNPACK, partitioner=partitioner)}
    export_to_pte(program, file)


def _nothing() -> Any:
    from executorch.exir.backend.partitioner import Partitioner, PartitionResult

    class Nothing(Partitioner):  # type: ignore[misc]  # a class without types
        def partition(self, exported_program: Any) -> Any:
            return PartitionResult(tagged_exported_program=exported_program, partition_tags={})

    return Nothing()


def _no_mean() -> Any:
    from executorch.backends.xnnpack.partition.config import ConvolutionConfig, LinearConfig
    from executorch.backends.xnnpack.partition.xnnpack_partitioner import XnnpackPartitioner

    return XnnpackPartitioner(configs=[ConvolutionConfig, LinearConfig])
