"""Density ascent: the parabola that a layer reads off is the one of the likelihood, and the best of many stays."""

import math

import pytest
import torch

from flowlib.transforms import DensityAscent
from flowlib.transforms.density_ascent import best_step, distances, inverse_elu

DOUBLE = torch.float64


def moons(n: int = 400) -> torch.Tensor:
    generator = torch.Generator().manual_seed(0)
    angle = math.pi * torch.rand(n, generator=generator, dtype=DOUBLE)
    upper = torch.stack([angle.cos(), angle.sin()], -1)
    half = torch.arange(n).unsqueeze(-1) % 2 == 0
    x = torch.where(half, upper, torch.tensor([1.0, 0.5], dtype=DOUBLE) - upper)
    x = x + 0.1 * torch.randn(n, 2, generator=generator, dtype=DOUBLE)
    return (x - x.mean(0)) / x.std(0)


def loss(layer: DensityAscent, x: torch.Tensor) -> float:
    z, log_det = layer.inverse(x)
    return float((0.5 * z.square().sum(-1) - log_det).mean())


@pytest.mark.parametrize("kind", ["radial", "ridge"])
@pytest.mark.parametrize("dim", [1, 2, 5])
def test_it_starts_as_the_identity_and_gains(kind: str, dim: int) -> None:
    torch.manual_seed(0)
    x = torch.randn(300, dim, dtype=DOUBLE).pow(3) / 4.0
    layer = DensityAscent(dim, kind).double()
    assert torch.equal(layer.inverse(x)[0], x)
    before = loss(layer, x)
    layer.learn(x, torch.Generator().manual_seed(0))
    assert loss(layer, x) < before - 0.01


@pytest.mark.parametrize("kind", ["radial", "ridge"])
def test_the_strength_is_where_the_likelihood_has_its_newton_step(kind: str) -> None:
    """β against −L' / L'' at β = 0, both by autograd of the log-likelihood of the finished map."""
    x = moons()
    layer = DensityAscent(2, kind).double()
    layer.learn(x, torch.Generator().manual_seed(0))
    push = layer.push
    if kind == "radial":
        alpha, strength = push.alpha.detach(), push.beta_hat.detach()

        def likelihood(beta: torch.Tensor) -> torch.Tensor:
            offset = x - push.z0.detach()
            r = offset.norm(dim=-1)
            z = x + (beta / (alpha + r)).unsqueeze(-1) * offset
            across, along = 1.0 + beta / (alpha + r), 1.0 + beta * alpha / (alpha + r).square()
            return (across.log() + along.log() - 0.5 * z.square().sum(-1)).mean()
    else:
        w, b = push.w.detach(), push.b.detach()
        alpha, unit = 1.0 / w.norm(), w / w.norm()
        strength = push.u_hat.detach() @ unit

        def likelihood(beta: torch.Tensor) -> torch.Tensor:
            h = torch.tanh(x @ w + b)
            z = x + beta * h.unsqueeze(-1) * unit
            return ((1.0 + beta * (1.0 - h.square()) / alpha).log() - 0.5 * z.square().sum(-1)).mean()

    zero = torch.zeros((), dtype=DOUBLE)
    first = torch.func.grad(likelihood)(zero)
    second = torch.func.grad(torch.func.grad(likelihood))(zero)
    newton = torch.clamp(-first / second, -0.5 * alpha, 1.0 * alpha)
    assert torch.allclose(strength, newton, rtol=1e-9)
    z, log_det = layer.inverse(x)
    assert torch.allclose((log_det - 0.5 * z.square().sum(-1)).mean(), likelihood(strength), atol=1e-9)


def test_the_steepest_parabola_wins_within_its_bounds() -> None:
    first, second = torch.tensor([1.0, -8.0, 0.1]), torch.tensor([1.0, 2.0, 1.0])
    best, beta = best_step(first, second, torch.tensor([5.0, 1.0, 5.0]))
    assert best == 1 and beta == -0.5  # −8 / 2 = −4 would fold space
    best, beta = best_step(first, second, torch.tensor([5.0, 1e-3, 5.0]))
    assert best == 0 and beta == 1.0


def test_a_reach_holds_the_part_of_the_points_that_was_drawn() -> None:
    r = torch.rand(1000, 64, generator=torch.Generator().manual_seed(0))
    reach = distances(r, torch.Generator().manual_seed(0))
    inside = (r < reach).float().mean(0)
    assert inside.min() >= 0.019 and inside.max() <= 0.71


def test_inverse_elu() -> None:
    value = torch.linspace(-5.0, 3.0, 30, dtype=DOUBLE)
    assert torch.allclose(inverse_elu(torch.nn.functional.elu(value)), value, atol=1e-12)


def test_bad_arguments() -> None:
    with pytest.raises(ValueError, match="DensityAscent: kind must be one of 'radial', 'ridge'; got 'planar'"):
        DensityAscent(2, "planar")
    with pytest.raises(ValueError, match="DensityAscent: dim must be a whole number, 1 or more; got 0"):
        DensityAscent(0)
