"""The explorers of latents: what their sliders change, and what stays."""

import numpy as np
import pytest
import torch

from flowlib.models.images import glow, transformer_image
from flowlib.pixels.latents import to_latent
from flowlib.pixels.pixel_flow import PixelFlow
from flowlib.viz.chapters.latent_explorers import explore_attributes, explore_interpolation, scrub_patches
from flowlib.viz.chapters.mosaics import mosaic, snapshot, tile_corners, tiling
from flowlib.viz.engine.scene import Polygon


def shaken(flow) -> PixelFlow:
    """A model whose networks have something to say."""
    with torch.no_grad():
        for p in flow.parameters():
            p.add_(0.05 * torch.randn_like(p))
    return PixelFlow(flow, 17).eval()


@pytest.fixture
def model() -> PixelFlow:
    torch.manual_seed(0)
    return shaken(glow((1, 8, 8), scales=2, steps=2, width=4))


def values(explorer, panel: int = 0) -> np.ndarray:
    return explorer.scene.panels[panel].layers[0].values


def test_a_walk_begins_and_ends_at_its_images(model: PixelFlow) -> None:
    a, b = torch.randint(17, [2, 3, 1, 8, 8], dtype=torch.uint8)
    walk = explore_interpolation(model, a, b, columns=2)
    middle = [values(walk, panel) for panel in range(3)]
    for t, end in ((0.0, a), (1.0, b)):
        walk.set(t=t)
        pixels, line, arc = (values(walk, panel) / (1 + values(walk, panel)) for panel in range(3))
        expected = np.nan_to_num(mosaic(end / 16, 2), nan=0.13).clip(0.0, 0.996)[::-1]
        assert np.allclose(pixels, expected, atol=1e-3)
        assert np.allclose(line, arc, atol=1e-3) and np.abs(line - expected).max() < 1 / 16  # anywhere in its cell
    assert walk.error is None and not any(np.array_equal(m, values(walk, k)) for k, m in enumerate(middle))
    assert dict(walk.scene.numbers)["√D"] == "8.0"


def test_attributes_move_images_and_are_measured(model: PixelFlow) -> None:
    pixels = torch.randint(17, [4, 1, 8, 8], dtype=torch.uint8)
    up, side = torch.randn(2, 64)
    asked = []

    def truth(up: float, side: float) -> torch.Tensor:
        asked.append((up, side))
        return pixels / 16

    moved = explore_attributes(model, pixels, {"up": up, "side": side}, columns=2, truth=truth)
    moved.set(up=1.0, side=-0.5)
    assert asked[-1] == (1.0, -0.5) and moved.error is None
    with torch.no_grad():
        images = snapshot(model, to_latent(model, pixels) + up - 0.5 * side)
    assert np.allclose(values(moved) / (1 + values(moved)), np.nan_to_num(mosaic(images, 2), nan=0.13)[::-1], atol=4e-3)
    assert [panel.layers[0].role for panel in moved.scene.panels] == ["data", "base"]
    assert [name for name, _ in moved.scene.numbers] == ["flow: strokes", "slant", "truth: strokes", "slant"]


@pytest.mark.parametrize("layers", [1, 2])
def test_patches_come_one_after_the_other_and_stay(layers: int) -> None:
    torch.manual_seed(0)
    model = shaken(transformer_image((1, 8, 8), patch=4, layers=layers, width=8, heads=2, depth=1, hidden=(8,)))
    z = torch.randn(3, 64)
    scrub = scrub_patches(model, z, columns=2)
    whole = snapshot(model, z)
    order = [0, 1, 2, 3] if layers == 1 else [3, 2, 1, 0]
    for k in range(5):
        scrub.set(k=k)
        expected = torch.full_like(whole, 0.22)
        for n in order[:k]:
            rows, places = slice(4 * (n // 2), 4 * (n // 2) + 4), slice(4 * (n % 2), 4 * (n % 2) + 4)
            expected[..., rows, places] = whole[..., rows, places]
        shown = values(scrub) / (1 + values(scrub))
        assert np.allclose(shown, np.nan_to_num(mosaic(expected, 2), nan=0.13).clip(0, 0.996)[::-1], atol=1e-3)
        assert sum(isinstance(layer, Polygon) for layer in scrub.scene.panels[0].layers) == (3 if k else 0)
    assert scrub.error is None


def test_patches_of_a_conditional_flow_come_at_one_condition() -> None:
    torch.manual_seed(0)
    options = {"patch": 4, "layers": 1, "width": 8, "heads": 2, "depth": 1, "hidden": (8,), "context_dim": 2}
    flow, z = shaken(transformer_image((1, 8, 8), **options)).flow, torch.randn(3, 64)
    first, second = (
        values(scrub_patches(PixelFlow(flow.given(context), 17).eval(), z)) for context in ([1.0, 0.0], [0.0, 1.0])
    )
    assert first.shape == second.shape and not np.array_equal(first, second)


def test_corners_are_where_the_mosaic_has_them() -> None:
    images = torch.arange(1, 4)[:, None, None, None].expand(3, 1, 9, 7) / 4
    zoom, _ = tiling(2, 7)
    corners, same = tile_corners(images, 2)
    shown = mosaic(images, 2)[::-1]
    for value, (left, top) in zip((0.25, 0.5, 0.75), corners.tolist(), strict=True):
        assert same == zoom and np.all(shown[top - 9 * zoom : top, left : left + 7 * zoom] == value)


def test_a_flow_without_patches_is_told_so(model: PixelFlow) -> None:
    with pytest.raises(ValueError, match="this flow makes no patches"):
        scrub_patches(model, torch.randn(2, 64))
