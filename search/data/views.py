"""What a network sees of a picture: another view in training each time, the middle when judged.

Shape suffixes: H height, W width, C channels.
"""

import io
import math
from pathlib import Path
from random import Random

import torch
from PIL import Image, ImageOps
from torch import Tensor

# Those that Pillow reads by itself: for EPS it would start a program on what it was given.
FORMATS = ("AVIF", "BMP", "GIF", "JPEG", "JPEG2000", "PNG", "PPM", "TIFF", "WEBP")

# Pixels for which no file says what is white: taken for bytes, most would come out black or white.
UNTOLD = {"F": "its pixels are fractions (32-bit floats)", "I": "its pixels are 32-bit integers"}

SMALLEST_AREA = 0.08  # of the picture, as in Inception's and ResNet's training
ASPECT_RATIOS = (3 / 4, 4 / 3)
CROP_TRIES = 10
PADDING = 4  # pixels on each side, for small pictures: CIFAR's usual augmentation
JUDGED_SHARE = 224 / 256  # of the shorter side


def decode(content: bytes | Path) -> Image.Image:
    """The picture in a file or in a file's bytes, as RGB.

    Raises:
        UnidentifiedImageError: it is in none of `FORMATS`.
        OSError, ValueError and others: it is broken; Pillow's readers differ in what they raise.
    """
    file = content if isinstance(content, Path) else io.BytesIO(content)
    with Image.open(file, formats=FORMATS) as image:
        if image.mode in UNTOLD:
            raise ValueError(
                f"{UNTOLD[image.mode]}, of which nobody knows which is white; save it with 8 or "
                "16 bits"
            )
        if image.mode.startswith("I;16"):
            return image.convert("I").point(lambda value: value / 257).convert("RGB")
        if image.has_transparency_data:
            return image.convert("RGBA").convert("RGB")
        return image.convert("RGB")


def training_view(
    image: Image.Image, *, resolution: int, smallest_area: float, random: Random
) -> Image.Image:
    """A crop at random, mirrored half of the time.

    Args:
        image: RGB.
        resolution: height and width of the view in pixels.
        smallest_area: least share of a large picture that the crop may show.
        random: decides.
    """
    if _is_small(image, resolution):
        view = _shifted(_middle(image, resolution, share=1), random)
    else:
        box = _crop_box(image.width, image.height, smallest_area, random)
        view = _resized(image, resolution, box)
    return ImageOps.mirror(view) if random.random() < 0.5 else view


def evaluation_view(image: Image.Image, *, resolution: int) -> Image.Image:
    """The middle: of a large picture 224/256 of the shorter side, of a small one all of it."""
    share = 1 if _is_small(image, resolution) else JUDGED_SHARE
    return _middle(image, resolution, share=share)


def pixels(image: Image.Image) -> Tensor:
    """The bytes of an RGB picture, as a tensor HWC."""
    shape = (image.height, image.width, 3)
    # A bytearray, because torch wants memory that it may write to.
    return torch.frombuffer(bytearray(image.tobytes()), dtype=torch.uint8).reshape(shape)


def _is_small(image: Image.Image, resolution: int) -> bool:
    return max(image.size) <= resolution


def _middle(image: Image.Image, resolution: int, *, share: float) -> Image.Image:
    """A square of `share` of the shorter side: the same as to resize first and then to crop."""
    side = min(image.size) * share
    left, top = (image.width - side) / 2, (image.height - side) / 2
    return _resized(image, resolution, (left, top, left + side, top + side))


def _resized(
    image: Image.Image, resolution: int, box: tuple[float, float, float, float]
) -> Image.Image:
    return image.resize((resolution, resolution), Image.Resampling.BILINEAR, box=box)


def _shifted(image: Image.Image, random: Random) -> Image.Image:
    """The picture moved by up to `PADDING` pixels each way; what comes in is black."""
    left, top = random.randint(-PADDING, PADDING), random.randint(-PADDING, PADDING)
    return image.crop((left, top, left + image.width, top + image.height))


def _crop_box(
    width: int, height: int, smallest_area: float, random: Random
) -> tuple[float, float, float, float]:
    """A crop of random area and aspect ratio; the middle where no such crop fits."""
    low, high = ASPECT_RATIOS
    for _ in range(CROP_TRIES):
        area = width * height * random.uniform(smallest_area, 1)
        ratio = math.exp(random.uniform(math.log(low), math.log(high)))
        wide, tall = math.sqrt(area * ratio), math.sqrt(area / ratio)
        if wide <= width and tall <= height:
            left, top = random.uniform(0, width - wide), random.uniform(0, height - tall)
            return (left, top, left + wide, top + tall)
    wide, tall = min(width, height * high), min(height, width / low)
    left, top = (width - wide) / 2, (height - tall) / 2
    return (left, top, left + wide, top + tall)
