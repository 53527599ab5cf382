"""Search spaces: documents that say which blocks a search may choose from, layer by layer.

A space is a YAML file; those that ship with Phonebook are in `contract/spaces/`.
"""

import hashlib
import json
import os
from collections.abc import Iterator, Sequence
from datetime import datetime
from functools import cache, cached_property
from importlib.resources import files
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, NamedTuple, Self

from pydantic import (
    AwareDatetime,
    BeforeValidator,
    ConfigDict,
    Field,
    PlainSerializer,
    StringConstraints,
    ValidationError,
    model_validator,
)

from contract.blocks import AnyBlock, Block, Head, Skip
from contract.errors import PhonebookError, listing, near
from contract.operators import Operator
from contract.slots import Count, Slot
from contract.values import Value

if TYPE_CHECKING:
    from pydantic_core import ErrorDetails

SpaceName = Annotated[str, StringConstraints(pattern=r"^[a-z0-9][a-z0-9._-]{0,49}$")]
DEFAULT_SPACE = "fbnet-32"  # small enough to measure and to search on a laptop
_MOST_SLOTS = 200
_MOST_OPERATORS = 10_000
_LARGEST_FILE_BYTES = 1_000_000
_SUFFIXES = (".yaml", ".yml", ".json")

Depth = Annotated[int, Field(ge=1, le=_MOST_SLOTS)]
Candidates = Annotated[tuple[Block, ...], Field(min_length=1, max_length=100)]


class SpaceStem(Value):
    """What comes before the slots, on an image of three channels."""

    block: Block
    channels: Count
    stride: Count


class Stage(Value):
    """Slots of the same channels, the first of them with the stride.

    `depth` is how many slots; of a range, the least and the most: those beyond the least may be
    skipped. `candidates` may fill its slots, or where there are none, those of the space.
    """

    channels: Count
    depth: Depth | tuple[Depth, Depth]
    stride: Count = 1
    candidates: Candidates | None = Field(default=None, exclude_if=lambda it: it is None)

    @model_validator(mode="after")
    def _from_least_to_most(self) -> Self:
        if self.least > self.most:
            raise ValueError(f"a depth from {self.least} to {self.most}: give the least first")
        return self

    @property
    def least(self) -> int:
        return self.depth if isinstance(self.depth, int) else self.depth[0]

    @property
    def most(self) -> int:
        return self.depth if isinstance(self.depth, int) else self.depth[1]


class Choice(NamedTuple):
    """A slot of a space, and what may fill it."""

    stage: int  # counted from 1
    slot: Slot
    candidates: tuple[Operator, ...]

    def named(self, block: str) -> Operator | None:
        """The candidate whose block has that name."""
        return next((each for each in self.candidates if each.block.name == block), None)


