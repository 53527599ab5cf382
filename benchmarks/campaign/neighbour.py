"""A noisy neighbour: another program that competes for memory or computes, as long as it lives."""

import os
import random
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Literal, get_args

Neighbour = Literal["nobody", "streams", "compute", "bursts"]
NEIGHBOURS: tuple[Neighbour, ...] = get_args(Neighbour)
STREAM_BYTES = 256 * 2**20
LONGEST_BURST_S = 1.0


@contextmanager
def beside(kind: Neighbour) -> Iterator[None]:
    """It runs in a process of its own, with one thread, until the end of the block."""
    if kind == "nobody":
        yield
        return
    environment = os.environ | {"OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1"}
    process = subprocess.Popen([sys.executable, "-m", __name__, kind], env=environment)
    try:
        yield
    finally:
        process.kill()
        process.wait()


def run(kind: Neighbour) -> None:
    """For ever: memory streams, products of matrices, or streams in bursts with pauses."""
    import numpy as np

    source = np.ones(STREAM_BYTES // 8)
    target = np.empty_like(source)
    matrix = np.random.default_rng(0).random((512, 512))
    generator = random.Random(0)
    while True:
        match kind:
            case "streams":
                np.copyto(target, source)
            case "compute":
                matrix @ matrix
            case _:
                until = time.monotonic() + generator.uniform(0, LONGEST_BURST_S)
                while time.monotonic() < until:
                    np.copyto(target, source)
                time.sleep(generator.uniform(0, LONGEST_BURST_S))


if __name__ == "__main__":
    run(next(kind for kind in NEIGHBOURS if kind == sys.argv[1]))
