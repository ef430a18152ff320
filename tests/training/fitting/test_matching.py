"""`fit_matching`: paths, pairs, what is regressed in which units, and the exact likelihood afterwards."""

import math
from itertools import permutations

import pytest
import torch
from torch import Tensor

from flowlib import Compose, Flow
from flowlib.bases import StandardNormal
from flowlib.datasets import toy
from flowlib.models import ffjord, flow_matching, load, real_nvp, save
from flowlib.nets import VelocityMLP
from flowlib.training import fit, fit_matching
from flowlib.training.matching import PATHS, Matching, paired
from flowlib.transforms import Continuous, Planar
from tests.training.fitting.examples import Moved, points, weights


def small(context_dim: int = 0) -> Flow:
    torch.manual_seed(0)
    return flow_matching(hidden=[16, 16], steps=8, context_dim=context_dim)


@pytest.mark.parametrize("path", PATHS)
def test_a_path_begins_at_noise_ends_at_data_and_has_its_velocity(path, double) -> None:
    z, u, t = torch.randn(5, 2), torch.randn(5, 2), torch.rand(5, 1)
    for end, expected in ((0.0, z), (1.0, u)):
        assert torch.allclose(PATHS[path](torch.full((5, 1), end), z, u)[0], expected, atol=1e-14)
    (ahead, _), (behind, _) = (PATHS[path](t + step, z, u) for step in (1e-5, -1e-5))
    assert torch.allclose((ahead - behind) / 2e-5, PATHS[path](t, z, u)[1], atol=1e-8)


def test_pairs_have_the_least_sum_of_squares() -> None:
    z, u = torch.randn(6, 2), torch.randn(6, 2)
    best = min(float((z[list(order)] - u).square().sum()) for order in permutations(range(6)))
    found = paired(z, u)
    assert float((found - u).square().sum()) == pytest.approx(best)
    assert torch.equal(found.sort(0).values, z.sort(0).values)


@pytest.mark.parametrize("arguments", [{}, {"transport": True, "batch": 128}, {"path": "diffusion"}], ids=str)
def test_a_gaussian_far_away_is_learned(arguments) -> None:
    """N(3, ½²): log_prob of the same flow is the exact density, in the units of the data."""
    flow, law = small(), Moved()
    history = fit_matching(flow, law.sample(3000), **{"steps": 600, "batch": 256, **arguments})
    x = law.sample(1000, seed=9)
    with torch.no_grad():
        assert float((law.log_prob(x) - flow.log_prob(x)).mean()) < 0.1
    assert history.floor is None and history.gap is None and not flow.training
    assert history.best < history.held_out[0] and len(history.losses) == 600
    assert repr(history) == f"History: 600 steps, {history.nats:.1f} nats on held-out points"


def test_the_context_is_learned() -> None:
    """x = 2 c + ½ noise, with contexts far from standard units."""
    c = 100.0 + 10.0 * torch.randn(2000, 1, generator=torch.Generator().manual_seed(1))
    x = (c - 100.0) / 5.0 + 0.5 * torch.randn(2000, 2, generator=torch.Generator().manual_seed(2))
    flow = small(context_dim=1)
    history = fit_matching(flow, x, steps=500, batch=256, context=c)
    assert history.nats < math.log(2 * math.pi * math.e * 0.25) + 0.5  # blind to the context: 2.8 nats above
    means = flow.sample((2000, 2), torch.tensor([[90.0], [110.0]])).mean(0)
    assert (means - torch.tensor([[-2.0, -2.0], [2.0, 2.0]])).abs().max() < 0.2


def test_equal_seeds_give_equal_fits_and_the_global_state_stays() -> None:
    fits = []
    for _ in range(2):
        flow = small()
        before = torch.get_rng_state()
        history = fit_matching(flow, points(), steps=5, snapshots=2, seed=3)
        assert torch.equal(before, torch.get_rng_state()) and list(history.snapshots) == [0, 5]
        fits.append((history.losses, weights(flow)))
    assert fits[0][0] == fits[1][0] and torch.equal(fits[0][1], fits[1][1])


def test_a_plain_continuous_layer_with_layers_behind_it() -> None:
    flow = Flow(Compose([Continuous(VelocityMLP(2, [8]), 4), Planar(2)]), StandardNormal(2))
    assert [layer.kind for layer in Matching(flow).behind.layers()] == ["Planar"]
    kept = weights(flow)[-5:].clone()
    fit_matching(flow, points(), steps=3)
    assert torch.equal(weights(flow)[-5:], kept)  # what stands behind is not trained
    fit_matching(Flow(Continuous(VelocityMLP(2, [8]), 4), StandardNormal(2)), points(), steps=2)


def test_by_likelihood_with_the_effort_as_a_penalty() -> None:
    data, efforts = toy.two_moons(0.2).sample(500), []
    for weight in (0.0, 1.0):
        torch.manual_seed(0)
        flow = ffjord(hidden=[16, 16], steps=4)

        def penalty(flow: Flow, x: Tensor, weight: float = weight) -> Tensor:
            layer, units = flow.transform.layers()
            return weight * sum(part.mean() for part in layer.effort(units.inverse(x)[0]))

        history = fit(flow, data, steps=40, batch=128, lr=1e-2, penalty=penalty)
        assert history.best < history.held_out[0]
        efforts.append(float(penalty(flow, data, 1.0).detach()))
    assert efforts[1] < 0.6 * efforts[0]


def test_saved_and_loaded(tmp_path) -> None:
    flow = small()
    fit_matching(flow, points(), steps=2)
    save(flow, tmp_path)
    x = points(20)
    assert torch.equal(load(tmp_path).log_prob(x), flow.log_prob(x))


def test_bad_input() -> None:
    with pytest.raises(
        ValueError, match=r"first layer, and no other, is Continuous.*are Coupling, .*Train it with fit"
    ):
        fit_matching(real_nvp(layers=2), points())
    with pytest.raises(ValueError, match="path must be one of 'straight', 'diffusion'; got 'curved'"):
        fit_matching(small(), points(), path="curved")
    with pytest.raises(ValueError, match="transport=True pairs noise with points of any context"):
        fit_matching(small(1), points(), context=torch.randn(500, 1), transport=True)
    with pytest.raises(ValueError, match="needs a context of 1 numbers"):
        fit_matching(small(1), points())
    with pytest.raises(ValueError, match="context goes with a tensor of data"):
        fit_matching(small(1), Moved(), context=torch.randn(500, 1))
    with pytest.raises(FloatingPointError, match=r"fit_matching: the loss is nan or infinite .* try lr=1e\+29"):
        fit_matching(small(), points(), steps=20, lr=1e30)
