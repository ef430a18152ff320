"""What every density of the course's data sets offers: samples by seed, its exact log-density, its entropy.

The entropy H(p) = −∫ p log p is the floor of every loss: the mean of −log q(x) over data from p is H(p) + KL(p ‖ q),
so no model q gets below it, and what a loss has above it is how wrong the model is. Where H has no formula it is
integrated on a grid. The trapezoidal rule is far better here than its name: for a smooth function that has died out
at the borders its error falls faster than any power of the step (the densities are blurred by a Gaussian of width
`scale`; at a step of scale/4 nothing is left to see of the error).

Source: Trefethen and Weideman (2014), The exponentially convergent trapezoidal rule, section 5.
"""

import math
from functools import cached_property

import torch
from torch import Tensor

from flowlib.support.checks import check_count, check_event

Box = tuple[tuple[float, float], tuple[float, float]]
CHUNK = 2048  # points at a time, so that tables of points × components stay in the cache


class Density:
    """A density p on the plane, with samples and an entropy. Subclasses write `_log_prob` and `_draw`.

    Args:
        name: as in the table of names; `parameters`, e.g. the noise, are printed behind it.
        box: ((low, high), (low, high)), a rectangle that holds all but 1e-12 of the mass.
        scale: the smallest width of a detail, for the step of the quadrature.
        window: half the width of a picture, centred at 0, in which nearly all of it is seen.
        known: the entropy in nats and a bound of its error, where they are known; they are integrated where not.
    """

    dim = 2

    def __init__(
        self,
        name: str,
        box: Box,
        scale: float,
        window: float,
        known: tuple[float, float] | None = None,
        **parameters: float,
    ):
        self.name = name
        self.box = box
        self.scale = scale
        self.window = window
        self.parameters = parameters
        self._known = known

    @cached_property
    def _entropy(self) -> tuple[float, float]:
        if self._known is not None:
            return self._known
        fine, coarse = self.integrate(self.scale / 4)[0], self.integrate(self.scale / 3)[0]
        return fine, abs(fine - coarse) + 1e-9

    @property
    def entropy(self) -> float:
        """H(p) = −∫ p log p in nats: the least value that any loss −E log q(x) can have."""
        return self._entropy[0]

    @property
    def entropy_error(self) -> float:
        """|entropy − H(p)| is at most this."""
        return self._entropy[1]

    def log_prob(self, x: Tensor) -> Tensor:
        """log p(x) in nats: x (..., 2) -> (...). Computed in float64, given back in the dtype of x."""
        check_event(f"{self.name}.log_prob", x, (self.dim,))
        chunks = x.reshape(-1, self.dim).double().split(CHUNK)
        return torch.cat([self._log_prob(chunk) for chunk in chunks]).to(x.dtype).reshape(x.shape[:-1])

    def sample(self, n: int, seed: int = 0) -> Tensor:
        """n independent points, (n, 2) float32. The same seed gives the same points; no global state is touched."""
        check_count(f"{self.name}.sample", "n", n, 0)
        check_count(f"{self.name}.sample", "seed", seed, 0)
        return self._draw(n, torch.Generator().manual_seed(seed)).float()

    def integrate(self, step: float) -> tuple[float, float]:
        """(−∫ p log p, ∫ p) over the box by the trapezoidal rule: the second should be 1."""
        points, area = grid(self.box, step)
        log_p = self.log_prob(points)
        p = log_p.exp() * area
        return -torch.special.xlogy(p, log_p.exp()).sum().item(), p.sum().item()

    def _log_prob(self, x: Tensor) -> Tensor:
        """x (n, 2) float64 -> (n,)."""
        raise NotImplementedError(f"{type(self).__name__} must define _log_prob(x).")

    def _draw(self, n: int, generator: torch.Generator) -> Tensor:
        """n points (n, 2)."""
        raise NotImplementedError(f"{type(self).__name__} must define _draw(n, generator).")

    def __repr__(self) -> str:
        return f"{self.name}({', '.join(f'{key}={value:g}' for key, value in self.parameters.items())})"


def grid(box: Box, step: float) -> tuple[Tensor, float]:
    """Points (n, 2) of a grid over `box`, float64, at most `step` apart, and the area that each stands for."""
    sides = [torch.linspace(low, high, math.ceil((high - low) / step) + 1, dtype=torch.float64) for low, high in box]
    return torch.cartesian_prod(*sides), math.prod((side[1] - side[0]).item() for side in sides)


def uniform(n: int, generator: torch.Generator) -> Tensor:
    """n numbers from U[0, 1), float64."""
    return torch.rand(n, dtype=torch.float64, generator=generator)


def normal(n: int, generator: torch.Generator) -> Tensor:
    """n points from N(0, I) in the plane, (n, 2) float64."""
    return torch.randn(n, 2, dtype=torch.float64, generator=generator)


def choice(n: int, k: int, generator: torch.Generator) -> Tensor:
    """n numbers from 0, ..., k − 1, each as likely as the others."""
    return torch.randint(k, (n,), generator=generator)
