# ruff: noqa: E501
"""Pixel models: exact sums over all images of a tiny case, the bounds below them, the ledger, what they refuse."""

import math
from itertools import product

import pytest
import torch
from torch import Tensor, nn

from flowlib import Compose, Flow, Inverse, Transform, image_models, prove
from flowlib.bases import StandardNormal, Uniform
from flowlib.ledger import itemise
from flowlib.models import maf, real_nvp
from flowlib.pixels import LogitSqueeze, PixelFlow, UniformDequantize, VariationalDequantize
from flowlib.transforms import ActNorm, Coupling, ElementwiseAffine, Linear, Logit, Permutation, Unflatten

nan = float("nan")


@pytest.fixture(autouse=True)
def seed() -> None:
    torch.manual_seed(0)


def shaken(module: nn.Module, by: float = 0.05) -> nn.Module:
    """The module with random weights, so that no layer is the identity, and in eval mode."""
    torch.manual_seed(0)
    with torch.no_grad():
        for parameter in module.parameters():
            parameter.add_(by * torch.randn_like(parameter))
    return module.eval()


def image_flow(shape: tuple[int, ...], context_dim: int = 0) -> Flow:
    """A small RealNVP on images of this shape."""
    dim = math.prod(shape)
    flow = real_nvp(dim=dim, layers=2, hidden=[8], context_dim=context_dim)
    return Flow(Compose([flow.transform, Unflatten(shape)]), flow.base)


def normal_flow(shape: tuple[int, ...], shift: float = 0.0, scale: float = 1.0) -> Flow:
    """s ~ N(shift, scale²), each pixel alone."""
    dim = math.prod(shape)
    return Flow(Compose([ElementwiseAffine(dim, shift, scale), Unflatten(shape)]), StandardNormal(dim))


def noise_flow(dim: int, scale: float = 1.0) -> Flow:
    """v, of which u = sigmoid(v) is the noise: at scale 1, as long as the couplings are the identity, u is uniform."""
    couplings = real_nvp(dim=dim, layers=2, hidden=[8], context_dim=dim).transform.transforms[:-1]
    return Flow(
        Compose([Logit(dim), ElementwiseAffine(dim, scale=scale), *couplings]), Uniform([0.0] * dim, [1.0] * dim)
    )


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


# ---- probabilities


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
    to_pixels = Compose([Inverse(LogitSqueeze(12, alpha)), Unflatten((3, 2, 2))])
    model = PixelFlow(Flow(to_pixels, Uniform([-1e-6] * 12, [1.0 + 1e-6] * 12)), levels, alpha=alpha).to(dtype)
    bits = model.bits_per_dim(torch.randint(levels, [50, 3, 2, 2]))
    assert bits.dtype == dtype
    assert torch.allclose(bits, torch.full_like(bits, math.log2(levels)), atol=1e-4 if dtype == torch.float32 else 1e-5)


def test_learned_noise_closes_most_of_the_gap_that_uniform_noise_leaves() -> None:
    """The model stays as it is, so the gap of uniform noise is known; q can only win it back, and never passes log P."""
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


# ---- the parts


@pytest.mark.parametrize("squeeze", [LogitSqueeze(2), LogitSqueeze((3, 2, 2), 0.2), LogitSqueeze((1, 1, 1), 1e-6)])
def test_the_logit_squeeze_is_what_it_claims(squeeze) -> None:
    assert prove(squeeze).holds


def test_the_logit_squeeze_keeps_pixels_finite() -> None:
    s, log_det = LogitSqueeze(2).inverse(torch.tensor([0.0, 1.0]))
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
    """∫ q(u | x) du = 1, by midpoints: u back to v, where q(v | x) is known, gives the same log q."""
    torch.manual_seed(0)
    dequantize = VariationalDequantize((1, 1, 2), 4, shaken(noise_flow(2), 0.1)).double()
    pixels = torch.tensor([[[[1, 3]]]])
    y, log_q = dequantize(pixels)
    u = (4 * y - pixels).reshape(1, 2)
    center = ((2 * pixels + 1) / 4 - 1).reshape(1, 2).double()
    expected = dequantize.flow.log_prob(u.logit(), center) - (u * (1 - u)).log().sum(-1)
    assert torch.allclose(log_q, expected, atol=1e-6)
    middle = (torch.arange(200, dtype=torch.float64) + 0.5) / 200
    grid = torch.cartesian_prod(middle, middle)
    q = (dequantize.flow.log_prob(grid.logit(), center[0]) - (grid * (1 - grid)).log().sum(-1)).exp()
    assert q.mean().item() == pytest.approx(1.0, abs=1e-3)


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


