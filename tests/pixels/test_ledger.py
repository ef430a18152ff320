"""The ledger: every term of log P(x) by name, and their sum."""

import math

import pytest
import torch
from torch import Tensor

from flowlib import Compose, Flow, Inverse, Transform
from flowlib.bases import StandardNormal
from flowlib.models import images as image_models
from flowlib.models import maf, real_nvp
from flowlib.pixels.ledger import itemise
from flowlib.pixels.pixel_flow import PixelFlow, VariationalDequantize
from flowlib.transforms import ActNorm, ElementwiseAffine, Linear, Permutation, Unflatten
from tests.pixels.flows import noise_flow, normal_flow, shaken


class Doubled(Transform):
    """x = 2 f(z): a family that nobody listed, one row of a ledger."""

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
        "ElementwiseAffine × 2",
        "Units × 2",
        "Linear × 2",
        "ActNorm",
        "Permutation",
        "Doubled",
        "Autoregressive × 2",
        "Unflatten",
        "pixel logit, α = 0.05",
        "data scale, −D log 17",
        "dequantization, −log q(u | x)",
    ]
    rows = {row.name: row.nats for row in ledger.rows}
    doubled = model.flow.transform.transforms[2]
    assert rows["data scale, −D log 17"] == pytest.approx(-4 * math.log(17))
    assert rows["Doubled"] == pytest.approx(-4 * math.log(2) - doubled.part.log_scale.sum().item(), rel=1e-4)
    assert (rows["dequantization, −log q(u | x)"] == 0.0) == (kind == "uniform")
    assert rows["Permutation"] == rows["Unflatten"] == 0.0


KINDS = {
    "glow": ["Coupling × 4", "Conv1x1 × 4", "ActNorm × 4", "Squeeze × 2"],
    "real_nvp_image": ["Coupling × 7", "Squeeze", "ActNorm"],
    "nice_image": ["ElementwiseAffine", "Coupling × 7", "Squeeze", "ActNorm"],
    "transformer_image": ["Autoregressive × 2", "Patches", "ActNorm"],
}


@pytest.mark.parametrize("recipe", KINDS)
def test_the_ledger_of_an_image_model_names_the_layers_of_all_its_scales(recipe) -> None:
    sizes = {
        "glow": {"steps": 2, "width": 4},
        "transformer_image": {"layers": 2, "width": 8, "heads": 2, "depth": 1},
    }.get(recipe, {"couplings": 2, "width": 4, "blocks": 1})
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
    """log p_Z(z) + log |det ∂z/∂y|, the 64 × 64 Jacobian from the unit box through the pixel logit and Glow."""
    model = PixelFlow(image_models.glow((1, 8, 8), steps=2, width=4), 17)
    model.log_prob(torch.randint(17, [20, 1, 8, 8]))
    shaken(model)
    y, _ = model.dequantize(torch.randint(17, [1, 8, 8]))

    def latent(y: Tensor) -> Tensor:
        return model.flow.transform.inverse(model.logit.inverse(y)[0])[0]

    jacobian = torch.autograd.functional.jacobian(latent, y).reshape(64, 64)
    expected = model.flow.base.log_prob(latent(y)) + torch.linalg.slogdet(jacobian).logabsdet
    assert torch.allclose(model.log_density(y), expected, atol=1e-9)


def test_each_share_is_that_of_its_layer() -> None:
    """Layer by layer, by hand, from data to noise."""
    torch.manual_seed(0)
    layers = [ElementwiseAffine(3, scale=2.0), Linear(3), Inverse(Linear(3, matrix=(2 * torch.eye(3)).tolist()))]
    x = torch.randn(7, 3)
    shares = itemise(Compose(layers), x)
    expected = [layer.inverse(x)[1].sum().item() for layer in layers]  # none depends on the point
    assert [(kind, count) for kind, count, _ in shares] == [("ElementwiseAffine", 1), ("Linear", 2)]
    assert shares[0][2] == pytest.approx(expected[0], rel=1e-5)
    assert shares[1][2] == pytest.approx(expected[1] + expected[2], rel=1e-5)


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
