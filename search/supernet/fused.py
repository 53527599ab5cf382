"""An inverted residual's branch as one autograd function that keeps less for the backward pass.

Eager PyTorch keeps the output of every convolution and of every batch norm for the backward
pass. A batch norm and its ReLU are cheap to compute again from the convolution's output, so
only that one is kept; or neither (`recompute`), and the backward pass runs the convolutions
again, as gradient checkpointing does (Chen et al. 2016, arXiv:1604.06174).

Shape suffixes: B batch, C channels, H height, W width.
"""

from collections.abc import Sequence
from typing import Any, NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.autograd.function import once_differentiable

from contract.blocks import AnyBlock, MBConv
from search.supernet.blocks.mobile import InvertedResidual
from search.supernet.blocks.parts import interleaved

aten = torch.ops.aten


class Stage(NamedTuple):
    """How one of the three convolutions works, and the batch norm behind it."""

    stride: int
    padding: int
    groups: int
    epsilon: float
    shuffled: int  # groups whose channels are interleaved after the ReLU; 1: left as they are

    @classmethod
    def of(cls, conv: nn.Conv2d, norm: nn.BatchNorm2d, *, shuffled: int = 1) -> "Stage":
        return cls(conv.stride[0], int(conv.padding[0]), conv.groups, norm.eps, shuffled)


Weights = tuple[Tensor, Tensor, Tensor]  # of the convolutions that expand, filter and project


def is_fused(block: AnyBlock) -> bool:
    """Whether its branch is computed here: an MBConv with ReLU and nothing besides."""
    return isinstance(block, MBConv) and block.activation == "relu" and block.squeeze is None


def branch(
    block: InvertedResidual,
    weights: Weights,
    x_BCHW: Tensor,
    *,
    gate: Tensor | None = None,
    recompute: bool,
) -> Tensor:
    """`gate` times what the block computes beside its shortcut, with the batch's statistics.

    Its convolutions have these weights. The gate scales the last batch norm's affine parameters
    instead of its output: nothing more is computed per pixel, and its gradient needs no output to
    be kept.
    """
    expand, depthwise, project = map(_parts, (block.expand, block.depthwise, block.project))
    scale: Tensor = project[1].weight
    offset: Tensor = project[1].bias
    if gate is not None:
        scale, offset = scale * gate, offset * gate
    stages = (
        Stage.of(*expand, shuffled=expand[0].groups),
        Stage.of(*depthwise),
        Stage.of(*project),
    )
    output_BCHW: Tensor = _Branch.apply(  # type: ignore[no-untyped-call]  # PyTorch gives it none
        x_BCHW,
        stages,
        recompute,
        *(weights[0], expand[1].weight, expand[1].bias),
        *(weights[1], depthwise[1].weight, depthwise[1].bias),
        *(weights[2], scale, offset),
    )
    return output_BCHW


def _parts(stage: nn.Sequential) -> tuple[nn.Conv2d, nn.BatchNorm2d]:
    conv, norm = stage[0], stage[1]
    assert isinstance(conv, nn.Conv2d)
    assert isinstance(norm, nn.BatchNorm2d)
    return conv, norm


