"""Exact sums over all images of a tiny case, and the bounds below them."""

import math
from itertools import product

import pytest
import torch
from torch import Tensor

from flowlib import Compose, Flow, Inverse
from flowlib.bases import Uniform
from flowlib.pixels.pixel_flow import PixelLogit, PixelFlow, VariationalDequantize
from flowlib.transforms import Unflatten
from tests.pixels.flows import image_flow, noise_flow, normal_flow, shaken


def every_image(shape: tuple[int, ...], levels: int) -> Tensor:
    """All levels^D images, (levels^D, *shape)."""
    values = list(product(range(levels), repeat=math.prod(shape)))
    return torch.tensor(values, dtype=torch.uint8).reshape(-1, *shape)


@torch.no_grad()
def exact(model: PixelFlow, pixels: Tensor, n: int = 100) -> Tensor:
    """log P(x) = log ∫ p_Y over the cell of x, by n midpoints a side: (N, C, H, W) -> (N,)."""
    dim = model.data_shape.numel()
    middle = (torch.arange(n, dtype=torch.get_default_dtype()) + 0.5) / n
    u = torch.cartesian_prod(*[middle] * dim).reshape(-1, 1, *model.data_shape)  # (n^D, 1, C, H, W)
    densities = model.log_density((pixels + u) / model.levels)  # (n^D, N)
    return densities.logsumexp(0) - dim * math.log(n * model.levels)


@pytest.mark.usefixtures("double")
@pytest.mark.parametrize(("shape", "levels"), [((1, 1, 2), 3), ((1, 2, 1), 4), ((1, 1, 1), 256)])
def test_all_images_together_have_probability_one(shape, levels) -> None:
    model = PixelFlow(shaken(image_flow(shape) if shape != (1, 1, 1) else normal_flow(shape)), levels, alpha=1e-6)
    total = exact(model, every_image(shape, levels)).exp().sum()
    assert abs(total.item() - 1.0) < 1e-4


@pytest.mark.usefixtures("double")
def test_what_is_missing_from_one_is_the_mass_on_the_rim() -> None:
    """At α = 0.05 a standard normal puts 0.3 % a pixel beyond ±logit(0.95), on no pixel value."""
    model = PixelFlow(normal_flow((1, 1, 2)), 3)
    total = exact(model, every_image((1, 1, 2), 3), n=400).exp().sum()
    inside = math.erf(math.log(0.95 / 0.05) / math.sqrt(2))
    assert total.item() == pytest.approx(inside**2, abs=1e-5)
    assert inside**2 < 0.995


@pytest.mark.usefixtures("double")
def test_samples_come_as_often_as_their_probability_says() -> None:
    model, images = PixelFlow(shaken(image_flow((1, 1, 2))), 3, alpha=1e-6), every_image((1, 1, 2), 3)
    torch.manual_seed(1)
    pixels = model.sample(50_000).flatten(1).long()
    counted = torch.bincount(3 * pixels[:, 0] + pixels[:, 1], minlength=9).double()
    expected = 50_000 * exact(model, images).exp()
    assert ((counted - expected).square() / expected).sum() < 26  # χ² of 8 degrees of freedom, once in 1000


@pytest.mark.usefixtures("double")
@pytest.mark.parametrize("kind", ["uniform", "variational"])
def test_one_draw_is_unbiased_for_the_probability_and_below_its_logarithm(kind) -> None:
    """E exp(log_prob) = P(x), which fails if a constant or the sign of log q is wrong, and E log_prob ≤ log P(x)."""
    images, draws = every_image((1, 1, 2), 3), 20_000
    wide = shaken(
        noise_flow(2, 1.7), 0.03
    )  # where q is near 0 and p is not, the mean of p / q would take very many draws
    noise = "uniform" if kind == "uniform" else VariationalDequantize((1, 1, 2), 3, wide)
    model = PixelFlow(shaken(image_flow((1, 1, 2))), 3, noise)
    truth = exact(model, images)
    torch.manual_seed(2)
    with torch.no_grad():
        log_p = model.log_prob(images.expand(draws, *images.shape))  # (draws, 9)
    error = (log_p - truth).expm1()
    assert (error.mean(0).abs() < 5 * error.std(0) / math.sqrt(draws) + 1e-4).all()
    below = log_p.mean(0) - truth
    assert (below < 5 * log_p.std(0) / math.sqrt(draws)).all()
    assert below.mean() < -0.01


@pytest.mark.usefixtures("double")
def test_the_bound_rises_with_the_number_of_draws_to_the_truth() -> None:
    model, images = PixelFlow(normal_flow((1, 1, 2), 0.3, 0.5), 3), every_image((1, 1, 2), 3)
    truth = exact(model, images).expand(200, 9)
    torch.manual_seed(3)
    with torch.no_grad():
        gaps = [(truth - model.bound(images.expand(200, *images.shape), k)).mean().item() for k in (1, 4, 32, 512)]
    assert gaps == sorted(gaps, reverse=True)
    assert gaps[0] > 0.3
    assert abs(gaps[-1]) < 0.01


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize(("levels", "alpha"), [(2, 0.05), (17, 0.2), (256, 1e-3)])
def test_uniform_pixels_cost_exactly_log2_of_the_levels(levels, alpha, dtype) -> None:
    """y ~ U(0, 1): each image has probability levels^−D, whatever noise is drawn."""
    torch.manual_seed(0)
    to_pixels = Compose([Inverse(PixelLogit(12, alpha)), Unflatten((3, 2, 2))])
    model = PixelFlow(Flow(to_pixels, Uniform([-1e-6] * 12, [1.0 + 1e-6] * 12)), levels, alpha=alpha).to(dtype)
    bits = model.bits_per_dim(torch.randint(levels, [50, 3, 2, 2]))
    assert bits.dtype == dtype
    assert torch.allclose(bits, torch.full_like(bits, math.log2(levels)), atol=1e-4 if dtype == torch.float32 else 1e-5)


def test_learned_noise_closes_most_of_the_gap_that_uniform_noise_leaves() -> None:
    """The model stays as it is, so the gap of uniform noise is known; q can only win it back, never pass log P."""
    shape, levels = (1, 1, 2), 3
    images, flow = every_image(shape, levels), normal_flow(shape, 0.3, 0.4)
    torch.manual_seed(4)
    model = PixelFlow(flow, levels, VariationalDequantize(shape, levels, noise_flow(2)))
    plain = PixelFlow(flow, levels)
    optimizer = torch.optim.Adam(model.dequantize.parameters(), lr=0.02)
    for _ in range(200):
        loss = -model.log_prob(images.expand(16, *images.shape)).mean()
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    with torch.no_grad():
        truth, many = exact(model, images).mean(), images.expand(500, *images.shape)
        gap, left = ((truth - each.log_prob(many).mean()).item() for each in (plain, model))
    assert gap > 0.5
    assert -0.02 < left < 0.25 * gap
