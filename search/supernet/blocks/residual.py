"""ResNet's blocks (He et al. 2015, arXiv:1512.03385, figure 5), with a ReLU after the sum.

Shape suffixes: B batch, C channels, H height, W width.
"""

from torch import Tensor, nn

from contract.blocks import BasicResidual, BottleneckResidual
from contract.slots import Slot
from search.supernet.blocks.parts import ShortcutBlock, conv_bn, conv_bn_act, norm_of


class Residual(ShortcutBlock):
    """A body, and its input added: through a 1x1 convolution where the shape changes."""

    def __init__(self, slot: Slot, *body: nn.Sequential) -> None:
        super().__init__()
        self.body = nn.Sequential(*body)
        self.shortcut = (
            nn.Identity()
            if slot.keeps_shape
            else conv_bn(slot.in_channels, slot.out_channels, stride=slot.stride)
        )
        self.adds_input = slot.keeps_shape

    @property
    def last_norm(self) -> nn.BatchNorm2d:
        last = self.body[-1]
        assert isinstance(last, nn.Sequential)
        return norm_of(last)

    def forward(self, x_BCHW: Tensor) -> Tensor:
        y_BCHW: Tensor = (self.shortcut(x_BCHW) + self.body(x_BCHW)).relu()
        return y_BCHW


def basic(block: BasicResidual, slot: Slot) -> Residual:
    """Two 3x3 convolutions, the first with the stride."""
    return Residual(
        slot,
        conv_bn_act(slot.in_channels, slot.out_channels, kernel_size=3, stride=slot.stride),
        conv_bn(slot.out_channels, slot.out_channels, kernel_size=3),
    )


def bottleneck(block: BottleneckResidual, slot: Slot) -> Residual:
    """1x1, 3x3 with the stride, 1x1."""
    middle = block.middle(slot)
    return Residual(
        slot,
        conv_bn_act(slot.in_channels, middle),
        conv_bn_act(middle, middle, kernel_size=3, stride=slot.stride),
        conv_bn(middle, slot.out_channels),
    )