class SearchSpace(Value):
    """A stem, stages of slots with their candidate blocks, and a head.

    `candidates` may fill every slot whose stage names none of its own; a skip is a candidate only
    where the slot keeps its shape. Of several heads that a network may have, the first is the one
    that the search builds.

    Raises:
        ValueError: a block does not fit its slot, or a slot has no candidate.
    """

    model_config = ConfigDict(validate_by_name=True, serialize_by_alias=True)

    name: SpaceName
    resolution: Count  # height and width of the image, pixels
    classes: Count
    stem_block: SpaceStem = Field(alias="stem")
    candidates: Candidates | None = Field(default=None, exclude_if=lambda it: it is None)
    stages: tuple[Stage, ...] = Field(min_length=1, max_length=_MOST_SLOTS)
    head_blocks: tuple[Head, ...] = Field(alias="heads", min_length=1, max_length=20)

    @model_validator(mode="after")
    def _everything_fits(self) -> Self:
        if len(self.slots) > _MOST_SLOTS:
            raise ValueError(f"{len(self.slots)} slots; a space has at most {_MOST_SLOTS}")
        if len(self.operators) > _MOST_OPERATORS:
            raise ValueError(
                f"{len(self.operators)} operators; a space has at most {_MOST_OPERATORS}"
            )
        if len({block.channels for block in self.head_blocks}) < len(self.heads):
            raise ValueError("heads: two of as many channels, by which networks name their head")
        return self

    @cached_property
    def stem(self) -> Operator:
        slot = Slot(
            in_channels=3,
            out_channels=self.stem_block.channels,
            input_size=self.resolution,
            stride=self.stem_block.stride,
        )
        return _operator(self.stem_block.block, slot, where="stem")

    @cached_property
    def choices(self) -> tuple[Choice, ...]:
        """Every slot with its candidates, from the stem to the head."""
        return tuple(self._choices())

    @property
    def slots(self) -> tuple[Slot, ...]:
        return tuple(choice.slot for choice in self.choices)

    @cached_property
    def heads(self) -> tuple[Operator, ...]:
        last = self.choices[-1].slot
        size = last.output_size
        slot = Slot(
            in_channels=last.out_channels, out_channels=self.classes, input_size=size, stride=size
        )
        return tuple(_operator(block, slot, where="heads") for block in self.head_blocks)

    @property
    def head(self) -> Operator:
        return self.heads[0]

    @cached_property
    def blocks(self) -> tuple[AnyBlock, ...]:
        """Every block that is a candidate somewhere, each once, a skip last."""
        found = dict.fromkeys(op.block for choice in self.choices for op in choice.candidates)
        return tuple(sorted(found, key=lambda block: block.is_free))

    @cached_property
    def operators(self) -> tuple[Operator, ...]:
        """Every operator that needs a row, each once: no skip, all heads."""
        candidates = [op for choice in self.choices for op in choice.candidates]
        everything = (self.stem, *candidates, *self.heads)
        return tuple(dict.fromkeys(op for op in everything if not op.is_free))

    @cached_property
    def content_hash(self) -> str:
        """Of what the space holds, however it is written: 64 hexadecimal digits.

        Two spaces of one hash have the same operators to choose from in the same places.
        """
        content = {
            "resolution": self.resolution,
            "classes": self.classes,
            "stem": self.stem.key,
            "choices": [[c.stage, [op.key for op in c.candidates]] for c in self.choices],
            "heads": [head.key for head in self.heads],
        }
        return hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()

    @cached_property
    def searched_operators(self) -> tuple[Operator, ...]:
        """Every operator of the networks that a search chooses from, each once: one head."""
        others = self.heads[1:]
        return tuple(op for op in self.operators if op not in others)

    def _choices(self) -> Iterator[Choice]:
        channels, size = self.stem.slot.out_channels, self.stem.slot.output_size
        for number, stage in enumerate(self.stages, start=1):
            for layer in range(1, stage.most + 1):
                slot = Slot(
                    in_channels=channels,
                    out_channels=stage.channels,
                    input_size=size,
                    stride=stage.stride if layer == 1 else 1,
                )
                blocks = stage.candidates or self.candidates or ()
                if layer > stage.least:
                    blocks = (*blocks, Skip())
                where = f"stage {number}, layer {layer}"
                yield Choice(number, slot, _fitting(blocks, slot, where=where))
                channels, size = slot.out_channels, slot.output_size


class SpaceSummary(Value):
    """A space as a server lists it. `ships` says that it came with the server."""

    name: SpaceName
    content_hash: str
    resolution: int
    classes: int
    slots: int
    operators: int
    ships: bool
    learned_at: AwareDatetime | None

    @classmethod
    def of(cls, space: SearchSpace, *, learned_at: datetime | None) -> Self:
        """The summary of a space; without a time, of one that ships."""
        return cls(
            name=space.name,
            content_hash=space.content_hash,
            resolution=space.resolution,
            classes=space.classes,
            slots=len(space.slots),
            operators=len(space.operators),
            ships=learned_at is None,
            learned_at=learned_at,
        )


