"""Where the points of a fit come from: the rows of a tensor in a new order each epoch, or a sampler without end."""

from collections.abc import Callable, Iterator
from typing import Protocol

import torch
from torch import Tensor

from flowlib.core import Flow
from flowlib.training.inputs import check_data

CHUNK = 16_384  # rows in one evaluation: more do not fit the cache and cost more a row
HELD_OUT = 10_000  # fresh held-out points from a sampler
HELD_OUT_SEED = 2**31 - 1  # the same held-out points in every fit, so that fits can be compared
UNITS = 2**18  # numbers that a flow learns its units from, at most: 4096 vectors of 64, 334 images of 28 × 28
FRESH = 50  # batches drawn from a sampler at once


class Sampler(Protocol):
    """What `fit` takes beside a tensor: fresh samples by seed, as `flowlib.datasets.toy` makes them.

    Where it also has `entropy` (nats) or `log_prob(x)`, the loss is shown as a distance from that floor.
    """

    def sample(self, n: int, seed: int = 0) -> Tensor: ...


def shuffled(x: Tensor, context: Tensor | None, batch: int, generator: torch.Generator) -> Iterator[tuple]:
    """Batches for ever: in each epoch every row once, in a new order; an incomplete last batch is left out."""
    batch = min(batch, len(x))
    while True:
        order = torch.randperm(len(x), generator=generator)[: len(x) // batch * batch].to(x.device)
        parts = [x[order].split(batch)] + ([] if context is None else [context[order].split(batch)])
        yield from zip(*parts, strict=True)


def fresh_batches(data: Sampler, batch: int, flow: Flow, generator: torch.Generator) -> Iterator[tuple]:
    """Batches for ever, never the same point twice."""
    while True:
        seed = int(torch.randint(HELD_OUT_SEED, (), generator=generator))
        for x in fresh(data, FRESH * batch, seed, flow).split(batch):
            yield (x,)


def fresh(data: Sampler, n: int, seed: int, flow: Flow) -> Tensor:
    """n samples, checked, in the dtype and on the device of the flow."""
    return check_data(data.sample(n, seed=seed), flow)


def units_of(flow: Flow) -> int:
    """How many rows a flow learns its units from."""
    return max(1, UNITS // max(64, flow.data_shape.numel()))


def score_of_truth(data: Sampler, x: Tensor) -> float | None:
    """−mean log p of the true density at the held-out points, where it is known."""
    if not hasattr(data, "log_prob"):
        return None
    with torch.no_grad():
        return mean_in_chunks(lambda rows: -data.log_prob(rows), x)


def mean_in_chunks(loss: Callable[..., Tensor], x: Tensor, context: Tensor | None = None) -> float:
    """The mean of loss(rows) over the rows of x, in pieces that fit the cache."""
    parts = [x.split(CHUNK)] + ([] if context is None else [context.split(CHUNK)])
    return sum(float(loss(*rows).sum(dtype=torch.float64)) for rows in zip(*parts, strict=True)) / len(x)
