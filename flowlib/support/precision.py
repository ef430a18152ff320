"""Under autocast, other networks may compute in 16 bits; what has to be inverted may not."""

import functools
from collections.abc import Callable

import torch
from torch import Tensor

Map = Callable[..., tuple[Tensor, Tensor]]


def full_precision(method: Map) -> Map:
    """A direction of a transform, (points, context) -> (points, log_det), in which autocast is off: a map and its
    inverse round differently. Networks that shall compute in 16 bits are told so (`training.precision`)."""

    @functools.wraps(method)
    def precise(self: object, points: Tensor, context: Tensor | None = None) -> tuple[Tensor, Tensor]:
        kind = points.device.type if isinstance(points, Tensor) else "cpu"
        if kind == "meta" or not torch.is_autocast_enabled(kind):
            return method(self, points, context)
        with torch.autocast(kind, enabled=False):
            return method(self, points, context)

    return precise