def _fitting(blocks: Sequence[AnyBlock], slot: Slot, *, where: str) -> tuple[Operator, ...]:
    found: dict[str, Operator] = {}
    for block in dict.fromkeys(blocks):
        if block.is_free and not slot.keeps_shape:
            continue
        found[block.name] = _operator(block, slot, where=where)
    if not found:
        raise ValueError(f"{where}: no candidate for {slot.name}")
    return tuple(found.values())


def _operator(block: AnyBlock, slot: Slot, *, where: str) -> Operator:
    misfit = block.misfit(slot)
    if misfit is not None:
        raise ValueError(f"{where}: {misfit}")
    return Operator(block=block, slot=slot)


_SHIPPED = files("contract") / "spaces"
SPACE_NAMES: tuple[str, ...] = tuple(
    sorted(
        (entry.name.removesuffix(".yaml") for entry in _SHIPPED.iterdir()),
        key=lambda name: [float(part) if part[0].isdigit() else part for part in name.split("-")],
    )
)


@cache
def space(name: str) -> SearchSpace:
    """The space of that name among those that ship with Phonebook.

    Raises:
        PhonebookError: no such space; the message lists near names.
    """
    if name not in SPACE_NAMES:
        raise PhonebookError(
            f"no space {name!r}; {near(name, SPACE_NAMES)} (a space of your own is named by its "
            "file: ./mine.yaml)"
        )
    return _parse((_SHIPPED / f"{name}.yaml").read_text(encoding="utf-8"), where=name)


def ships(found: SearchSpace) -> bool:
    """Whether it is one of the spaces that ship with Phonebook."""
    return found.name in SPACE_NAMES and found.content_hash == space(found.name).content_hash


def names_file(text: str) -> bool:
    """Whether a person means a file of a space by this, and no name."""
    return text.endswith(_SUFFIXES) or os.sep in text


def find_space(text: str) -> SearchSpace:
    """The space that a person names: one that ships with Phonebook, or a file of one.

    Raises:
        PhonebookError: no such space or file, or the file is no space; the message says where.
    """
    if not names_file(text):
        return space(text)
    try:
        content = Path(text).read_bytes()
    except OSError as error:
        raise PhonebookError(f"the space {text}: {error.strerror}") from error
    if len(content) > _LARGEST_FILE_BYTES:
        raise PhonebookError(f"the space {text}: larger than {_LARGEST_FILE_BYTES:,} bytes")
    try:
        found = _parse(content.decode(), where=text)
    except UnicodeDecodeError as error:
        raise PhonebookError(f"the space {text}: not UTF-8 text ({error})") from error
    if found.name in SPACE_NAMES and not ships(found):
        raise PhonebookError(
            f"the space {text}: the name {found.name} is that of a space which ships with "
            "Phonebook and holds something else; choose another name"
        )
    return found


def _referred(value: object) -> object:
    if not isinstance(value, str):
        return value
    if value.startswith("{"):
        return SearchSpace.model_validate_json(value)
    try:
        return space(value)
    except PhonebookError as error:
        raise ValueError(str(error)) from error


def _reference(value: SearchSpace) -> str | dict[str, object]:
    return value.name if ships(value) else value.model_dump(mode="json")


# In a file: by name if it ships with Phonebook, else the whole document.
SpaceReference = Annotated[
    SearchSpace, BeforeValidator(_referred), PlainSerializer(_reference, when_used="always")
]


def _parse(text: str, *, where: str) -> SearchSpace:
    import yaml

    try:
        return SearchSpace.model_validate(yaml.load(text, yaml.CSafeLoader))
    except yaml.YAMLError as error:
        raise PhonebookError(f"the space {where}: no YAML: {error}") from error
    except ValidationError as error:
        problems = [_sentence(each) for each in error.errors()]
        raise PhonebookError(f"the space {where}: {listing(problems, most=5)}") from error


def _sentence(error: "ErrorDetails") -> str:
    place = ".".join(str(part) for part in error["loc"])
    message = error["msg"].removeprefix("Value error, ")
    return f"{place}: {message}" if place else message