class InBFloat16(nn.Module):
    """A network under autocast, as a trainer runs it; its answer as it comes, or in float32 again."""

    def __init__(self, net: nn.Module, back: bool):
        super().__init__()
        self.net, self.back = net, back

    def forward(self, x: Tensor) -> Tensor:
        with torch.autocast("cpu", dtype=torch.bfloat16):
            told = self.net(x)
        assert told.dtype == torch.bfloat16
        return told.float() if self.back else told


def test_log_dets_add_up_in_single_precision_though_networks_run_in_half() -> None:
    """A sum of log-slopes in bfloat16 would keep 8 bits of it; here only what the networks answer is rounded."""
    pixels, found = torch.randint(17, [200, 1, 8, 8]), {}
    for back in (True, False):
        torch.manual_seed(0)
        flow = real_nvp(dim=64, layers=4, hidden=[16])
        for module in list(flow.modules()):
            if isinstance(module, Coupling):
                module.conditioner = InBFloat16(module.conditioner, back)
        model = PixelFlow(shaken(Flow(Compose([flow.transform, Unflatten((1, 8, 8))]), flow.base)), 17)
        torch.manual_seed(1)
        found[back] = model.log_prob(pixels)
        ledger = model.ledger(pixels)
        assert sum(row.nats for row in ledger.rows) == pytest.approx(ledger.total, rel=1e-5)
    assert found[False].dtype == torch.float32
    assert torch.equal(found[False], found[True])


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
        model.flow.transform.transforms[0].shift[0] = nan
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


# ---- the ledger


class Doubled(Transform):
    """x = 2 f(z): it calls a part and has a log-determinant of its own."""

    def __init__(self, part: Transform):
        super().__init__(part.event_shape)
        self.part = part

    def forward(self, z: Tensor, context: Tensor | None = None) -> tuple[Tensor, Tensor]:
        x, log_det = self.part(z, context)
        return 2 * x, log_det + len(self.event_shape) * math.log(2) * self.event_shape[0]

    def inverse(self, x: Tensor, context: Tensor | None = None) -> tuple[Tensor, Tensor]:
        z, log_det = self.part.inverse(x / 2, context)
        return z, log_det - len(self.event_shape) * math.log(2) * self.event_shape[0]


def nested(dim: int = 4) -> Flow:
    """A flow with a stack, layers within layers, turned ones, and one that calls another and adds to it."""
    inner = Compose([Inverse(Linear(dim)), ActNorm(dim), Compose([Linear(dim), Permutation(range(dim))])])
    stacks, more = real_nvp(dim, layers=4, hidden=[8]).transform, maf(dim, layers=2, hidden=[8]).transform
    layers = Compose([stacks, inner, Doubled(ElementwiseAffine(dim)), Inverse(more), Unflatten((1, 2, 2))])
    return Flow(layers, StandardNormal(dim))


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("kind", ["uniform", "variational"])
def test_the_rows_of_a_ledger_sum_to_the_number_of_bits(kind, dtype) -> None:
    noise = "uniform" if kind == "uniform" else VariationalDequantize((1, 2, 2), 17, shaken(noise_flow(4)))
    model = PixelFlow(shaken(nested(), 0.1).to(dtype), 17, noise)
    pixels = torch.randint(17, [60, 1, 2, 2])
    torch.manual_seed(5)
    ledger = model.ledger(pixels)
    torch.manual_seed(5)
    with torch.no_grad():
        bits = model.bits_per_dim(pixels).mean().item()
    exactly = 1e-5 if dtype == torch.float32 else 1e-12
    assert sum(row.nats for row in ledger.rows) == pytest.approx(ledger.total, rel=exactly)
    assert ledger.bits_per_dim == pytest.approx(bits, rel=exactly)
    assert [row.name for row in ledger.rows] == [
        "base log p_Z",
        "Coupling × 4",
        "ActNorm × 3",
        "Linear × 2",
        "Permutation",
        "Doubled",
        "ElementwiseAffine",
        "Autoregressive × 2",
        "Unflatten",
        "logit squeeze, α = 0.05",
        "data scale, −D log 17",
        "dequantization, −log q(u | x)",
    ]
    rows = {row.name: row.nats for row in ledger.rows}
    assert rows["data scale, −D log 17"] == pytest.approx(-4 * math.log(17))
    assert rows["Doubled"] == pytest.approx(-4 * math.log(2), rel=1e-4)
    assert (rows["dequantization, −log q(u | x)"] == 0.0) == (kind == "uniform")
    assert rows["Permutation"] == rows["Unflatten"] == 0.0


