"""Ways through the latent space, and what is measured on images."""

import math

import pytest
import torch

from flowlib.models.images import glow, transformer_image
from flowlib.pixels.latents import lerp, scales, slant, slerp, thickness, to_latent
from flowlib.pixels.pixel_flow import PixelFlow


@pytest.mark.parametrize("recipe", [glow, transformer_image])
def test_a_latent_leads_back_to_its_pixels(recipe) -> None:
    torch.manual_seed(0)
    model = PixelFlow(recipe((1, 8, 8)), 17).eval()
    pixels = torch.randint(17, [5, 1, 8, 8], dtype=torch.uint8)
    for u in (0.5, 0.1 + 0.8 * torch.rand(pixels.shape)):
        with torch.no_grad():
            y, _ = model.logit(model.flow.transform(to_latent(model, pixels, u))[0])
        assert torch.equal((17 * y).floor().to(torch.uint8), pixels)


@pytest.mark.parametrize("count", [1, 2, 3])
@pytest.mark.parametrize("context_dim", [0, 2])
def test_scales_are_those_of_the_map_also_at_one_condition(count: int, context_dim: int) -> None:
    flow = glow((1, 8, 8), scales=count, steps=1, width=4, context_dim=context_dim)
    expected = flow.transform.slices()
    assert scales(flow) == expected and len(expected) == count
    if context_dim:
        assert scales(flow.given([0.0, 1.0])) == expected


def test_the_line_is_straight_and_the_arc_keeps_its_length_and_pace() -> None:
    torch.manual_seed(0)
    a, b = torch.nn.functional.normalize(torch.randn(2, 4, 9).double(), dim=-1)
    assert torch.allclose(lerp(a, b, 0.25), a + (b - a) / 4)
    whole = torch.acos((a * b).sum(-1))
    for t in (0.0, 0.25, 0.7, 1.0):
        at = slerp(a, b, t)
        assert torch.allclose(at.norm(dim=-1), torch.ones(4).double())
        assert torch.allclose(torch.acos((a * at).sum(-1).clamp(max=1.0)), t * whole, atol=1e-6)


def test_a_bar_is_as_thick_as_it_is() -> None:
    for width in (2, 4, 6):
        bar = torch.zeros(1, 1, 40, 40)
        bar[0, 0, 4:36, 15 : 15 + width] = 1.0
        short_sides = 1 + width / 32  # they belong to the edge as well
        assert thickness(bar).item() == pytest.approx(width / short_sides, rel=0.02)


def test_a_leaning_line_leans() -> None:
    image = torch.zeros(1, 1, 40, 40)
    for row in range(5, 35):
        image[0, 0, row, round(30 - 0.5 * row)] = 1.0
    assert math.isclose(slant(image).item(), 0.5, abs_tol=0.02)
    assert math.isclose(slant(image.flip(-1)).item(), -0.5, abs_tol=0.02)


def test_where_there_is_no_arc_the_way_is_straight() -> None:
    a = torch.randn(3, 50, generator=torch.Generator().manual_seed(0))
    for b in (a, 2.0 * a, -a):
        assert torch.allclose(slerp(a, b, 0.25), lerp(a, b, 0.25))
