"""Images to search on: scikit-learn's digits, or a folder of IDX files (MNIST, Fashion-MNIST).

Shape suffixes: B batch, C channels, H height, W width.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import torch
import torch.nn.functional as F
from torch import Tensor

from contract.errors import PhonebookError
from search.idx import read_idx

DIGITS = "digits"
DIGITS_TEST_SHARE = 0.2

Batch = tuple[Tensor, Tensor]  # image_BCHW, label_B


@dataclass(frozen=True, kw_only=True, slots=True)
class Scaling:
    """How a grey image becomes what a network sees: mean 0, deviation 1, `resolution` pixels."""

    mean: float
    deviation: float
    resolution: int

    def __call__(self, grey_BHW: Tensor) -> Tensor:
        """The images, bilinearly resized, the same in each of three channels."""
        size = (self.resolution, self.resolution)
        image_BCHW = (grey_BHW.float()[:, None] - self.mean) / self.deviation
        image_BCHW = F.interpolate(image_BCHW, size, mode="bilinear", align_corners=False)
        return image_BCHW.expand(-1, 3, -1, -1).contiguous(memory_format=torch.channels_last)


@dataclass(frozen=True, kw_only=True, slots=True)
class Images:
    """Labelled images at their native size; each batch is scaled when it is drawn."""

    grey_BHW: Tensor
    label_B: Tensor
    scaling: Scaling

    def __len__(self) -> int:
        return len(self.label_B)

    def batches(self, batch_size: int, generator: torch.Generator | None) -> Iterator[Batch]:
        """Every image once, in fresh random order (in order without a generator).

        Batches differ in size by at most one, so that none is too small for its statistics.
        """
        everything = torch.arange(len(self))
        if generator is not None:
            everything = everything[torch.randperm(len(self), generator=generator)]
        for index_B in everything.tensor_split(self.steps(batch_size)):
            yield self.scaling(self.grey_BHW[index_B]), self.label_B[index_B]

    def steps(self, batch_size: int) -> int:
        """How many batches one pass has."""
        return -(-len(self) // batch_size)

    def subset(self, index_B: Tensor) -> "Images":
        return Images(
            grey_BHW=self.grey_BHW[index_B], label_B=self.label_B[index_B], scaling=self.scaling
        )

    def split(self, share: float, generator: torch.Generator) -> tuple["Images", "Images"]:
        """Two disjoint parts at random, the first with about `share` of the images."""
        order_B = torch.randperm(len(self), generator=generator)
        first = min(max(round(len(self) * share), 1), len(self) - 1)
        return self.subset(order_B[:first]), self.subset(order_B[first:])


@dataclass(frozen=True, kw_only=True, slots=True)
class DataSet:
    """Images to learn from, and images to be judged on."""

    name: str
    train: Images
    test: Images


def load(name: str, *, resolution: int, classes: int, generator: torch.Generator) -> DataSet:
    """`digits`, or the folder of that name.

    Args:
        name: `digits`, or a folder with the four IDX files of MNIST, plain or gzipped.
        resolution: height and width in pixels that the space wants.
        classes: the most that the space can tell apart.
        generator: draws the test images of `digits`.

    Raises:
        PhonebookError: no such folder, a file missing or broken, or unsuitable labels.
    """
    if name == DIGITS:
        grey_BHW, label_B = _digits()
        everything = _images(grey_BHW, label_B, resolution)
        test, train = everything.split(DIGITS_TEST_SHARE, generator)
    else:
        train, test = _idx_folder(Path(name), resolution)
    _check_labels(name, torch.cat([train.label_B, test.label_B]), classes)
    return DataSet(name=name, train=train, test=test)


def _digits() -> tuple[Tensor, Tensor]:
    # Imported here: scikit-learn takes a second that a search on another data set need not wait.
    from sklearn.datasets import load_digits

    digits = load_digits()
    return torch.from_numpy(digits.images).float(), torch.from_numpy(digits.target).long()


def _idx_folder(folder: Path, resolution: int) -> tuple[Images, Images]:
    if not folder.is_dir():
        raise PhonebookError(
            f"--data {folder}: no such folder; give `{DIGITS}`, or a folder with the IDX files of "
            "MNIST or Fashion-MNIST"
        )
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
    train = _images(grey_BHW, label_B.long(), resolution)
    return train, Images(
        grey_BHW=test_grey_BHW, label_B=test_label_B.long(), scaling=train.scaling
    )


def _images(grey_BHW: Tensor, label_B: Tensor, resolution: int) -> Images:
    deviation, mean = torch.std_mean(grey_BHW.float())
    scaling = Scaling(
        mean=mean.item(), deviation=max(deviation.item(), 1e-6), resolution=resolution
    )
    return Images(grey_BHW=grey_BHW, label_B=label_B, scaling=scaling)


def _check_labels(name: str, label_B: Tensor, classes: int) -> None:
    highest = int(label_B.max())
    if highest >= classes:
        raise PhonebookError(
            f"--data {name} has labels up to {highest}, but the space tells {classes} classes "
            f"apart (0 to {classes - 1}); choose another --space"
        )
    if bool((label_B == highest).all()):
        raise PhonebookError(
            f"--data {name} has only the class {highest}; there is nothing to tell apart"
        )
