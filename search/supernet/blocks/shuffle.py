"""ShuffleNetV2's unit (Ma et al. 2018, arXiv:1807.11164, figure 3 c and d).

Shape suffixes: B batch, C channels, H height, W width.
"""

import torch
from torch import Tensor, nn

from contract.blocks import ShuffleUnit
from contract.slots import Slot
from search.supernet.blocks.parts import conv_bn, conv_bn_act, interleaved


class ShuffleNetUnit(nn.Module):
    """Half of the channels pass through, or, where the shape changes, a way of their own."""

    def __init__(self, block: ShuffleUnit, slot: Slot) -> None:
        super().__init__()
        half, kernel_size = block.half(slot), block.kernel_size
        self.splits = slot.keeps_shape
        self.branch = nn.Sequential(
            conv_bn_act(block.branch_in(slot), half),
            conv_bn(half, half, kernel_size=kernel_size, stride=slot.stride, groups=half),
            conv_bn_act(half, half),
        )
        self.other = (
            nn.Identity()
            if self.splits
            else nn.Sequential(
                conv_bn(
                    slot.in_channels,
                    slot.in_channels,
                    kernel_size=kernel_size,
                    stride=slot.stride,
                    groups=slot.in_channels,
                ),
                conv_bn_act(slot.in_channels, half),
            )
        )

    def forward(self, x_BCHW: Tensor) -> Tensor:
        rest_BCHW, taken_BCHW = x_BCHW.chunk(2, dim=1) if self.splits else (x_BCHW, x_BCHW)
        joined_BCHW = torch.cat((self.other(rest_BCHW), self.branch(taken_BCHW)), dim=1)
        return interleaved(joined_BCHW, 2)
