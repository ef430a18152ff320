"""Where samples start: the base densities p_Z.

Each has `log_prob(z)` in nats, z (..., D) -> (...), and `sample(n)` -> (n, D). Their parameters are buffers:
they move with the module between devices and dtypes, and are not trained.
"""

import math

import torch
from torch import Tensor

from flowlib.core import Base
from flowlib.support.checks import (
    VectorLike,
    check_above_zero,
    check_count,
    check_numbers,
    check_positive,
    check_shape,
)

LOG_2PI = math.log(2.0 * math.pi)


class DiagonalNormal(Base):
    """Independent Gaussians: log p_Z(z) = Σ_i log N(z_i; loc_i, scale_i²).

    Args:
        loc: means, (D,).
        scale: standard deviations, (D,), positive.

    >>> DiagonalNormal([0.0, 1.0], [1.0, 0.1]).log_prob(torch.tensor([0.0, 1.0]))
    tensor(0.4647)
    """

    def __init__(self, loc: VectorLike, scale: VectorLike):
        loc = check_numbers("DiagonalNormal", "loc", loc, dims=1)
        super().__init__(loc.shape)
        self.register_buffer("loc", loc)
        self.register_buffer("scale", check_positive("DiagonalNormal", "scale", scale, loc.shape))

    def log_prob(self, z: Tensor) -> Tensor:
        self.check(z)
        standard = (z - self.loc) / self.scale  # (..., D)
        return (-0.5 * standard.square() - self.scale.log() - 0.5 * LOG_2PI).sum(-1)

    def sample(self, n: int, temperature: float = 1.0) -> Tensor:
        temperature = check_above_zero("sample", "temperature", temperature, or_zero=True)
        noise = torch.randn(n, *self.event_shape, dtype=self.loc.dtype, device=self.loc.device)
        return self.loc + temperature * self.scale * noise

    def extra_repr(self) -> str:
        return f"dim={self.event_shape[0]}"


class StandardNormal(DiagonalNormal):
    """N(0, I) on R^D: log p_Z(z) = −½ ‖z‖² − ½ D log 2π.

    Args:
        dim: D.

    >>> StandardNormal(2).log_prob(torch.zeros(2))
    tensor(-1.8379)
    """

    def __init__(self, dim: int):
        check_count("StandardNormal", "dim", dim)
        super().__init__(torch.zeros(dim), torch.ones(dim))

    def log_prob(self, z: Tensor) -> Tensor:
        self.check(z)
        return -0.5 * z.square().sum(-1) - 0.5 * LOG_2PI * z.shape[-1]


class Uniform(Base):
    """Uniform on the box Π_i [low_i, high_i): log p_Z = −Σ_i log(high_i − low_i) inside, −∞ outside.

    Temperature changes nothing here: every power of a constant is a constant.

    Args:
        low, high: corners of the box, (D,), low < high.

    >>> Uniform([0.0, 0.0], [2.0, 0.5]).log_prob(torch.tensor([1.0, 0.25]))
    tensor(0.)
    """

    def __init__(self, low: VectorLike, high: VectorLike):
        low = check_numbers("Uniform", "low", low, dims=1)
        super().__init__(low.shape)
        self.register_buffer("low", low)
        self.register_buffer("high", check_shape("Uniform", "high", high, low.shape))
        if not (self.low < self.high).all():
            raise ValueError(
                f"Uniform: low must be below high; got low {self.low.tolist()}, high {self.high.tolist()}."
            )

    @property
    def box(self) -> tuple[Tensor, Tensor]:
        return self.low, self.high

    def log_prob(self, z: Tensor) -> Tensor:
        self.check(z)
        outside = ((z < self.low) | (z >= self.high)).any(-1)  # (...)
        inside = -(self.high - self.low).log().sum() + 0.0 * z.sum(-1)  # nan stays nan, and the gradient is zero
        return inside.masked_fill(outside, -math.inf)

    def sample(self, n: int, temperature: float = 1.0) -> Tensor:
        check_above_zero("sample", "temperature", temperature, or_zero=True)
        unit = torch.rand(n, *self.event_shape, dtype=self.low.dtype, device=self.low.device)
        return self.low + (self.high - self.low) * unit

    def extra_repr(self) -> str:
        return f"dim={self.event_shape[0]}"


class NormalMixture(Base):
    """A mixture of K diagonal Gaussians: p_Z(z) = Σ_k weights_k Π_i N(z_i; loc_ki, scale_ki²).

    A temperature other than 1 has no closed form for a mixture and is refused.

    Args:
        loc: means, (K, D).
        scale: standard deviations, (K, D) or one number.
        weights: (K,), positive; they are divided by their sum. Equal if not given.

    >>> NormalMixture([[-2.0], [2.0]], 0.5).log_prob(torch.tensor([2.0]))
    tensor(-0.9189)
    """

    def __init__(self, loc: VectorLike, scale: VectorLike = 1.0, weights: VectorLike = 1.0):
        loc = check_numbers("NormalMixture", "loc", loc, dims=2)
        super().__init__(loc.shape[1:])
        weights = check_positive("NormalMixture", "weights", weights, loc.shape[:1])
        self.register_buffer("loc", loc)
        self.register_buffer("scale", check_positive("NormalMixture", "scale", scale, loc.shape))
        self.register_buffer("log_weights", (weights / weights.sum()).log())

    def log_prob(self, z: Tensor) -> Tensor:
        self.check(z)
        standard = (z.unsqueeze(-2) - self.loc) / self.scale  # (..., K, D)
        components = (-0.5 * standard.square() - self.scale.log() - 0.5 * LOG_2PI).sum(-1)  # (..., K)
        weights = self.log_weights.log_softmax(-1)  # they sum to 1 in whatever dtype they were moved to
        return torch.logsumexp(components + weights, -1)

    def sample(self, n: int, temperature: float = 1.0) -> Tensor:
        if temperature != 1.0:
            raise ValueError(f"NormalMixture samples at temperature 1 only; got {temperature!r}.")
        k = (
            torch.multinomial(self.log_weights.exp(), n, replacement=True)
            if n
            else self.log_weights.new_zeros(0).long()
        )
        return self.loc[k] + self.scale[k] * torch.randn_like(self.loc[k])

    def extra_repr(self) -> str:
        return f"components={self.loc.shape[0]}, dim={self.event_shape[0]}"
