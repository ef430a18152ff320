"""The simulated camera: its density is that of its samples, and its numbers are what they claim."""

import math

import pytest
import torch

from flowlib.datasets import Camera
from flowlib.datasets.simulators import correlate, student


def test_the_density_is_that_of_the_map_from_white_noise() -> None:
    camera = Camera((1, 3, 4))
    noise, context = camera.sample(2, seed=3)
    sigma = camera.levels(context)[0]

    def of_white(e):
        return sigma * (correlate(3) @ e @ correlate(4).mT)

    half = torch.linalg.solve(correlate(3), noise[0].double() / sigma)
    e = torch.linalg.solve(correlate(4), half.mT).mT
    assert torch.allclose(of_white(e).float(), noise[0], rtol=1e-5)
    jacobian = torch.autograd.functional.jacobian(of_white, e).reshape(12, 12)
    by_autograd = student(e).sum() - torch.linalg.slogdet(jacobian).logabsdet
    assert math.isclose(camera.log_prob(noise, context)[0].item(), by_autograd.item(), abs_tol=1e-8)


def test_the_law_of_one_innovation_has_mass_and_variance_one() -> None:
    e = torch.linspace(-400, 400, 400_001, dtype=torch.float64)
    p = student(e).exp() * (e[1] - e[0])
    assert abs(p.sum().item() - 1) < 1e-6
    assert abs((p * e.square()).sum().item() - 1) < 1e-3  # what lies beyond 400 is missing


def test_the_noise_level_and_the_neighbours_are_as_printed() -> None:
    camera = Camera((1, 8, 8))
    context = camera.context(torch.full((4000, 1, 8, 8), 100.0), 800.0)
    u = camera.noise(context, seed=1) / camera.noise_level(100.0, 800.0)
    assert abs(u.std().item() - 1) < 0.02
    assert abs((u[..., 1:] * u[..., :-1]).mean().item() - 0.6) < 0.03
    assert abs((u[..., 1:, 1:] * u[..., :-1, :-1]).mean().item() - 0.36) < 0.03


def test_the_same_seed_gives_the_same_patches_and_leaves_torch_alone() -> None:
    torch.manual_seed(0)
    before, camera = torch.rand(1), Camera((1, 4, 4))
    torch.manual_seed(0)
    one, other = camera.sample(3, seed=5), camera.sample(3, seed=5)
    assert torch.equal(torch.rand(1), before)
    assert all(torch.equal(a, b) for a, b in zip(one, other, strict=True))
    assert not torch.equal(one[0], camera.sample(3, seed=6)[0])


def test_what_is_stored_is_clipped() -> None:
    camera = Camera((1, 1, 2))
    stored = camera.expose(torch.tensor([[[[250.0, 3.0]]]]), torch.tensor([[[[9.0, -9.0]]]]))
    assert stored.tolist() == [[[[255.0, 0.0]]]]


def test_bad_input_is_refused_in_words() -> None:
    with pytest.raises(ValueError, match=r"a patch is grey, \(1, H, W\); got \(3, 4, 4\)"):
        Camera((3, 4, 4))
    camera = Camera((1, 4, 4))
    with pytest.raises(ValueError, match="iso must be above 0, such as 800; got 0"):
        camera.context(camera.clean(2), 0.0)
    with pytest.raises(ValueError, match=r"Camera.levels expects a float tensor of shape \(..., 17\)"):
        camera.levels(torch.zeros(2, 16))
    with pytest.raises(ValueError, match="n must be a whole number"):
        camera.clean(-1)
