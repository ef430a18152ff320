"""How pictures evaluate a flow: without a gradient, on one torch thread."""

from collections.abc import Iterator
from contextlib import contextmanager

import torch


@contextmanager
def evaluating() -> Iterator[None]:
    """Inference mode, and torch on one thread: two OpenMP pools on few cores cost more than they gain.

    Measured on two busy cores, one planar density of 200 × 200: 7 ms on one thread, 19 ms on two. Both settings
    are put back afterwards; inference mode holds for the present thread alone.
    """
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        with torch.inference_mode():
            yield
    finally:
        torch.set_num_threads(before)
