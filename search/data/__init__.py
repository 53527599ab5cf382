"""Images to search on: what a `--data` may name, split, drawn in batches, read or left out."""

from search.data.grey import DIGITS, Scaling, grey_images
from search.data.images import Batch, DataSet, Images
from search.data.load import load

__all__ = ["DIGITS", "Batch", "DataSet", "Images", "Scaling", "grey_images", "load"]
