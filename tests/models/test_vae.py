"""The autoencoder with flows: every log-determinant in it proved, its bounds ordered, its likelihood a probability."""

import math

import pytest
import torch

from flowlib import Given, prove
from flowlib.models import VAE
from flowlib.models.vae import POSTERIORS
from flowlib.training import fit_vae


def shaken(posterior: str, prior: str = "gaussian", pixels: int = 6) -> VAE:
    torch.manual_seed(0)
    vae = VAE(pixels, 4, dim=2, posterior=posterior, prior=prior)
    for parameter in vae.parameters():
        if parameter.requires_grad:
            parameter.data += 0.05 * torch.randn_like(parameter)
    return vae.eval()


X = torch.tensor([[0, 1, 2, 3, 0, 3], [3, 3, 1, 0, 0, 2], [1, 1, 1, 1, 2, 2]])


@pytest.mark.parametrize("kind", [kind for kind in POSTERIORS if kind != "gaussian"])
def test_every_log_det_in_it_is_proved(kind: str) -> None:
    vae = shaken(kind).double()
    assert prove(Given(vae.transform, vae.encode(X.double())[2][0].detach()))


@pytest.mark.parametrize("kind", POSTERIORS)
def test_what_is_drawn_has_the_density_that_is_said(kind: str) -> None:
    vae, noise = shaken(kind).double(), torch.randn(5, 3, 2).double()
    z, log_q = vae.posterior(X.double(), noise)
    assert torch.allclose(vae.log_q(X, z), log_q, atol=1e-6)


@pytest.mark.parametrize(("kind", "prior"), [("gaussian", "gaussian"), ("spline", "flow"), ("planar", "gaussian")])
def test_the_mean_weight_is_the_likelihood_and_the_mean_log_is_below(kind: str, prior: str) -> None:
    """∫ N(ε) w(ε) dε = ∫ p(x | z) p(z) dz, both on a grid: true only if every log-determinant in w is right."""
    vae, side = shaken(kind, prior), torch.linspace(-8.0, 8.0, 161)
    points, cell = torch.cartesian_prod(side, side).unsqueeze(1), 2 * math.log(side[1] - side[0])
    with torch.no_grad():
        exact = (vae.log_likelihood(X.float(), points) + vae.prior.log_prob(points)).logsumexp(0) + cell  # (3,)
        log_noise = -0.5 * points.square().sum(-1) - math.log(2 * math.pi)
        log_w = vae.log_weights(X, points.expand(-1, 3, -1))  # (grid, 3)
    assert torch.allclose((log_noise + log_w).logsumexp(0) + cell, exact, atol=5e-3)
    elbo = (log_noise.exp() * log_w).sum(0) * math.exp(cell)
    assert (elbo < exact).all()


def test_the_likelihood_of_a_picture_is_a_probability() -> None:
    vae = shaken("gaussian", pixels=2)
    every = torch.cartesian_prod(torch.arange(4.0), torch.arange(4.0))
    with torch.no_grad():
        total = vae.log_likelihood(every, torch.tensor([[0.3, -1.2]])).exp().sum()
    assert abs(total - 1.0) < 1e-5
    samples = vae.sample(50)
    assert samples.shape == (50, 2) and samples.min() >= 0 and samples.max() <= 3


def test_training_raises_the_bound_and_keeps_the_best() -> None:
    vae, x = shaken("spline", "flow"), torch.randint(0, 2, (200, 6)) * 3
    before = vae.bound(x, 20).mean()
    history = fit_vae(vae, x, steps=100, lr=5e-3)
    assert vae.bound(x, 20).mean() > before + 1.0 and history.best_step > 0 and not vae.training


def test_bad_input() -> None:
    vae = shaken("gaussian")
    with pytest.raises(ValueError, match=r"rows, \(n, 6\); got \(2, 1, 2, 3\)"):
        vae.bound(torch.zeros(2, 1, 2, 3))
    with pytest.raises(ValueError, match="whole numbers from 0 to 3; got values from 0 to 17"):
        vae.bound(torch.full((2, 6), 17) * torch.tensor([[0], [1]]))
    with pytest.raises(ValueError, match="whole numbers from 0 to 3"):
        vae.bound(torch.full((2, 6), 0.5))
    with pytest.raises(ValueError, match="needs 20 or more; got 3"):
        fit_vae(vae, X)
    with pytest.raises(ValueError, match="posterior must be one of"):
        VAE(6, 4, posterior="radial")
