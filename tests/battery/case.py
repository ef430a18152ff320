"""What one case of the battery is: how to build a transform, and the points that it may be given."""

import math
import zlib
from collections.abc import Callable
from dataclasses import dataclass, field

import torch
from torch import Tensor

from flowlib import Transform


def gaussian(n: int, dim: int, radius: float) -> Tensor:
    """Points at distance about `radius` per dimension, any sign."""
    return radius * torch.randn(n, dim)


def within(low: float, high: float) -> Callable[[int, int, float], Tensor]:
    """Points whose coordinates stay in [low, high], whatever radius is asked for; most of them near the ends."""

    def draw(n: int, dim: int, radius: float) -> Tensor:
        return low + (high - low) * torch.sigmoid(radius * torch.randn(n, dim))

    return draw


@dataclass(frozen=True)
class Case:
    """One family in one size.

    Args:
        name: what pytest shows.
        make: builds it, with its random initialisation.
        size: D, or the shape of an image z.
        points: (n, D, radius) -> z (n, D) where the transform is defined.
        move: the deviation of what is added to every parameter. Smaller where many rounding errors meet: a long sum,
            layers in a row.
        whole_space: False if f maps to or from a part of R^D only, so that points cannot be chosen freely.
        not_for: check name -> the reason why it cannot apply.
        ill_conditioned: check name -> the reason why rounding hides z there, so that its round trips ask for x again
            where they cannot ask for z.
    """

    name: str
    make: Callable[[], Transform]
    size: int | tuple[int, ...]
    points: Callable[[int, int, float], Tensor] = gaussian
    move: float = 0.2
    whole_space: bool = True
    not_for: dict[str, str] = field(default_factory=dict)
    ill_conditioned: dict[str, str] = field(default_factory=dict)

    @property
    def shape(self) -> tuple[int, ...]:
        """The shape of one point z."""
        return (self.size,) if isinstance(self.size, int) else self.size

    @property
    def dim(self) -> int:
        """How many numbers one point has."""
        return math.prod(self.shape)

    @property
    def data_shape(self) -> tuple[int, ...]:
        """The shape of one point x."""
        return tuple(self.make().data_shape) or self.shape

    def seed(self) -> None:
        torch.manual_seed(zlib.crc32(self.name.encode()))

    def build(self, dtype: torch.dtype = torch.float64) -> Transform:
        """The transform with N(0, move²) added to every parameter: at its initialisation an identity proves nothing."""
        self.seed()
        transform = self.make().to(dtype)
        with torch.no_grad():
            for parameter in transform.parameters():
                parameter += self.move * torch.randn_like(parameter)
        return transform

    def z(self, n: int = 20, dtype: torch.dtype = torch.float64, radius: float = 1.0) -> Tensor:
        """n points where the transform is defined, (n, *shape)."""
        self.seed()
        return self.points(n, self.dim, radius).to(dtype).reshape(n, *self.shape)
