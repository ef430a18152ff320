"""Many points a few at a time: what is computed without gradients never needs to be in memory all at once."""

import functools
from collections.abc import Callable

import torch
from torch import Tensor

CHUNK = 2**18  # numbers: 8192 points of 32 dimensions or less, 334 images of 28 × 28 pixels


def in_chunks(shape: str) -> Callable[[Callable[..., Tensor]], Callable[..., Tensor]]:
    """A method(points, context) that gives one number, or one point, for each point: the object checks the arguments,
    and where no gradient is wanted, a CHUNK of numbers is computed at a time.

    What a network makes of so many vectors stays in the processor's cache, and what it makes of so many images in
    memory. A point counts as 32 numbers at least, because a network makes that many of it.

    Args:
        shape: which attribute of the object is the shape of one point.
    """

    def decorate(method: Callable[..., Tensor]) -> Callable[..., Tensor]:
        @functools.wraps(method)
        def chunked(self: object, points: Tensor, context: Tensor | None = None) -> Tensor:
            event = getattr(self, shape)
            self.check(method.__name__, points, event, context)
            if torch.is_grad_enabled():
                return method(self, points, context)
            batch = points.shape[: points.dim() - len(event)]
            values = [method(self, *part) for part in pieces(points, context, event)]
            return values[0] if len(values) == 1 else torch.cat(values).reshape(*batch, *values[0].shape[1:])

        return chunked

    return decorate


def pieces(points: Tensor, context: Tensor | None, event: torch.Size) -> list[tuple[Tensor, Tensor | None]]:
    """Points (..., *event) and their contexts in pieces of a CHUNK of numbers, (N, *event); as they are where they fit
    in one."""
    batch = points.shape[: points.dim() - len(event)]
    size = max(1, CHUNK // max(32, event.numel()))  # points at a time
    if batch.numel() <= size:
        return [(points, context)]
    rows = points.reshape(-1, *event).split(size)
    if context is None or context.dim() == 1:
        return [(part, context) for part in rows]
    contexts = context.expand(*batch, context.shape[-1]).reshape(-1, context.shape[-1]).split(size)
    return list(zip(rows, contexts, strict=True))
