"""What modules of several kinds are made of.

Every convolution is followed by its batch norm inside one nn.Sequential, so that whoever
exports a module can fold the pair.

Shape suffixes: B batch, C channels, G groups, H height, W width.
"""

from torch import Tensor, nn
from torch.nn.functional import relu6

from contract.blocks.parts import Activation, MobileBlock
from contract.slots import Slot

_ACTIVATIONS: dict[Activation, type[nn.Module]] = {
    "relu": nn.ReLU,
    "relu6": nn.ReLU6,
    "hswish": nn.Hardswish,
    "silu": nn.SiLU,
}


class ShortcutBlock(nn.Module):
    """A block that may add its input to its output."""

    adds_input: bool

    @property
    def last_norm(self) -> nn.BatchNorm2d:
        """The batch norm whose output the input is added to."""
        raise NotImplementedError


class SqueezeExcite(nn.Module):
    """Channels weighed by a gate of their means (Hu et al. 2018, arXiv:1709.01507)."""

    def __init__(self, block: MobileBlock, slot: Slot) -> None:
        super().__init__()
        assert block.squeeze is not None
        middle, narrow = block.middle(slot), block.squeezed(slot)
        self.reduce = nn.Conv2d(middle, narrow, 1)
        self.expand = nn.Conv2d(narrow, middle, 1)
        self.gate = nn.Sigmoid() if block.squeeze.gate == "sigmoid" else HardSigmoid()

    def forward(self, x_BCHW: Tensor) -> Tensor:
        mean_BC11 = x_BCHW.mean(dim=(2, 3), keepdim=True)
        gate_BC11: Tensor = self.gate(self.expand(self.reduce(mean_BC11).relu()))
        return x_BCHW * gate_BC11


class HardSigmoid(nn.Module):
    """ReLU6(x + 3) / 6 (Howard et al. 2019, arXiv:1905.02244)."""

    def forward(self, x_BC11: Tensor) -> Tensor:
        # PyTorch's own lowers to copies of its constants that XNNPACK does not take.
        return relu6(x_BC11 + 3.0) / 6.0


def squeeze_of(block: MobileBlock, slot: Slot) -> nn.Module:
    """The block's squeeze-and-excitation; without one what passes everything on."""
    return nn.Identity() if block.squeeze is None else SqueezeExcite(block, slot)


class ChannelShuffle(nn.Module):
    """Interleaves the channels of the groups: with two groups, 0 1 2 3 becomes 0 2 1 3."""

    def __init__(self, groups: int) -> None:
        super().__init__()
        self.groups = groups

    def forward(self, x_BCHW: Tensor) -> Tensor:
        return interleaved(x_BCHW, self.groups)


def interleaved(x_BCHW: Tensor, groups: int) -> Tensor:
    """The channels of `groups` groups in turn."""
    # Over ten times as fast on a CPU as nn.ChannelShuffle, and lowers to the same delegate.
    batch, channels, height, width = x_BCHW.shape
    x_BGCHW = x_BCHW.reshape(batch, groups, channels // groups, height, width)
    return x_BGCHW.transpose(1, 2).reshape(batch, channels, height, width)


def activation_of(name: Activation) -> nn.Module:
    """The activation, which overwrites its input."""
    return _ACTIVATIONS[name](inplace=True)


def conv_bn(
    in_channels: int, out_channels: int, *, kernel_size: int = 1, stride: int = 1, groups: int = 1
) -> nn.Sequential:
    """A convolution that keeps the size at stride 1, without bias, and its batch norm."""
    return nn.Sequential(
        nn.Conv2d(
            in_channels,
            out_channels,
            kernel_size,
            stride=stride,
            padding=kernel_size // 2,
            groups=groups,
            bias=False,
        ),
        nn.BatchNorm2d(out_channels),
    )


def conv_bn_act(
    in_channels: int,
    out_channels: int,
    *,
    kernel_size: int = 1,
    stride: int = 1,
    groups: int = 1,
    activation: Activation = "relu",
) -> nn.Sequential:
    """`conv_bn` and an activation, flat in one nn.Sequential."""
    pair = conv_bn(
        in_channels, out_channels, kernel_size=kernel_size, stride=stride, groups=groups
    )
    return nn.Sequential(*pair, activation_of(activation))


def norm_of(pair: nn.Sequential) -> nn.BatchNorm2d:
    """The batch norm of `conv_bn`."""
    norm = pair[1]
    assert isinstance(norm, nn.BatchNorm2d)
    return norm
