"""Search spaces as data: the FBNet macro-architecture by resolution and width.

Rows follow Wu et al. 2019 (arXiv:1812.03443), tables 1 and 2. `fbnet-32` takes the strides
that HW-NAS-Bench (Li et al. 2021, arXiv:2103.10584) uses for 32x32 images.
"""

from functools import cached_property, lru_cache
from typing import NamedTuple

from pydantic import PositiveInt

from contract.errors import PhonebookError, near
from contract.operators import Block, Head, MBConv, Operator, Skip, Slot, Stem
from contract.values import Value

# Table 2, in HW-NAS-Bench's order: a network is 22 indices into this tuple.
FBNET_BLOCKS: tuple[Block, ...] = (
    MBConv(kernel_size=3, expansion=1),
    MBConv(kernel_size=3, expansion=1, groups=2),
    MBConv(kernel_size=3, expansion=3),
    MBConv(kernel_size=3, expansion=6),
    MBConv(kernel_size=5, expansion=1),
    MBConv(kernel_size=5, expansion=1, groups=2),
    MBConv(kernel_size=5, expansion=3),
    MBConv(kernel_size=5, expansion=6),
    Skip(),
)
BLOCK_NAMES: tuple[str, ...] = tuple(block.name for block in FBNET_BLOCKS)


class Stage(NamedTuple):
    """`layers` slots of `channels`; the first has `stride`."""

    channels: int
    layers: int
    stride: int


# Table 1.
FBNET_STAGES = (
    Stage(16, 1, 1),
    Stage(24, 4, 2),
    Stage(32, 4, 2),
    Stage(64, 4, 2),
    Stage(112, 4, 1),
    Stage(184, 4, 2),
    Stage(352, 1, 1),
)
STEM_CHANNELS = 16
SMALL_IMAGE_STRIDES = (1, 1, 2, 2, 1, 2, 1)


class SearchSpace(Value):
    """A stem, 22 slots with their candidate blocks, and a head.

    `heads` holds every head that a published network of this space uses; the first is the
    one that the search builds.
    """

    name: str
    classes: PositiveInt
    stem: Operator
    slots: tuple[Slot, ...]
    heads: tuple[Operator, ...]

    @property
    def resolution(self) -> int:
        """Height and width of the image, pixels."""
        return self.stem.slot.input_size

    @property
    def head(self) -> Operator:
        return self.heads[0]

    def candidates(self, slot: Slot) -> tuple[Operator, ...]:
        """What may fill `slot`: all nine blocks, or eight where skip cannot keep the shape."""
        return tuple(
            Operator(block=block, slot=slot)
            for block in FBNET_BLOCKS
            if slot.keeps_shape or not isinstance(block, Skip)
        )

    @cached_property
    def operators(self) -> tuple[Operator, ...]:
        """Every operator that needs a row, each once: no skip, all heads."""
        candidates = [op for slot in self.slots for op in self.candidates(slot)]
        everything = (self.stem, *candidates, *self.heads)
        return tuple(dict.fromkeys(op for op in everything if not op.is_free))


def _scaled(channels: int, width: float) -> int:
    """Channels times width, rounded up to a multiple of 8, as in the released FBNet-96-0.35-1."""
    return -(-round(channels * width * 100) // 800) * 8


def _fbnet(name: str, *, resolution: int, width: float, heads: tuple[int, ...]) -> SearchSpace:
    small = resolution == 32
    stem_stride = 1 if small else 2
    stem_channels = _scaled(STEM_CHANNELS, width)
    stem = Operator(
        block=Stem(),
        slot=Slot(
            in_channels=3, out_channels=stem_channels, input_size=resolution, stride=stem_stride
        ),
    )
    slots: list[Slot] = []
    channels, size = stem_channels, stem.slot.output_size
    for number, stage in enumerate(FBNET_STAGES):
        out_channels = _scaled(stage.channels, width)
        for layer in range(stage.layers):
            first_stride = SMALL_IMAGE_STRIDES[number] if small else stage.stride
            slot = Slot(
                in_channels=channels,
                out_channels=out_channels,
                input_size=size,
                stride=first_stride if layer == 0 else 1,
            )
            slots.append(slot)
            channels, size = out_channels, slot.output_size
    classes = 100 if small else 1000
    head_slot = Slot(in_channels=channels, out_channels=classes, input_size=size, stride=size)
    return SearchSpace(
        name=name,
        classes=classes,
        stem=stem,
        slots=tuple(slots),
        heads=tuple(Operator(block=Head(channels=head), slot=head_slot) for head in heads),
    )


# Table 1's head is 1504 wide in A, S8 and iPhoneX and 1984 in B and C. No head of a scaled
# network was published but 1416, in FBNet-96-0.35-1; other widths keep 1504.
_HEADS_BY_WIDTH: dict[float, tuple[int, ...]] = {1.0: (1504, 1984), 0.5: (1504,), 0.35: (1416,)}
_RESOLUTIONS = (224, 192, 160, 128, 96, 32)


def _space_name(resolution: int, width: float) -> str:
    return f"fbnet-{resolution}" if width == 1.0 else f"fbnet-{resolution}-{width}"


_PARAMETERS = {
    _space_name(resolution, width): (resolution, width)
    for resolution in _RESOLUTIONS
    for width in _HEADS_BY_WIDTH
}
SPACE_NAMES: tuple[str, ...] = tuple(_PARAMETERS)
DEFAULT_SPACE = "fbnet-32"  # small enough to measure and to search on a laptop


@lru_cache
def space(name: str) -> SearchSpace:
    """The space of that name.

    Raises:
        PhonebookError: no such space; the message lists near names.
    """
    if name not in _PARAMETERS:
        raise PhonebookError(f"no space {name!r}; {near(name, SPACE_NAMES)}")
    resolution, width = _PARAMETERS[name]
    return _fbnet(name, resolution=resolution, width=width, heads=_HEADS_BY_WIDTH[width])
