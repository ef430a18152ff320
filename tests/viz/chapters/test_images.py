"""Images in pictures and explorers: what stands where, and what the sliders do."""

import numpy as np
import pytest
import torch

from flowlib import Flow
from flowlib.models.images import glow
from flowlib.pixels.latents import scales
from flowlib.pixels.pixel_flow import PixelFlow
from flowlib.viz.chapters.image_explorers import Spikes, bin_width, explore_scales, scrub_image_layers
from flowlib.viz.chapters.mosaics import image_panel, mosaic, redraw, scale_names, show_images, snapshot
from flowlib.viz.engine.paint import BAND, banded


def shaken(count: int = 2, **options) -> Flow:
    """An untrained Glow whose networks have something to say."""
    torch.manual_seed(0)
    flow = glow((1, 8, 8), scales=count, steps=2, width=4, **options).eval()
    with torch.no_grad():
        for p in flow.parameters():
            p.add_(0.1 * torch.randn_like(p))
    return flow


def test_a_mosaic_puts_each_image_in_its_place() -> None:
    images = torch.arange(1, 4)[:, None, None, None].expand(3, 1, 100, 90) / 4
    values = mosaic(images, columns=2)
    assert (
        values[0, 0] == 0.25
        and values[0, -1] == 0.5
        and values[-1, 0] == 0.75
        and values[-1, -1] == -1.0
        and np.isnan(values[0, 95])
    )
    parts = image_panel(images, columns=2).layers[0].parts()
    assert parts["levels"][-1, 0] == round(255 * 0.25) and parts["levels"][0, 0] == round(255 * 0.75)


def test_redraw_changes_one_scale_alone() -> None:
    flow = shaken(3)
    assert scale_names(flow) == ["coarse", "middle", "fine"]
    z, fresh = torch.zeros(2, 64), torch.ones(2, 64)
    for name, part in zip(scale_names(flow), scales(flow), strict=True):
        out = redraw(flow, z, fresh, name)
        assert out[:, part].eq(1).all() and out.sum() == out[:, part].numel()
    assert redraw(flow, z, fresh, "all").eq(1).all() and z.eq(0).all()
    with pytest.raises(ValueError, match="'all' or one of 'coarse', 'middle', 'fine'"):
        redraw(flow, z, fresh, "tiny")


def test_a_snapshot_leaves_the_mode_alone() -> None:
    model = PixelFlow(shaken(), 17).train()
    images = snapshot(model, torch.randn(2, 64))
    assert model.training and images.min() >= 0 and images.max() <= 1


def test_noise_of_one_cell_keeps_the_score_above_the_entropy() -> None:
    spikes = Spikes(torch.tensor([0.5, 0.25, 0.25]))
    sigmas = torch.logspace(-3, 0, 40, dtype=torch.float64)
    assert spikes.entropy == pytest.approx(1.5)
    assert (spikes.bits(1.0, sigmas) > 1.5).all()
    assert (spikes.bits(0.3, sigmas) > 1.5 + np.log2(0.3)).all() and spikes.bits(0.3, sigmas).min() < 1.5
    narrow = spikes.bits(0.0, torch.tensor([1e-2, 1e-3]))
    assert (narrow[0] - narrow[1]).item() == pytest.approx(np.log2(10), abs=1e-4)
    with pytest.raises(ValueError, match="add up to 1"):
        bin_width(torch.tensor([0.5, 0.2]))


def test_the_explorers_follow_their_sliders() -> None:
    model = PixelFlow(shaken(), 17).eval()
    bins = bin_width(torch.tensor([0.5, 0.25, 0.25]))
    bins.set(w=0.0, sharp=-2.0)
    assert bins.scene.light[0] is False and bins.error is None
    bins.set(w=1.0, sharp=-0.5)
    assert bins.scene.light[0] is True
    temperature = explore_scales(model, n=6, columns=3)
    before = temperature.scene.panels[0].layers[0].values
    temperature.set(T=1.1)
    assert temperature.error is None and "1.10" in temperature.scene.panels[0].title
    assert not np.array_equal(before, temperature.scene.panels[0].layers[0].values)
    layers = scrub_image_layers(model, torch.randn(6, 64), columns=3)
    assert layers.scene.panels[0].title.startswith("after layer 4 of 4: at 4 × 4, step 2")
    layers.set(k=0)
    assert layers.scene.panels[0].layers[0].role == "base" and layers.error is None
    assert len(layers.canvas.frame) < 100_000


def test_a_conditional_flow_has_pictures_at_one_condition() -> None:
    flow, z = shaken(context_dim=3), torch.randn(6, 64)
    assert scale_names(flow.given([1.0, 0.0, 0.0])) == ["coarse", "fine"]
    seen = []
    for context in ([1.0, 0.0, 0.0], [0.0, 1.0, 0.0]):
        model = PixelFlow(flow.given(context), 17).eval()
        with torch.no_grad():
            x = flow.transform(z, torch.tensor(context))[0]
            expected = model.logit(x)[0].clamp(0.0, 1.0)
        assert torch.allclose(snapshot(model, z), expected, atol=1e-5)
        layers = scrub_image_layers(model, z, columns=3)
        assert layers.scene.panels[0].title.startswith("after layer 4 of 4: at 4 × 4, step 2")
        shown = layers.scene.panels[0].layers[0].values
        assert np.allclose(shown / (1 + shown), np.nan_to_num(mosaic(expected, 3), nan=0.13)[::-1], atol=4e-3)
        temperature = explore_scales(model, n=6, columns=3)
        temperature.set(T=1.1, draw=2)
        assert temperature.error is None
        seen.append(shown)
    assert not np.allclose(*seen)


def test_a_still_picture_has_words_beside_its_rows() -> None:
    picture = show_images({"a": torch.rand(3, 1, 8, 8), "b": torch.rand(2, 1, 8, 8)}, "two rows")
    assert repr(picture) == "Picture: two rows" and picture.png()[:4] == b"\x89PNG"


def test_a_crisp_picture_keeps_the_order_of_brightness() -> None:
    levels = np.arange(256, dtype=np.uint8)
    bands = banded(levels)
    assert bands.dtype == np.uint8 and (np.diff(bands.astype(int)) >= 0).all()
    assert np.abs(bands.astype(int) - levels).max() <= BAND and bands[0] == 0 and bands[-1] > 240
