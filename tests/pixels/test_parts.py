"""The parts of a pixel model: squeeze, noise, samples, shapes and precision."""

import math

import pytest
import torch

from flowlib import prove
from flowlib.pixels.pixel_flow import PixelLogit, PixelFlow, UniformDequantize, VariationalDequantize
from tests.pixels.flows import image_flow, noise_flow, normal_flow, shaken


@pytest.mark.parametrize("squeeze", [PixelLogit(2), PixelLogit((3, 2, 2), 0.2), PixelLogit((1, 1, 1), 1e-6)])
def test_the_pixel_logit_is_what_it_claims(squeeze) -> None:
    assert prove(squeeze).holds


def test_the_pixel_logit_keeps_pixels_finite() -> None:
    s, log_det = PixelLogit(2).inverse(torch.tensor([0.0, 1.0]))
    assert torch.allclose(s, torch.tensor([-1.0, 1.0]) * math.log(0.95 / 0.05), atol=1e-5)
    assert log_det.item() == pytest.approx(2 * math.log(0.9) - 2 * math.log(0.05 * 0.95), abs=1e-5)


@pytest.mark.parametrize("kind", [UniformDequantize, VariationalDequantize])
def test_the_pixel_comes_back_from_its_cell(kind) -> None:
    torch.manual_seed(0)
    more = [shaken(noise_flow(4))] if kind is VariationalDequantize else []
    dequantize, pixels = kind((1, 2, 2), 17, *more), torch.randint(17, [5, 100, 1, 2, 2])
    y, log_q = dequantize(pixels)
    u = 17 * y - pixels
    assert u.min() > -1e-5 and u.max() < 1 + 1e-5
    assert log_q.shape == (5, 100)
    assert not torch.equal(dequantize(pixels)[0], y)
    assert dequantize.data_scale == pytest.approx(-4 * math.log(17))


def test_learned_noise_knows_its_own_density() -> None:
    """u back to v, where q(v | x) is known, gives the same log q; ∫ q(v | x) dv = 1, by midpoints."""
    torch.manual_seed(0)
    dequantize = VariationalDequantize((1, 1, 2), 4, shaken(noise_flow(2))).double()
    pixels = torch.tensor([[[[1, 3]]]])
    y, log_q = dequantize(pixels)
    u = (4 * y - pixels).reshape(1, 2)
    center = ((2 * pixels + 1) / 4 - 1).reshape(1, 2).double()
    expected = dequantize.flow.log_prob(u.logit(), center) - (u * (1 - u)).log().sum(-1)
    assert torch.allclose(log_q, expected, atol=1e-6)
    middle = 40.0 * ((torch.arange(400, dtype=torch.float64) + 0.5) / 400 - 0.5)
    v = torch.cartesian_prod(middle, middle)  # q(u | x) du = q(v | x) dv, and in v no density hangs on a wall
    assert dequantize.flow.log_prob(v, center[0]).exp().mean().item() * 40.0**2 == pytest.approx(1.0, abs=1e-3)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("batch", [(), (0,), (5,), (2, 3)])
def test_shapes_and_precision(batch, dtype) -> None:
    flow = shaken(image_flow((1, 2, 2))).to(dtype)
    pixels = torch.randint(17, [*batch, 1, 2, 2], dtype=torch.uint8)
    for noise in ("uniform", VariationalDequantize((1, 2, 2), 17, noise_flow(4))):
        model = PixelFlow(flow, 17, noise)
        for value in (model.log_prob(pixels), model.bits_per_dim(pixels), model.bound(pixels, 3)):
            assert value.shape == batch and value.dtype == dtype and value.isfinite().all()


def test_single_and_double_precision_agree_where_the_noise_is_the_same() -> None:
    model, pixels = PixelFlow(shaken(image_flow((1, 2, 2))), 256), torch.randint(256, [100, 1, 2, 2])
    y, _ = model.dequantize(pixels)
    single = model.log_density(y)
    assert torch.allclose(single.double(), model.double().log_density(y.double()), atol=1e-4)


def test_half_precision_weights_do_not_round_the_pixels() -> None:
    y, _ = UniformDequantize((1, 2, 2), 256).bfloat16()(torch.full([1, 2, 2], 255))
    assert y.dtype == torch.float32


@pytest.mark.parametrize("levels", [2, 17, 256])
def test_samples_are_pixels(levels) -> None:
    torch.manual_seed(0)
    model = PixelFlow(normal_flow((1, 3, 3), scale=10.0), levels)  # most of its mass is on the rim, and is clipped
    pixels = model.sample(500)
    assert pixels.dtype == torch.uint8 and pixels.shape == (500, 1, 3, 3)
    assert (pixels.min().item(), pixels.max().item()) == (0, levels - 1)
    assert model.log_prob(pixels).isfinite().all()
    assert model.sample(0).shape == (0, 1, 3, 3)


def test_a_lower_temperature_draws_closer_to_the_middle() -> None:
    torch.manual_seed(0)
    model = PixelFlow(normal_flow((1, 3, 3)), 256)
    assert model.sample(300, temperature=0.3).float().std() < 0.5 * model.sample(300).float().std()


def test_samples_that_are_not_numbers_are_refused() -> None:
    model = PixelFlow(normal_flow((1, 1, 2)), 4)
    with torch.no_grad():
        model.flow.transform.transforms[0].shift[0] = torch.nan
    with pytest.raises(FloatingPointError, match="5 of 5 images hold nan"):
        model.sample(5)


def test_context_reaches_the_flow() -> None:
    torch.manual_seed(0)
    model = PixelFlow(shaken(image_flow((1, 1, 2), context_dim=3)), 4)
    pixels, context = torch.randint(4, [6, 1, 1, 2]), torch.randn(6, 3)
    for call in (model.log_prob, model.bits_per_dim, lambda x, c: model.bound(x, 2, c)):
        torch.manual_seed(1)
        one = call(pixels, context)
        torch.manual_seed(1)
        assert one.shape == (6,) and not torch.allclose(one, call(pixels, context + 1))
    assert model.ledger(pixels, context).images == 6
    assert model.sample(6, context).shape == (6, 1, 1, 2)


def test_gradients_reach_the_flow_and_the_noise() -> None:
    model = PixelFlow(image_flow((1, 2, 2)), 17, VariationalDequantize((1, 2, 2), 17, noise_flow(4)))
    model.log_prob(torch.randint(17, [8, 1, 2, 2])).sum().backward()
    assert all(parameter.grad.isfinite().all() for parameter in model.parameters() if parameter.grad is not None)
    for part in (model.flow, model.dequantize):
        assert any(parameter.grad is not None and parameter.grad.abs().max() > 0 for parameter in part.parameters())
