"""Layer by layer: held-out points decide how many, and what is wrong with data is said."""

import math

import pytest
import torch

from flowlib.datasets import toy
from flowlib.models import density_ascent, gaussianization, real_nvp
from flowlib.training import fit, fit_greedy

MOONS = toy.two_moons(0.1)


def rows(n: int = 2000) -> torch.Tensor:
    return MOONS.sample(n, seed=1)


@pytest.mark.parametrize("recipe", [gaussianization, density_ascent])
def test_each_gains_on_points_that_were_held_out(recipe) -> None:
    flow = recipe(layers=40)
    history = fit_greedy(flow, rows(), entropy=MOONS.entropy, snapshots=3)
    gaussian = history.held_out[2]  # the units, and the full Gaussian
    assert history.best < gaussian - 0.2 and not flow.training
    fresh = MOONS.sample(2000, seed=2)
    assert float(-flow.log_prob(fresh).mean()) == pytest.approx(history.best, abs=0.3)
    assert sorted(history.snapshots) == [0, 21, 42]


def test_the_same_seed_the_same_flow() -> None:
    found = []
    for _ in range(2):
        flow = density_ascent(layers=10)
        fit_greedy(flow, rows(500), seed=3)
        found.append(torch.cat([value.flatten().double() for value in flow.state_dict().values()]))
    assert torch.equal(*found)


def test_normal_data_are_left_alone() -> None:
    """Nothing to gain beyond the Gaussian: the fit ends, and what is left of the layers is the identity."""
    x = torch.randn(1000, 2, generator=torch.Generator().manual_seed(0))
    flow = gaussianization(layers=100, stride=1.0)
    history = fit_greedy(flow, x, patience=5)
    assert "5 looks, none better" in history.stopped and len(history.losses) < 40
    assert history.best == pytest.approx(math.log(2 * math.pi * math.e), abs=0.3)
    last = flow.transform.transforms[0]
    assert torch.allclose(last(x)[0], x, atol=1e-5)


def test_any_units_and_points_of_ones_own() -> None:
    x = rows(1000).double() * torch.tensor([1e-6, 1e6]) + 1e8
    near, far = gaussianization(layers=5), gaussianization(layers=5)
    a = fit_greedy(near, rows(1000).double(), held_out=rows(200).double())
    b = fit_greedy(far, x, held_out=rows(200).double() * torch.tensor([1e-6, 1e6]) + 1e8)
    assert b.best == pytest.approx(a.best, abs=1e-2)


def test_a_fit_goes_on_from_there() -> None:
    flow = gaussianization(layers=4)
    before = fit_greedy(flow, rows()).best
    assert fit(flow, MOONS, steps=50, batch=256).best < before


def test_what_is_refused_and_what_is_said() -> None:
    x = rows(300)
    constant = torch.cat([x, torch.ones(300, 1)], 1)
    with pytest.raises(ValueError, match="column 2 of data has the same value in every row"):
        fit_greedy(gaussianization(3, layers=2), constant)
    ties = x.mul(2).round()
    assert "repeats its values" in fit_greedy(gaussianization(layers=2), ties).verdict
    with pytest.raises(ValueError, match=r"the flow needs a context of 1 numbers a point"):
        fit_greedy(real_nvp(context_dim=1), x)
    with pytest.raises(ValueError, match="fit_greedy: patience must be a whole number, 1 or more; got 0"):
        fit_greedy(gaussianization(layers=2), x, patience=0)
    with pytest.raises(TypeError, match="fit_greedy expects a Flow first"):
        fit_greedy(flow=None, data=x)