KINDS = {
    "glow": ["Coupling × 4", "Conv1x1 × 4", "ActNorm × 4", "Squeeze × 2"],
    "real_nvp_image": ["Coupling × 7", "Squeeze", "ActNorm"],
    "nice_image": ["ElementwiseAffine", "Coupling × 7", "Squeeze", "ActNorm"],
}


@pytest.mark.parametrize("recipe", KINDS)
def test_the_ledger_of_an_image_model_names_the_layers_of_all_its_scales(recipe) -> None:
    sizes = {"steps": 2, "width": 4} if recipe == "glow" else {"couplings": 2, "width": 4, "blocks": 1}
    model = PixelFlow(getattr(image_models, recipe)((1, 8, 8), **sizes), 17)
    pixels = torch.randint(17, [20, 1, 8, 8], dtype=torch.uint8)
    model.log_prob(pixels)  # each ActNorm finds its units
    shaken(model)
    torch.manual_seed(5)
    ledger = model.ledger(pixels)
    torch.manual_seed(5)
    with torch.no_grad():
        assert ledger.bits_per_dim == pytest.approx(model.bits_per_dim(pixels).mean().item(), rel=1e-5)
    assert sum(row.nats for row in ledger.rows) == pytest.approx(ledger.total, rel=1e-5)
    assert [row.name for row in ledger.rows[1:-3]] == KINDS[recipe]
    assert model.sample(3).shape == (3, 1, 8, 8)


@pytest.mark.usefixtures("double")
def test_the_density_of_an_image_is_that_of_autograd_through_the_whole_chain() -> None:
    """log p_Z(z) + log |det ∂z/∂y|, the 64 × 64 Jacobian from the unit box through the logit squeeze and Glow."""
    model = PixelFlow(image_models.glow((1, 8, 8), steps=2, width=4), 17)
    model.log_prob(torch.randint(17, [20, 1, 8, 8]))
    shaken(model)
    y, _ = model.dequantize(torch.randint(17, [1, 8, 8]))

    def latent(y: Tensor) -> Tensor:
        return model.flow.transform.inverse(model.squeeze.inverse(y)[0])[0]

    jacobian = torch.autograd.functional.jacobian(latent, y).reshape(64, 64)
    expected = model.flow.base.log_prob(latent(y)) + torch.linalg.slogdet(jacobian).logabsdet
    assert torch.allclose(model.log_density(y), expected, atol=1e-9)


def test_each_share_is_that_of_its_layer() -> None:
    """Layer by layer, by hand, from data to noise."""
    torch.manual_seed(0)
    layers = [ElementwiseAffine(3, scale=2.0), Linear(3), Inverse(Linear(3, matrix=(2 * torch.eye(3)).tolist()))]
    x = torch.randn(7, 3)
    z, log_det, shares = itemise(Compose(layers), x)
    expected = [layer.inverse(x)[1].sum().item() for layer in layers]  # none depends on the point
    assert [(kind, count) for kind, count, _ in shares] == [("ElementwiseAffine", 1), ("Linear", 2)]
    assert shares[0][2] == pytest.approx(expected[0], rel=1e-5)
    assert shares[1][2] == pytest.approx(expected[1] + expected[2], rel=1e-5)
    assert all(torch.equal(a, b) for a, b in zip((z, log_det), Compose(layers).inverse(x), strict=True))


def test_itemising_leaves_no_trace_even_where_it_fails() -> None:
    flow = nested()
    for bad in (torch.zeros(3, 1, 2, 2), torch.zeros(3, 9)):
        try:
            itemise(flow.transform, bad)
        except ValueError:
            assert bad.shape[-1] == 9
        assert not [name for module in flow.modules() for name in ("forward", "inverse") if name in vars(module)]


def test_a_ledger_reads_as_a_table() -> None:
    torch.manual_seed(0)
    ledger = PixelFlow(normal_flow((1, 1, 2)), 3).ledger(torch.zeros(1, 1, 2, dtype=torch.uint8))
    assert repr(ledger).splitlines()[0] == "Ledger, 1 image of D = 2 pixel values with 3 levels"
    assert repr(ledger).splitlines()[-2:] == [
        "  dequantization, −log q(u | x)   0.00              0.0000",
        f"  all: log P(x), a lower bound   {ledger.total:>+.2f}  {ledger.bits_per_dim:>+18.4f}",
    ]
    page = ledger._repr_html_()
    assert page.count("<tr>") == len(ledger.rows) + 2
    assert f"{ledger.bits_per_dim:+.4f}" in page


# ---- bad input


def model(levels: int = 17) -> PixelFlow:
    return PixelFlow(normal_flow((1, 2, 2)), levels)


def images(low: int = 0, high: int = 16) -> Tensor:
    return torch.tensor([low, 1, 2, high]).reshape(1, 2, 2)


