"""Networks of a space: the published FBNets as data, and any other list of 22 blocks.

Lists follow Wu et al. 2019 (arXiv:1812.03443), figure 4, reconciled with the authors' releases
by exact parameter and multiply-accumulate counts.
"""

from collections.abc import Sequence

from contract.blocks import Head, Skip
from contract.errors import PhonebookError, near
from contract.operators import Operator
from contract.spaces import Choice, SearchSpace, SpaceReference, space
from contract.values import Value


class Network(Value):
    """One operator per slot between a stem and a head."""

    name: str
    space: SpaceReference
    blocks: tuple[str, ...]
    stem: Operator
    layers: tuple[Operator, ...]
    head: Operator

    @property
    def operators(self) -> tuple[Operator, ...]:
        """Stem, every layer in order (skips too), head."""
        return (self.stem, *self.layers, self.head)

    @property
    def head_channels(self) -> int | None:
        """The width of the head's convolution; None where it has none."""
        assert isinstance(self.head.block, Head)
        return self.head.block.channels

    def macs(self) -> int:
        return sum(operator.macs() for operator in self.operators)

    def params(self) -> int:
        return sum(operator.params() for operator in self.operators)


def network(
    blocks: Sequence[str],
    *,
    space: SearchSpace,
    name: str = "unnamed",
    head_channels: int | None = None,
) -> Network:
    """The network of `space` with these blocks, one name per slot.

    Raises:
        PhonebookError: wrong number of blocks, an unknown block, a skip where the shape
            changes, or a head that the space does not have.
    """
    if len(blocks) != len(space.slots):
        raise PhonebookError(
            f"network {name}: {space.name} has {len(space.slots)} slots, got {len(blocks)} blocks"
        )
    layers = []
    for number, (block, choice) in enumerate(zip(blocks, space.choices, strict=True), start=1):
        operator = choice.named(block)
        if operator is None:
            raise PhonebookError(f"network {name}, layer {number}: {_no_candidate(block, choice)}")
        layers.append(operator)
    heads = {head.block.channels: head for head in space.heads if isinstance(head.block, Head)}
    if head_channels is not None and head_channels not in heads:
        raise PhonebookError(
            f"network {name}: {space.name} has no head of {head_channels} channels; "
            f"it has {', '.join(map(str, heads))}"
        )
    return Network(
        name=name,
        space=space,
        blocks=tuple(blocks),
        stem=space.stem,
        layers=tuple(layers),
        head=space.head if head_channels is None else heads[head_channels],
    )


def _no_candidate(block: str, choice: Choice) -> str:
    if block == Skip().name and not choice.slot.keeps_shape:
        return f"skip cannot change {choice.slot.name}; choose another"
    names = [candidate.block.name for candidate in choice.candidates]
    return f"no block {block!r}; {near(block, names)}"


# Table 2, in the order by which HW-NAS-Bench numbers the blocks, too.
FBNET_BLOCKS = (
    "k3_e1",
    "k3_e1_g2",
    "k3_e3",
    "k3_e6",
    "k5_e1",
    "k5_e1_g2",
    "k5_e3",
    "k5_e6",
    "skip",
)

# name: (the space it was published for, head channels, indices into FBNET_BLOCKS)
_PUBLISHED: dict[str, tuple[str, int, str]] = {
    "fbnet-a": ("fbnet-224", 1504, "8 2 0 8 8 7 2 4 2 7 6 5 7 3 5 6 1 7 7 6 7 7"),
    "fbnet-b": ("fbnet-224", 1984, "0 3 4 0 0 7 6 3 7 7 4 8 6 7 0 4 6 7 4 7 7 3"),
    "fbnet-c": ("fbnet-224", 1984, "0 3 8 0 0 7 6 7 3 7 6 7 7 7 7 7 6 7 7 7 7 3"),
    "fbnet-s8": ("fbnet-224", 1504, "0 2 0 8 8 7 2 2 3 7 6 6 6 3 6 6 6 7 7 6 7 7"),
    "fbnet-iphonex": ("fbnet-224", 1504, "8 3 0 0 0 3 3 3 3 3 3 2 3 3 2 2 2 7 7 7 6 7"),
    "fbnet-96-0.35-1": ("fbnet-96-0.35", 1416, "0 3 3 8 8 7 7 8 8 7 8 8 8 3 8 8 8 7 7 8 8 7"),
}
NETWORK_NAMES: tuple[str, ...] = tuple(_PUBLISHED)


def published(name: str, *, in_space: SearchSpace | None = None) -> Network:
    """A published network, in its own space or with its blocks put in another one.

    In another space the head is that space's, unless it has the published width too.

    Raises:
        PhonebookError: no such network; the message lists near names.
    """
    if name not in _PUBLISHED:
        raise PhonebookError(f"no network {name!r}; {near(name, NETWORK_NAMES)}")
    home, head_channels, indices = _PUBLISHED[name]
    target = in_space or space(home)
    widths = [head.block.channels for head in target.heads if isinstance(head.block, Head)]
    return network(
        [FBNET_BLOCKS[int(index)] for index in indices.split()],
        space=target,
        name=name,
        head_channels=head_channels if head_channels in widths else None,
    )
