"""A sampler and an energy whose floors are known, and a small flow for them."""

import math

import torch
from torch import Tensor

from flowlib import Flow
from flowlib.models import real_nvp


class Moved:
    """A sampler: N(mean, ½²) in two dimensions, with its entropy and, on request, its density."""

    def __init__(self, mean: float = 3.0):
        self.mean, self.entropy = mean, 2 * (0.5 * math.log(2 * math.pi * math.e) + math.log(0.5))

    def sample(self, n: int, seed: int = 0) -> Tensor:
        return self.mean + 0.5 * torch.randn(n, 2, generator=torch.Generator().manual_seed(seed))

    def log_prob(self, x: Tensor) -> Tensor:
        return torch.distributions.Normal(self.mean, 0.5).log_prob(x).sum(-1)


class Bowl:
    """An energy: U(x) = ½ ‖x − 1‖², whose Z is 2π."""

    log_z = math.log(2 * math.pi)

    def __call__(self, x: Tensor) -> Tensor:
        return 0.5 * (x - 1.0).square().sum(-1)


def small(context_dim: int = 0) -> Flow:
    """An untrained RealNVP, always the same."""
    torch.manual_seed(0)
    return real_nvp(layers=2, hidden=[8, 8], context_dim=context_dim)


def points(n: int = 500) -> Tensor:
    """Rows of the sampler, (n, 2)."""
    return Moved().sample(n)


def weights(flow: Flow) -> Tensor:
    """All that a flow stores, in one row."""
    return torch.cat([value.flatten().double() for value in flow.state_dict().values()])
