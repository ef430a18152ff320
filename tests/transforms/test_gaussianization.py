"""Gaussianization: splines through given knots, directions that are orthogonal, covariances that are shrunk."""

import math

import pytest
import torch

from flowlib.laws import RationalQuadratic
from flowlib.transforms import Gaussianization, Marginals, Whitening
from flowlib.transforms.gaussianization import (
    gaussian_score,
    normal_splines,
    principal_directions,
    random_directions,
    shrunk,
    sliced_directions,
)

DOUBLE = torch.float64


def test_a_spline_through_given_knots() -> None:
    law = RationalQuadratic(5, 2.0).double()
    z = torch.tensor([[-1.5, -0.2, 0.1, 1.2]], dtype=DOUBLE)
    x = torch.tensor([[-0.7, -0.5, 1.0, 1.1]], dtype=DOUBLE)
    slope = torch.tensor([[0.5, 2.0, 1.0, 0.3]], dtype=DOUBLE)
    knots = law.knots(law.through(z, x, slope))  # (1, 3, 6)
    for row, expected in enumerate((z, x, slope)):
        assert torch.allclose(knots[:, row, 1:-1], expected, atol=1e-12)


@pytest.mark.parametrize("stride", [1.0, 0.3])
def test_a_coordinate_becomes_normal(stride: float) -> None:
    """Uniform numbers: F is known, and the spline goes the given part of the way to Φ⁻¹(F)."""
    y = (torch.rand(20_000, 1, generator=torch.Generator().manual_seed(0), dtype=DOUBLE) - 0.5) * 12**0.5
    layer = Marginals(RationalQuadratic(24, 6.0), 1).double()
    with torch.no_grad():
        layer.params.copy_(normal_splines(y, layer.law.double(), stride))
    inner = torch.linspace(-1.4, 1.4, 29, dtype=DOUBLE).unsqueeze(-1)
    normal = math.sqrt(2.0) * torch.erfinv(2.0 * inner / 12**0.5)
    assert (layer.inverse(inner)[0] - stride * normal - (1.0 - stride) * inner).abs().max() < 0.1


@pytest.mark.parametrize("find", [random_directions, principal_directions, sliced_directions])
@pytest.mark.parametrize("dim", [1, 2, 5])
def test_directions_are_orthogonal(find, dim: int) -> None:
    generator = torch.Generator().manual_seed(0)
    q = find(torch.randn(50, dim, generator=generator, dtype=DOUBLE), generator)
    assert torch.allclose(q.mT @ q, torch.eye(dim, dtype=DOUBLE), atol=1e-12)


def test_principal_directions_of_fewer_rows_than_dimensions() -> None:
    q = principal_directions(torch.randn(4, 7, dtype=DOUBLE), None)
    assert q.shape == (7, 7) and torch.allclose(q.mT @ q, torch.eye(7, dtype=DOUBLE), atol=1e-12)


def test_sliced_directions_find_the_one_that_is_not_normal() -> None:
    """One of three coordinates is ±1, hidden by a turn."""
    generator = torch.Generator().manual_seed(2)
    hidden = torch.randn(20_000, 3, generator=generator, dtype=DOUBLE)
    hidden[:, 0] = hidden[:, 0].sign()
    turn = random_directions(hidden, generator)
    found = sliced_directions(hidden @ turn.mT, generator)
    assert (found.mT @ turn[:, 0]).abs().max() > 0.9


def test_whitening_is_the_gaussian_of_the_data() -> None:
    generator = torch.Generator().manual_seed(0)
    x = (
        torch.randn(5000, 3, generator=generator, dtype=DOUBLE) @ torch.randn(3, 3, generator=generator, dtype=DOUBLE)
        + 7.0
    )
    layer = Whitening(3).double()
    layer.learn(x, generator)
    z = layer.inverse(x)[0]
    assert z.mean(0).abs().max() < 1e-5 and (z.T.cov() - torch.eye(3, dtype=DOUBLE)).abs().max() < 0.05


def test_a_covariance_of_few_rows_is_shrunk() -> None:
    """Thirteen rows in ten dimensions: what cross-validation sees of them is singular."""
    generator = torch.Generator().manual_seed(0)
    x = torch.randn(13, 10, generator=generator, dtype=DOUBLE)
    layer = Whitening(10).double()
    layer.learn(x, generator)
    fresh = torch.randn(1000, 10, generator=generator, dtype=DOUBLE)
    z, log_det = layer.inverse(fresh)
    own = (0.5 * z.square().sum(-1) - log_det).mean()
    assert own < 0.5 * fresh.square().sum(-1).mean() + 5.0  # unshrunk it is 15 to 70
    assert gaussian_score(fresh, shrunk(x[:9].T.cov(), 0.0)) == -torch.inf
    assert gaussian_score(fresh, shrunk(x[:9].T.cov(), 0.01)).isfinite()


def test_a_column_that_is_there_twice_is_shrunk_on_every_machine() -> None:
    """Whether rounding leaves the last pivot of a singular covariance above zero differs from machine to machine."""
    for seed in range(20):
        x = torch.randn(50, 3, generator=torch.Generator().manual_seed(seed), dtype=DOUBLE)
        x = torch.cat([x, x[:, :1] + x[:, 1:2]], 1)
        assert gaussian_score(x, shrunk(x.T.cov(), 0.0)) == -torch.inf
        near = x + 1e-4 * torch.randn(50, 4, generator=torch.Generator().manual_seed(seed), dtype=DOUBLE)
        assert gaussian_score(near, shrunk(near.T.cov(), 0.0)).isfinite()  # 1 − R² is some 1e-8


@pytest.mark.parametrize("directions", ["random", "pca", "sliced"])
def test_a_layer_makes_data_more_normal(directions: str) -> None:
    x = torch.rand(2000, 2, generator=torch.Generator().manual_seed(0), dtype=DOUBLE).sub(0.5).mul(12**0.5)
    layer = Gaussianization(2, directions, stride=0.7).double()
    layer.learn(x, torch.Generator().manual_seed(0))
    z, log_det = layer.inverse(x)
    assert (0.5 * z.square().sum(-1) - log_det).mean() < 0.5 * x.square().sum(-1).mean() - 0.03


def test_bad_arguments() -> None:
    with pytest.raises(ValueError, match="directions must be one of 'random', 'pca', 'sliced'; got 'ica'"):
        Gaussianization(2, "ica")
    with pytest.raises(ValueError, match=r"Gaussianization: stride must be at most 1; got 1\.5"):
        Gaussianization(2, stride=1.5)
    with pytest.raises(ValueError, match="Gaussianization: stride must be a finite number greater than 0; got 0"):
        Gaussianization(2, stride=0)
