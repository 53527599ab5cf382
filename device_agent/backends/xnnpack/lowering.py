"""What of a graph XNNPACK runs, and how it quantises: for the exporter, as it loads torch."""

from executorch.backends.xnnpack.partition.xnnpack_partitioner import XnnpackPartitioner
from executorch.backends.xnnpack.quantizer.xnnpack_quantizer import (
    XNNPACKQuantizer,
    get_symmetric_quantization_config,
)


def partitioner() -> XnnpackPartitioner:
    return XnnpackPartitioner()


def quantizer() -> XNNPACKQuantizer:
    """Int8 weights per channel, activations per tensor."""
    return XNNPACKQuantizer().set_global(get_symmetric_quantization_config(is_per_channel=True))
