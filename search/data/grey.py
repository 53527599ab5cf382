"""Grey images that fit in memory: scikit-learn's digits, or a folder of MNIST's IDX files.

Shape suffixes: B batch, C channels, H height, W width.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import torch
import torch.nn.functional as F
from torch import Tensor

from contract.errors import PhonebookError
from search.data.idx import read_idx
from search.data.images import Images

DIGITS = "digits"


@dataclass(frozen=True, kw_only=True, slots=True)
class Scaling:
    """How a grey image becomes what a network sees: mean 0, deviation 1, `resolution` pixels."""

    mean: float
    deviation: float
    resolution: int

    @classmethod
    def of(cls, grey_BHW: Tensor, *, resolution: int) -> "Scaling":
        """The scaling that brings these images to mean 0 and deviation 1."""
        deviation, mean = torch.std_mean(grey_BHW.float())
        return cls(mean=mean.item(), deviation=max(deviation.item(), 1e-6), resolution=resolution)

    def __call__(self, grey_BHW: Tensor) -> Tensor:
        """The images, bilinearly resized, the same in each of three channels."""
        size = (self.resolution, self.resolution)
        image_BCHW = (grey_BHW.float()[:, None] - self.mean) / self.deviation
        image_BCHW = F.interpolate(image_BCHW, size, mode="bilinear", align_corners=False)
        return image_BCHW.expand(-1, 3, -1, -1).contiguous(memory_format=torch.channels_last)


@dataclass(frozen=True, kw_only=True, slots=True)
class GreyTensor:
    """Grey images at their native size; each batch is scaled when it is drawn."""

    grey_BHW: Tensor
    scaling: Scaling

    def names(self, row_B: Tensor) -> list[str]:
        return [str(row) for row in row_B.tolist()]

    def draw(
        self, rows: Sequence[Tensor], *, shuffle: int | None
    ) -> Iterator[tuple[Tensor, Tensor]]:
        for row_B in rows:
            yield self.scaling(self.grey_BHW[row_B]), torch.arange(len(row_B))

    def unreadable(self) -> dict[str, str]:
        return {}


def grey_images(grey_BHW: Tensor, label_B: Tensor, *, scaling: Scaling) -> Images:
    """Images of which all pixels are at hand."""
    source = GreyTensor(grey_BHW=grey_BHW, scaling=scaling)
    return Images(source=source, row_B=torch.arange(len(label_B)), label_B=label_B.long())


def digits(*, resolution: int) -> Images:
    """The 1797 handwritten digits that scikit-learn brings along, of 8 x 8 pixels."""
    # Imported here: scikit-learn takes a second that a search on another data set need not wait.
    from sklearn.datasets import load_digits

    bunch = load_digits()
    grey_BHW = torch.from_numpy(bunch.images).float()
    scaling = Scaling.of(grey_BHW, resolution=resolution)
    return grey_images(grey_BHW, torch.from_numpy(bunch.target), scaling=scaling)


def is_idx_folder(folder: Path) -> bool:
    """Whether the folder holds any file named as MNIST's are."""
    return any(folder.glob("*-idx[13]-ubyte*"))


def idx_folder(folder: Path, *, resolution: int) -> tuple[Images, Images]:
    """The images to learn from and to be judged on, of a folder with MNIST's four files.

    Raises:
        PhonebookError: a file is missing or broken, or there are not as many labels as images.
    """
    grey_BHW = read_idx(folder, "train-images-idx3-ubyte", dimensions=3)
    label_B = read_idx(folder, "train-labels-idx1-ubyte", dimensions=1)
    test_grey_BHW = read_idx(folder, "t10k-images-idx3-ubyte", dimensions=3)
    test_label_B = read_idx(folder, "t10k-labels-idx1-ubyte", dimensions=1)
    for part, images, labels in (
        ("train", grey_BHW, label_B),
        ("t10k", test_grey_BHW, test_label_B),
    ):
        if len(images) != len(labels) or len(images) < 2:
            raise PhonebookError(
                f"--data {folder}: {part} has {len(images)} images and {len(labels)} labels; "
                "it needs equally many, two at least"
            )
    scaling = Scaling.of(grey_BHW, resolution=resolution)
    return (
        grey_images(grey_BHW, label_B, scaling=scaling),
        grey_images(test_grey_BHW, test_label_B, scaling=scaling),
    )
