"""Where the points of a fit come from: the rows of a tensor in a new order each epoch, or a sampler without end."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Protocol

import torch
from torch import Tensor

from flowlib.core import Flow
from flowlib.training.inputs import check_context, check_data

CHUNK = 16_384  # rows in one evaluation: more do not fit the cache and cost more a row
HELD_OUT = 10_000  # fresh held-out points from a sampler
HELD_OUT_SEED = 2**31 - 1  # the same held-out points in every fit, so that fits can be compared
FRESH = 50  # batches drawn from a sampler at once
UNITS = 2**18  # numbers that a flow learns its units from, at most: 4096 vectors of 64, 334 images of 28 × 28

Rows = tuple[Tensor, ...]  # points (n, D), and where there is a context, (n, C), this too


class Sampler(Protocol):
    """What `fit` takes beside a tensor: fresh samples by seed, as `flowlib.datasets.toy` makes them.

    Where it also has `entropy` (nats) or `log_prob(x)`, the loss is shown as a distance from that floor.
    """

    def sample(self, n: int, seed: int = 0) -> Tensor: ...


@dataclass
class Points:
    """All the points of a fit, checked, in the dtype and on the device of the flow.

    Args:
        first: training points that the flow learns its units from.
        batches: training points for ever.
        held_out: points that are never trained on.
        floor: the least loss that can be expected at these, in nats, where it is known.
    """

    first: Rows
    batches: Iterator[Rows]
    held_out: Rows
    floor: float | None


def of_tensor(
    flow: Flow, data: Tensor, context: Tensor | None, held_out: float, batch: int, generator: torch.Generator
) -> Points:
    """The rows of a tensor, of which a fraction is held out."""
    x = check_data(data, flow)
    context = check_context(context, flow, len(x))
    rows = (x,) if context is None else (x, context)
    size = max(1, round(held_out * len(x)))
    order = torch.randperm(len(x), generator=generator).to(x.device)
    test, train = (tuple(part[which] for part in rows) for which in (order[:size], order[size:]))
    first = tuple(part[: units(flow)] for part in train)
    return Points(first, shuffled(train, batch, generator), test, None)


def of_sampler(flow: Flow, data: Sampler, batch: int, generator: torch.Generator) -> Points:
    """Samples, never the same point twice; the floor is the truth's own score, or its entropy."""
    first, held_out = fresh(flow, data, units(flow), HELD_OUT_SEED - 1), fresh(flow, data, HELD_OUT, HELD_OUT_SEED)
    floor = getattr(data, "entropy", None)
    if hasattr(data, "log_prob"):
        with torch.no_grad():
            floor = mean_in_chunks(lambda x: -data.log_prob(x), held_out)
    return Points(first, fresh_batches(flow, data, batch, generator), held_out, floor)


def units(flow: Flow) -> int:
    """How many points a flow learns its units from."""
    return max(1, UNITS // max(64, flow.data_shape.numel()))


def fresh(flow: Flow, data: Sampler, n: int, seed: int) -> Rows:
    return (check_data(data.sample(n, seed=seed), flow),)


def shuffled(rows: Rows, batch: int, generator: torch.Generator) -> Iterator[Rows]:
    """Batches for ever: in each epoch every row once, in a new order; an incomplete last batch is left out."""
    n = len(rows[0])
    batch = min(batch, n)
    while True:
        order = torch.randperm(n, generator=generator)[: n // batch * batch].to(rows[0].device)
        yield from zip(*(part[order].split(batch) for part in rows), strict=True)


def fresh_batches(flow: Flow, data: Sampler, batch: int, generator: torch.Generator) -> Iterator[Rows]:
    """Batches for ever, never the same point twice."""
    while True:
        seed = int(torch.randint(HELD_OUT_SEED, (), generator=generator))
        yield from zip(*(part.split(batch) for part in fresh(flow, data, FRESH * batch, seed)), strict=True)


def mean_in_chunks(loss: Callable[..., Tensor], rows: Rows) -> float:
    """The mean of loss(*rows) over the rows, in pieces that fit the cache."""
    pieces = zip(*(part.split(CHUNK) for part in rows), strict=True)
    return sum(float(loss(*piece).sum(dtype=torch.float64)) for piece in pieces) / len(rows[0])
