"""Labelled images: which there are, how they are split, and the batches of one pass.

Shape suffixes: B batch, C channels, H height, W width.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from hashlib import blake2b
from typing import Protocol

import torch
from torch import Tensor

from contract.errors import PhonebookError

Batch = tuple[Tensor, Tensor]  # image_BCHW normalised, float32, channels last; label_B, int64


class Source(Protocol):
    """Where images come from. A row is an image's number in it."""

    def names(self, row_B: Tensor) -> list[str]:
        """What the images are called, whatever else is in the source."""

    def draw(
        self, rows: Sequence[Tensor], *, shuffle: int | None
    ) -> Iterator[tuple[Tensor, Tensor]]:
        """For each batch of `rows` its image_BCHW, and the places of those that could be read.

        Args:
            rows: the rows of each batch.
            shuffle: seed of the augmentation; None for pictures as they are judged.
        """

    def unreadable(self) -> dict[str, str]:
        """The names of the pictures met so far that could not be read, and the reasons."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Images:
    """Labelled images of a source; a subset shares its source."""

    source: Source
    row_B: Tensor  # int64, where each image is in the source
    label_B: Tensor  # int64

    def __len__(self) -> int:
        return len(self.label_B)

    def batch_count(self, batch_size: int) -> int:
        """How many batches one pass has."""
        return -(-len(self) // batch_size)

    def batches(
        self,
        batch_size: int,
        *,
        shuffle: int | None = None,
        skip: int = 0,
        rank: int = 0,
        world: int = 1,
    ) -> Iterator[Batch]:
        """Every image once; those that cannot be read are left out of their batch.

        Batches differ in size by at most one, so that none is too small for its statistics.

        Args:
            batch_size: the most images of a batch, of all processes together.
            shuffle: seed of a random order and of each picture's augmentation; None for the
                images in order and as they are judged.
            skip: leave out so many batches at the beginning, without reading them.
            rank: which process this is, from 0.
            world: how many processes share the pass. Shuffled, each gets batches of the same
                sizes, for which up to `world - 1` images are left out; in order, none is.

        Raises:
            PhonebookError: processes do not divide the batch or outnumber the images; while the
                batches are drawn, no picture of a batch could be read.
        """
        if batch_size % world:
            raise PhonebookError(
                f"a batch of {batch_size} images cannot be shared by {world} processes equally; "
                f"give a --batch-size that is a multiple of {world}"
            )
        if shuffle is None:
            order_B = torch.arange(len(self))
        else:
            generator = torch.Generator().manual_seed(shuffle)
            order_B = torch.randperm(len(self), generator=generator)
            order_B = order_B[: len(self) - len(self) % world]
            if not len(order_B):
                raise PhonebookError(
                    f"{len(self)} images cannot be shared by {world} processes; "
                    "start fewer processes, or give more images"
                )
        share_B = order_B[rank::world]
        steps = min(self.batch_count(batch_size), len(share_B))
        places = share_B.tensor_split(steps)[skip:] if steps else ()
        return self._draw(places, shuffle)

    def _draw(self, places: Sequence[Tensor], shuffle: int | None) -> Iterator[Batch]:
        drawn = self.source.draw([self.row_B[place_B] for place_B in places], shuffle=shuffle)
        for place_B, (image_BCHW, read_B) in zip(places, drawn, strict=True):
            if not len(read_B):
                first = self.source.names(self.row_B[place_B[:1]])[0]
                raise PhonebookError(
                    f"none of the {len(place_B)} pictures of a batch could be read; the first is "
                    f"{first}: {self.unreadable()[first]}; check the files that --data names"
                )
            yield image_BCHW, self.label_B[place_B[read_B]]

    def split(self, share: float, *, seed: int) -> tuple["Images", "Images"]:
        """Two disjoint parts, the first with about `share` of the images.

        An image's side follows from its name and the seed alone: others that come or go do not
        move it.

        Raises:
            PhonebookError: a side would be empty.
        """
        return self._split(share, salt=str(seed))

    def hold_out(self, share: float, *, seed: int) -> tuple["Images", "Images"]:
        """As `split`, but independent of a `split` of the same seed.

        Raises:
            PhonebookError: a side would be empty.
        """
        return self._split(share, salt=f"{seed}:held out")

    def _split(self, share: float, *, salt: str) -> tuple["Images", "Images"]:
        names = self.source.names(self.row_B)
        first_B = torch.tensor([_position(f"{salt}:{name}") < share for name in names]).bool()
        count = int(first_B.sum())
        if count in (0, len(self)):
            raise PhonebookError(
                f"{len(self)} images cannot be split in shares of {share:g} and {1 - share:g}: "
                "one side would be empty; give more images, or a more even share"
            )
        return self.where(first_B), self.where(~first_B)

    def where(self, wanted_B: Tensor) -> "Images":
        """The images at which the mask is true."""
        return Images(
            source=self.source, row_B=self.row_B[wanted_B], label_B=self.label_B[wanted_B]
        )

    def unreadable(self) -> dict[str, str]:
        """Name and reason of each picture of the source that could not be read so far."""
        return self.source.unreadable()


@dataclass(frozen=True, kw_only=True, slots=True)
class DataSet:
    """Images to learn from, and images to be judged on."""

    name: str
    class_names: tuple[str, ...]  # what label 0, 1, ... is
    train: Images
    test: Images
    test_from: str  # where the images to be judged on came from, for a person


def seed_of(text: str) -> int:
    """64 bits that follow from the text, the same in every process and on every machine."""
    return int.from_bytes(blake2b(text.encode(), digest_size=8).digest())


def _position(text: str) -> float:
    """The text's place among all texts, from 0 to 1."""
    return seed_of(text) / 2**64


def pass_seed(seed: int, name: str, epoch: int) -> int:
    """The seed of one pass over some images, a function of what it is alone."""
    return seed_of(f"{seed}:{name}:{epoch}")
