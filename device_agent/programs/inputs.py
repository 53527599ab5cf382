"""The input that every runner makes for itself, so that outputs can be compared anywhere."""

import math
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

# Numerical Recipes' linear congruential generator, modulo 2**32.
_FACTOR = 1664525
_INCREMENT = 1013904223
_SEED = 12345


def pseudo_random(shape: Sequence[int]) -> NDArray[np.float32]:
    """Values in [-1, 1): the generator's upper 24 bits, in row-major order."""
    count = math.prod(shape)
    powers = np.cumprod(np.full(count, _FACTOR, dtype=np.uint32), dtype=np.uint32)
    sums = np.cumsum(np.concatenate(([np.uint32(1)], powers[:-1])), dtype=np.uint32)
    states = powers * np.uint32(_SEED) + sums * np.uint32(_INCREMENT)
    values = (states >> np.uint32(8)).astype(np.float32) / np.float32(2**23) - np.float32(1)
    return values.reshape(shape)