class _Branch(torch.autograd.Function):
    """Three times convolution and batch norm, with a ReLU after the first two."""

    @staticmethod
    def forward(
        ctx: Any, x_BCHW: Tensor, stages: tuple[Stage, ...], recompute: bool, *parameters: Tensor
    ) -> Tensor:
        x_BCHW = x_BCHW.to(_working_dtype(x_BCHW))
        kept: list[Tensor | None] = []
        statistics: list[Tensor] = []
        y_BCHW = x_BCHW
        for stage, (weight, scale, offset) in zip(stages, _triples(parameters), strict=True):
            z_BCHW = _convolve(y_BCHW, weight, stage)
            y_BCHW, mean_C, inverse_deviation_C = torch.native_batch_norm(
                z_BCHW, scale, offset, None, None, True, 0.0, stage.epsilon
            )
            if stage is not stages[-1]:
                y_BCHW = _shuffled(y_BCHW.relu_(), stage.shuffled)
            kept.append(None if recompute else z_BCHW)
            statistics += [mean_C, inverse_deviation_C]
        ctx.save_for_backward(x_BCHW, *kept, *statistics, *parameters)
        ctx.stages = stages
        return y_BCHW

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, gradient_BCHW: Tensor) -> tuple[Tensor | None, ...]:
        x_BCHW, *saved = ctx.saved_tensors
        stages: tuple[Stage, ...] = ctx.stages
        count = len(stages)
        kept, statistics = saved[:count], saved[count : 3 * count]
        triples = _triples(saved[3 * count :])
        moments = list(zip(statistics[::2], statistics[1::2], strict=True))
        if kept[0] is None:
            kept = _convolved_again(x_BCHW, stages, triples, moments)

        first_parameter = 3
        needed = _triples(ctx.needs_input_grad[first_parameter:])
        gradients: list[Tensor | None] = []
        d_BCHW = gradient_BCHW.contiguous(memory_format=torch.channels_last)
        for index in reversed(range(count)):
            stage, (weight, scale, _) = stages[index], triples[index]
            needs_weight, needs_scale, needs_offset = needed[index]
            d_BCHW, d_scale, d_offset = aten.native_batch_norm_backward(
                d_BCHW,
                kept[index],
                scale,
                None,
                None,
                *moments[index],
                True,
                stage.epsilon,
                [True, needs_scale, needs_offset],
            )
            kept[index] = None
            if index == 0:
                active_BCHW = input_BCHW = x_BCHW
            else:
                before = index - 1
                active_BCHW = _active(
                    kept[before], triples[before], moments[before], stages[before]
                )
                input_BCHW = _shuffled(active_BCHW, stages[before].shuffled)
            d_BCHW, d_weight, _ = aten.convolution_backward(
                d_BCHW,
                input_BCHW,
                weight.to(input_BCHW.dtype),
                None,
                [stage.stride] * 2,
                [stage.padding] * 2,
                [1, 1],
                False,
                [0, 0],
                stage.groups,
                [index > 0 or ctx.needs_input_grad[0], needs_weight, False],
            )
            if index > 0:
                d_BCHW = _unshuffled(d_BCHW, stages[index - 1].shuffled)
                d_BCHW = aten.threshold_backward(d_BCHW, active_BCHW, 0)
            if d_weight is not None:
                d_weight = d_weight.to(weight.dtype)
            gradients[:0] = [d_weight, d_scale, d_offset]
        return (d_BCHW, None, None, *gradients)


def _working_dtype(x_BCHW: Tensor) -> torch.dtype:
    device = x_BCHW.device.type
    return torch.get_autocast_dtype(device) if torch.is_autocast_enabled(device) else x_BCHW.dtype


def _triples(values: Sequence[Any]) -> list[tuple[Any, Any, Any]]:
    return list(zip(values[::3], values[1::3], values[2::3], strict=True))


def _convolve(x_BCHW: Tensor, weight: Tensor, stage: Stage) -> Tensor:
    return F.conv2d(
        x_BCHW,
        weight.to(x_BCHW.dtype),
        stride=stage.stride,
        padding=stage.padding,
        groups=stage.groups,
    )


def _active(
    z_BCHW: Tensor,
    parameters: tuple[Tensor, Tensor, Tensor],
    moments: tuple[Tensor, Tensor],
    stage: Stage,
) -> Tensor:
    """Batch norm and ReLU of a convolution's output, by the moments of the forward pass."""
    mean_C, inverse_deviation_C = moments
    variance_C = inverse_deviation_C.pow(-2) - stage.epsilon
    _, scale, offset = parameters
    return F.batch_norm(
        z_BCHW, mean_C, variance_C, scale, offset, training=False, eps=stage.epsilon
    ).relu_()


def _convolved_again(
    x_BCHW: Tensor,
    stages: tuple[Stage, ...],
    triples: list[tuple[Tensor, Tensor, Tensor]],
    moments: list[tuple[Tensor, Tensor]],
) -> list[Tensor]:
    outputs: list[Tensor] = []
    y_BCHW = x_BCHW
    for stage, triple, pair in zip(stages, triples, moments, strict=True):
        outputs.append(_convolve(y_BCHW, triple[0], stage))
        if stage is not stages[-1]:
            y_BCHW = _shuffled(_active(outputs[-1], triple, pair, stage), stage.shuffled)
    return outputs


def _shuffled(x_BCHW: Tensor, groups: int) -> Tensor:
    return interleaved(x_BCHW, groups) if groups > 1 else x_BCHW


def _unshuffled(x_BCHW: Tensor, groups: int) -> Tensor:
    """The inverse of `_shuffled`: interleaving as many groups as there were channels in one."""
    return interleaved(x_BCHW, x_BCHW.shape[1] // groups) if groups > 1 else x_BCHW
