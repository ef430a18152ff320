"""What the proofs of the index share: points, errors, and a transform against autograd."""

from collections.abc import Callable

import torch
from torch import Tensor, nn

from flowlib.core import Transform
from flowlib.proof import autograd_log_det


def draw(*shape: int) -> Tensor:
    """Normal numbers."""
    return torch.randn(*shape)


def gap(value: Tensor | float, expected: Tensor | float) -> float:
    """The largest error, relative where `expected` is large."""
    value, expected = torch.as_tensor(value), torch.as_tensor(expected)
    return ((value - expected).abs() / (1.0 + expected.abs())).max().item()


def shaken(module: nn.Module, by: float = 0.3) -> nn.Module:
    """The module with its parameters moved: networks start at zero, where a wrong sign is not seen."""
    module = module.eval()
    with torch.no_grad():
        for parameter in module.parameters():
            parameter.add_(by * torch.randn_like(parameter))
    return module


def worst(transform: Transform, z: Tensor | None = None) -> float:
    """The largest of four errors: the round trip both ways, and both log-determinants against autograd."""
    transform = transform.eval()
    z = draw(8, *transform.event_shape) if z is None else z
    x, log_det = transform(z)
    z_again, log_det_back = transform.inverse(x)
    return max(
        gap(z_again, z),
        gap(transform(z_again)[0], x),
        gap(log_det, autograd_log_det(transform.forward, z)),
        gap(log_det_back, autograd_log_det(transform.inverse, x)),
    )


def integral(f: Callable[[Tensor], Tensor], low: float, high: float, n: int = 20001) -> float:
    """∫ f over [low, high] by the trapezoid rule."""
    grid = torch.linspace(low, high, n)
    return torch.trapezoid(f(grid), grid).item()


def bell(z: Tensor) -> Tensor:
    """The standard normal density of one number."""
    return torch.exp(-0.5 * z.square()) / (2.0 * torch.pi) ** 0.5
