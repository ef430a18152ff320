"""A simulated camera, whose noise has a density that is known: the floor for every model of it, in nats a pixel.

Everything is in grey levels, black 0 and white 255. A clean patch s is photographed at a sensitivity ISO = 100 g:

    n = σ(s, g) ⊙ u,   σ² = 0.2 + 0.02 g² + 0.02 g s     read noise, and shot noise that grows with the light
    u = A e Aᵀ,        e_i ~ t₄ / √2 independently       heavy tails, of variance 1; each pixel hears its neighbours
    y = clip(s + n, 0, 255)                              what is stored

A is the root of an autoregression of order one along rows and along columns (ρ = 0.6), so each u_i has variance 1
and σ is the noise level function of the camera. The density given here is that of n *before* it is clipped: a clipped
pixel has a probability, not a density. Nothing is lost by that. Clipping is one map for truth and model alike, and no
map makes two laws easier to tell apart: KL(clipped) ≤ KL(before).

Paper: Abdelhamed, Brubaker and Brown (2019, arXiv 1908.08453), Noise flow, for real cameras.
"""

import math
from collections.abc import Sequence

import torch
from torch import Tensor

from flowlib.support.checks import check_count, check_event, check_image

WHITE, NU, RHO = 255.0, 4.0, 0.6
LOWEST, HIGHEST = 100.0, 3200.0  # ISO


class Camera:
    """Clean patches, their noise at any ISO, and the exact log-density of that noise.

    Args:
        shape: (1, H, W) of a patch.

    >>> camera = Camera((1, 8, 8))
    >>> noise, context = camera.sample(3, seed=0)
    >>> noise.shape, context.shape, camera.log_prob(noise, context).shape
    (torch.Size([3, 1, 8, 8]), torch.Size([3, 65]), torch.Size([3]))
    """

    def __init__(self, shape: Sequence[int] = (1, 16, 16)):
        self.shape = check_image("Camera", shape)
        if self.shape[0] != 1:
            raise ValueError(f"Camera: a patch is grey, (1, H, W); got {tuple(self.shape)}.")
        self.pixels = self.shape.numel()

    def noise_level(self, clean: Tensor | float, iso: Tensor | float) -> Tensor:
        """σ(s, ISO) in grey levels, the deviation of the noise: shapes that broadcast."""
        gain = torch.as_tensor(iso, dtype=torch.float64) / 100.0
        return (0.2 + 0.02 * gain**2 + 0.02 * gain * torch.as_tensor(clean)).sqrt()

    def clean(self, n: int, seed: int = 0) -> Tensor:
        """n patches (n, 1, H, W): two grey levels with a straight edge between them, like much of the world."""
        draw = torch.Generator().manual_seed(check_count("Camera.clean", "seed", seed, 0))
        height, width = self.shape[1:]
        row, column = torch.linspace(-1, 1, height)[:, None], torch.linspace(-1, 1, width)
        angle, place, one, other = torch.rand(4, check_count("Camera.clean", "n", n, 0), 1, 1, generator=draw)
        across = row * torch.sin(2 * math.pi * angle) + column * torch.cos(2 * math.pi * angle)  # (n, H, W)
        return (WHITE * torch.where(across > 2 * place - 1, one, other)).unsqueeze(1)

    def context(self, clean: Tensor, iso: Tensor | float) -> Tensor:
        """What a model is told, all s / 255 and then log₂ (ISO / 100): (n, 1, H, W), (n,) -> (n, H · W + 1)."""
        check_event("Camera.context", clean, self.shape)
        iso = torch.as_tensor(iso, dtype=clean.dtype).expand(len(clean))
        if not (iso > 0).all():
            raise ValueError(f"Camera.context: iso must be above 0, such as 800; got {iso.min().item():g}.")
        return torch.cat([clean.flatten(1) / WHITE, torch.log2(iso / 100.0)[:, None]], -1)

    def levels(self, context: Tensor) -> Tensor:
        """σ of each pixel: context (n, H · W + 1) -> (n, 1, H, W) float64."""
        check_event("Camera.levels", context, (self.pixels + 1,))
        clean, stops = context.double().split([self.pixels, 1], -1)
        return self.noise_level(WHITE * clean, 100.0 * 2.0**stops).reshape(-1, *self.shape)

    def noise(self, context: Tensor, seed: int = 0) -> Tensor:
        """One draw of n, before it is clipped, for each row of the context (n, H · W + 1) -> (n, 1, H, W)."""
        draw = torch.Generator().manual_seed(check_count("Camera.noise", "seed", seed, 0))
        sigma = self.levels(context)
        # t with ν degrees of freedom is a normal over the root of a χ² / ν, and χ² with 4 is a sum of 4 squares
        normal, *squares = torch.randn(1 + int(NU), *sigma.shape, dtype=torch.float64, generator=draw)
        e = normal / (torch.stack(squares).square().mean(0) * NU / (NU - 2.0)).sqrt()
        height, width = (correlate(side) for side in self.shape[1:])
        return (sigma * (height @ e @ width.mT)).float()

    def sample(self, n: int, seed: int = 0) -> tuple[Tensor, Tensor]:
        """Noise (n, 1, H, W) of n random patches at random ISO, 100 to 3200, and its context (n, H · W + 1)."""
        clean = self.clean(n, seed)
        stops = torch.rand(n, generator=torch.Generator().manual_seed(seed + 1)) * math.log2(HIGHEST / LOWEST)
        context = self.context(clean, LOWEST * 2.0**stops)
        return self.noise(context, seed + 2), context

    def log_prob(self, noise: Tensor, context: Tensor) -> Tensor:
        """log p(n | s, ISO) in nats, exact: (n, 1, H, W), (n, H · W + 1) -> (n,).

        e is found back by two triangular solves; their determinants and the product of all σ are the change of volume.
        """
        check_event("Camera.log_prob", noise, self.shape)
        sigma = self.levels(context)
        height, width = (correlate(side) for side in self.shape[1:])
        u = noise.double() / sigma
        half = torch.linalg.solve_triangular(height, u, upper=False)
        e = torch.linalg.solve_triangular(width, half.mT, upper=False).mT
        log_det = self.shape[2] * height.diagonal().log().sum() + self.shape[1] * width.diagonal().log().sum()
        return (student(e) - sigma.log()).sum((-3, -2, -1)) - log_det

    def expose(self, clean: Tensor, noise: Tensor) -> Tensor:
        """The stored picture, clip(s + n, 0, 255): two (n, 1, H, W) -> (n, 1, H, W)."""
        return (clean + noise).clamp(0.0, WHITE)

    def __repr__(self) -> str:
        return f"Camera({' × '.join(map(str, self.shape))})"


def correlate(side: int) -> Tensor:
    """A (side, side), lower triangular: A e has variance 1 and the correlation ρ^|i − j| if e is white."""
    steps = torch.arange(side, dtype=torch.float64)
    return torch.linalg.cholesky(RHO ** (steps[:, None] - steps).abs())


def student(e: Tensor) -> Tensor:
    """The log-density of t_ν / √(ν / (ν − 2)), of variance 1, elementwise."""
    constant = math.lgamma((NU + 1) / 2) - math.lgamma(NU / 2) - 0.5 * math.log(math.pi * (NU - 2.0))
    return constant - (NU + 1) / 2 * torch.log1p(e.square() / (NU - 2.0))
