"""Where the points of a fit come from: the rows of a tensor in a new order each epoch, or a sampler without end."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Protocol

import torch
from torch import Tensor

from flowlib.core import Flow
from flowlib.training.inputs import check_context, check_data, check_fraction, check_no_rows, check_weights

CHUNK = 16_384  # rows in one evaluation: more do not fit the cache and cost more a row
HELD_OUT = 10_000  # fresh held-out points from a sampler
HELD_OUT_SEED = 2**31 - 1  # the same held-out points in every fit, so that fits can be compared
FRESH = 50  # batches drawn from a sampler at once
UNITS = 2**18  # numbers that a flow learns its units from, at most: 4096 vectors of 64, 334 images of 28 × 28

Rows = tuple[Tensor, ...]  # points (n, D); where there is a context, (n, C), this too; weights (n,) of mean 1


class Sampler(Protocol):
    """What `fit` takes beside a tensor: fresh samples by seed, as `flowlib.datasets.toy` makes them.

    Where it also has `entropy` (nats) or `log_prob(x)`, the loss is shown as a distance from that floor.
    """

    def sample(self, n: int, seed: int = 0) -> Tensor: ...


@dataclass
class Points:
    """All the points of a fit, checked, in the dtype and on the device of the flow.

    Args:
        all: the points as they came, row by row.
        first: training points that the flow learns its units from, and their contexts.
        batches: training points for ever.
        held_out: points that are never trained on.
        floor: the least loss that can be expected at these, in nats, where it is known.
    """

    all: Rows
    first: Rows
    batches: Iterator[Rows]
    held_out: Rows
    floor: float | None


def points_of(
    flow: Flow,
    data: Tensor | Sampler,
    batch: int,
    generator: torch.Generator,
    *,
    held_out: float | Tensor | tuple[Tensor, ...],
    context: Tensor | None = None,
    weights: Tensor | None = None,
) -> Points:
    """The rows of a tensor, or samples without end."""
    if isinstance(data, Tensor) or not hasattr(data, "sample"):
        return of_tensor(flow, data, context, weights, held_out, batch, generator)
    check_no_rows(context=context, weights=weights, held_out=None if isinstance(held_out, float) else held_out)
    return of_sampler(flow, data, batch, generator)


def of_tensor(
    flow: Flow,
    data: Tensor,
    context: Tensor | None,
    weights: Tensor | None,
    held_out: float | Tensor | tuple[Tensor, ...],
    batch: int,
    generator: torch.Generator,
) -> Points:
    """The rows of a tensor, of which a fraction is held out, unless the held-out points come with them."""
    rows = (*points_and_context(flow, data, context), check_weights(weights, data))
    if isinstance(held_out, Tensor | tuple):
        own, *contexts = held_out if isinstance(held_out, tuple) else (held_out,)
        test = points_and_context(flow, own, contexts[0] if contexts else None, "held_out")
        test, train = (*test, check_weights(None, own)), rows
    else:
        size = max(1, round(check_fraction("fit", "held_out", held_out) * len(data)))
        order = torch.randperm(len(data), generator=generator).to(rows[0].device)
        test, train = (tuple(part[which] for part in rows) for which in (order[:size], order[size:]))
    first = tuple(part[: units(flow)] for part in train[:-1])
    return Points(rows, first, shuffled(train, batch, generator), test, None)


def points_and_context(flow: Flow, data: Tensor, context: Tensor | None, name: str = "data") -> Rows:
    """Checked, on the device of the flow; a context has a row for each point."""
    x = check_data(data, flow, name)
    return (x,) if not flow.context_dim else (x, check_context(context, flow, len(x), name))


def of_sampler(flow: Flow, data: Sampler, batch: int, generator: torch.Generator) -> Points:
    """Samples, never the same point twice; the floor is the truth's own score, or its entropy."""
    first, held_out = fresh(flow, data, units(flow), HELD_OUT_SEED - 1), fresh(flow, data, HELD_OUT, HELD_OUT_SEED)
    floor = getattr(data, "entropy", None)
    if hasattr(data, "log_prob"):
        with torch.no_grad():
            floor = mean_in_chunks(lambda x, weight: -data.log_prob(x), held_out)
    return Points(held_out, first[:-1], fresh_batches(flow, data, batch, generator), held_out, floor)


def units(flow: Flow) -> int:
    """How many points a flow learns its units from."""
    return max(1, UNITS // max(64, flow.data_shape.numel()))


def fresh(flow: Flow, data: Sampler, n: int, seed: int) -> Rows:
    x = check_data(data.sample(n, seed=seed), flow)
    return x, check_weights(None, x)


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
