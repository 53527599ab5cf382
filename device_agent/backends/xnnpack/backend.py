"""XNNPACK: Google's kernels for CPUs, which run a whole network as one delegate."""

from typing import Any

from device_agent.backends.backend import Backend
from device_agent.backends.xnnpack.events import owners


def _partitioner() -> Any:
    from device_agent.backends.xnnpack.lowering import partitioner

    return partitioner()


def _quantizer() -> Any:
    from device_agent.backends.xnnpack.lowering import quantizer

    return quantizer()


XNNPACK = Backend(
    name="xnnpack",
    delegate="XnnpackBackend",
    # Its float32 differs from eager by about 1e-6. In int8 it rounds some values otherwise: an
    # operator's output by one step, 0.008, a network's by up to 0.05.
    tolerances={"float32": 1e-3, "int8": 0.2},
    # Which copies what the head has averaged of a channels-last image; it computes nothing.
    leaves=frozenset({"aten::as_strided_copy.out"}),
    partitioner=_partitioner,
    quantizer=_quantizer,
    owners=owners,
)
