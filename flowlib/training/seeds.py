"""Random numbers without a state: those of step s depend on the seed and on s alone.

So a run that is resumed at step s goes on as if it had never stopped, with nothing to store but s; and each of several
processes knows the whole batch of a step, and the noise for it, and takes its share.
"""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager

import numpy as np
import torch
from torch import Tensor

WEIGHTS, UNITS, ORDER, NOISE, EVALUATION, SAMPLES = range(6)  # what a random number is for


def mixed(*numbers: int) -> int:
    """One seed made of several whole numbers: other numbers, another seed.

    >>> mixed(0, ORDER, 3) == mixed(0, ORDER, 3), mixed(0, ORDER, 3) == mixed(0, NOISE, 3)
    (True, False)
    """
    return int(np.random.SeedSequence(numbers).generate_state(1)[0])


@contextmanager
def seeded(seed: int, device: torch.device) -> Iterator[None]:
    """Random numbers by `seed` inside; the global random state afterwards as it was before."""
    with torch.random.fork_rng(devices=[device] if device.type == "cuda" else []):
        torch.manual_seed(seed)
        yield


class Batches:
    """Which rows of n make the batch of a step: in each epoch every row at most once, in a new order.

    The rows that are left at the end of an epoch, fewer than a batch, wait for another one.

    >>> batches = Batches(5, 2, seed=0)
    >>> len({row for step in (0, 1) for row in batches.rows(step).tolist()})
    4
    """

    def __init__(self, n: int, batch: int, seed: int):
        if batch > n:
            raise ValueError(f"A batch of {batch:,} is more than the {n:,} training images. Use a smaller one.")
        self.n, self.batch, self.seed, self.epoch = n, batch, seed, -1
        self.order: Tensor | Sequence = ()

    def rows(self, step: int) -> Tensor:
        """The rows of the batch of this step, (batch,)."""
        epoch, i = divmod(step, self.n // self.batch)
        if epoch != self.epoch:
            generator = torch.Generator().manual_seed(mixed(self.seed, ORDER, epoch))
            self.epoch, self.order = epoch, torch.randperm(self.n, generator=generator)
        return self.order[i * self.batch : (i + 1) * self.batch]