EXPECTED = "PixelFlow expects whole-number pixels of shape (..., 1, 2, 2) with values 0 to 16; got "
BAD = [
    (TypeError, lambda: model().log_prob(images().float()), EXPECTED + "dtype torch.float32. Give them as they are stored: the model itself divides and adds noise."),
    (TypeError, lambda: model().log_prob(images() > 1), EXPECTED + "dtype torch.bool. Convert with .to(torch.uint8)"),
    (TypeError, lambda: model().log_prob(images().tolist()), EXPECTED + "list. Convert with torch.as_tensor(..., dtype=torch.uint8) first."),
    (ValueError, lambda: model().log_prob(images(high=17)), EXPECTED + "values from 0 to 17. Map them to 0, ..., 16, or build the model with levels=18."),
    (ValueError, lambda: model().bits_per_dim(images(high=255).to(torch.uint8)), EXPECTED + "values from 0 to 255. Map them to 0, ..., 16, or build the model with levels=256."),
    (ValueError, lambda: model().bound(images(low=-1), 3), EXPECTED + "values from -1 to 16. Map them to 0, ..., 16, or leave those images out."),
    (ValueError, lambda: model().ledger(images(high=300)), EXPECTED + "values from 0 to 300. Map them to 0, ..., 16, or leave those images out."),
    (ValueError, lambda: model(256).log_prob(images(low=-5)), "with values 0 to 255; got values from -5 to 16."),
    (ValueError, lambda: model().log_prob(images().reshape(2, 2)), EXPECTED + "shape (2, 2)."),
    (ValueError, lambda: model().ledger(torch.zeros(0, 1, 2, 2, dtype=torch.uint8)), "ledger: a mean over no images; give at least one."),
    (ValueError, lambda: model().bound(images(), 0), "PixelFlow.bound: k must be a whole number, 1 or more; got 0"),
    (ValueError, lambda: model().sample(-1), "n must be a whole number, 0 or more; got -1"),
    (ValueError, lambda: model().sample(2, temperature=0), "temperature must be a finite number greater than 0; got 0"),
    (ValueError, lambda: model(1), "levels must be a whole number, 2 or more; got 1"),
    (ValueError, lambda: model(257), "UniformDequantize: levels must be at most 256, the values of a uint8; got 257."),
    (ValueError, lambda: UniformDequantize((1, 0, 2), 17), "UniformDequantize: each number of shape must be a whole number, 1 or more; got 0"),
    (TypeError, lambda: UniformDequantize((1, 2, 2), 17)(images().float()), "UniformDequantize expects whole-number pixels"),
    (TypeError, lambda: PixelFlow("glow", 17), "PixelFlow expects a Flow first, e.g. glow((1, 8, 8)); got str."),
    (ValueError, lambda: PixelFlow(normal_flow((1, 2, 2)), 17, "gaussian"), "dequantize must be 'uniform' or a module, e.g. VariationalDequantize(shape, levels, flow); got 'gaussian'."),
    (ValueError, lambda: PixelFlow(normal_flow((1, 2, 2)), 17, UniformDequantize((1, 2, 2), 16)), "levels is 17; dequantize takes shape (1, 2, 2) and 16 levels. Give both the same."),
    (ValueError, lambda: PixelFlow(normal_flow((1, 2, 2)), 17, alpha=0.0), "LogitSqueeze: alpha must be a finite number greater than 0; got 0.0"),
    (ValueError, lambda: PixelFlow(normal_flow((1, 2, 2)), 17, alpha=0.5), "LogitSqueeze: alpha must be below 1/2, or nothing is left between the rims; got 0.5."),
    (TypeError, lambda: VariationalDequantize((1, 2, 2), 17, "flow"), "VariationalDequantize expects a Flow third, q(v | x); got str."),
    (ValueError, lambda: VariationalDequantize((1, 2, 2), 17, noise_flow(3)), "takes noise of 4 numbers; the flow gives points of shape (3,)."),
    (ValueError, lambda: VariationalDequantize((1, 2, 2), 17, real_nvp(dim=4)), "a context of 4 numbers; it takes no context. Build it with context_dim=4."),
    (ValueError, lambda: VariationalDequantize((1, 2, 2), 17, real_nvp(dim=4, context_dim=3)), "a context of 4 numbers; it takes a context of 3. Build it with context_dim=4."),
]  # fmt: skip


@pytest.mark.parametrize(("kind", "call", "message"), BAD, ids=[message[-60:] for _, _, message in BAD])
def test_bad_input(kind, call, message: str) -> None:
    with pytest.raises(kind) as error:
        call()
    assert message in str(error.value)
