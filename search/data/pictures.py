"""Pictures in a table of Hugging Face `datasets`, read when a batch is drawn.

Shape suffixes: B batch, C channels, H height, W width.
"""

import struct
import zlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from random import Random
from typing import Any

import torch
from PIL import Image, UnidentifiedImageError
from torch import Tensor
from torch.utils.data import DataLoader, Dataset

from search.data.images import seed_of
from search.data.views import FORMATS, decode, evaluation_view, pixels, training_view

# ImageNet's, which networks for colour pictures are commonly given, of bytes.
MEAN_C = torch.tensor([0.485, 0.456, 0.406]) * 255
DEVIATION_C = torch.tensor([0.229, 0.224, 0.225]) * 255

# What Pillow's readers raise on bytes that are no picture, or not a whole one.
UNREADABLE = (
    OSError,
    SyntaxError,
    ValueError,
    TypeError,
    LookupError,
    ArithmeticError,
    EOFError,
    RuntimeError,
    MemoryError,
    struct.error,
    zlib.error,
    Image.DecompressionBombError,
)

Item = tuple[str, Tensor | str]  # name; bytes HWC, or why there are none
Items = tuple[Tensor, Tensor, dict[str, str]]  # byte_BHWC, read_B, reason of each unreadable name


@dataclass(frozen=True, kw_only=True, slots=True)
class Look:
    """How a picture is looked at."""

    resolution: int  # pixels
    smallest_area: float  # share of the picture that a crop in training shows at least


@dataclass(frozen=True, kw_only=True, slots=True)
class Table:
    """Rows of a Hugging Face `Dataset`, whose column `image` is not decoded.

    They are called by the column `name`, or else by `prefix` and their number.
    """

    rows: Any  # datasets.Dataset, which has no types
    prefix: str = ""

    def names(self, row_B: Tensor) -> list[str]:
        if "name" not in self.rows.column_names:
            return [f"{self.prefix}{row}" for row in row_B.tolist()]
        names: list[str] = self.rows.data.column("name").take(row_B.numpy()).to_pylist()
        return names

    def content(self, row: int) -> bytes | Path:
        """The bytes of a picture's file, or where it is.

        Raises:
            ValueError: the row has neither.
        """
        image = self.rows[row]["image"]
        if image is not None and image["bytes"] is not None:
            return bytes(image["bytes"])
        if image is None or image["path"] is None:
            raise ValueError("the row has no picture")
        return Path(image["path"])


@dataclass(frozen=True, kw_only=True, slots=True)
class Views(Dataset[Item]):
    """Each row's view in one pass: in training a function of the seed and the row's name."""

    table: Table
    look: Look
    shuffle: int | None

    def __getitem__(self, row: int) -> Item:
        (name,) = self.table.names(torch.tensor([row]))
        try:
            image = decode(self.table.content(row))
        except UnidentifiedImageError:
            return name, f"not a picture ({', '.join(FORMATS)})"
        except UNREADABLE as error:
            return name, str(error) or type(error).__name__
        return name, pixels(self._view(image, name))

    def _view(self, image: Image.Image, name: str) -> Image.Image:
        if self.shuffle is None:
            return evaluation_view(image, resolution=self.look.resolution)
        return training_view(
            image,
            resolution=self.look.resolution,
            smallest_area=self.look.smallest_area,
            random=Random(seed_of(f"{self.shuffle}:{name}")),
        )


def collate(items: Sequence[Item]) -> Items:
    """The pictures of a batch that could be read, and the reasons of the others."""
    read = [(place, view) for place, (_, view) in enumerate(items) if isinstance(view, Tensor)]
    reasons = {name: reason for name, reason in items if isinstance(reason, str)}
    views = [view for _, view in read] or [torch.empty(0, 0, 3)]
    return torch.stack(views), torch.tensor([place for place, _ in read]).long(), reasons


def normalised(byte_BHWC: Tensor) -> Tensor:
    """What a network sees, BCHW in channels-last order."""
    return ((byte_BHWC.float() - MEAN_C) / DEVIATION_C).permute(0, 3, 1, 2)


@dataclass(frozen=True, kw_only=True, slots=True)
class Pictures:
    """The pictures of a table, decoded in `workers` processes (0: in this one)."""

    table: Table
    look: Look
    workers: int
    reasons: dict[str, str] = field(default_factory=dict)

    def names(self, row_B: Tensor) -> list[str]:
        return self.table.names(row_B)

    def draw(
        self, rows: Sequence[Tensor], *, shuffle: int | None
    ) -> Iterator[tuple[Tensor, Tensor]]:
        loader: DataLoader[Item] = DataLoader(
            Views(table=self.table, look=self.look, shuffle=shuffle),
            batch_sampler=[row_B.tolist() for row_B in rows],
            num_workers=self.workers,
            collate_fn=collate,
            generator=torch.Generator(),  # its own, so that the global one does not move
        )
        for byte_BHWC, read_B, reasons in loader:
            self.reasons.update(reasons)
            yield normalised(byte_BHWC), read_B

    def unreadable(self) -> dict[str, str]:
        return dict(self.reasons)
