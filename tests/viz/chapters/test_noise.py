"""The explorers of notebook 11b: the curves follow the sliders."""

import torch

from flowlib.datasets import Camera
from flowlib.models import noise_flow
from flowlib.models.images import glow
from flowlib.pixels import PixelFlow
from flowlib.viz import explore_black, explore_noise


def curve(explorer, color: str):
    return next(layer for layer in explorer.scene.panels[0].layers if getattr(layer, "color", "") == color).points


def test_the_truth_stays_and_the_flow_follows_the_level() -> None:
    camera = Camera((1, 4, 4))
    explorer = explore_noise(noise_flow(camera.shape), camera, patches=40)
    truth, flow = curve(explorer, "light"), curve(explorer, "data")
    explorer.set(s=255, iso=3200)
    assert torch.allclose(curve(explorer, "light"), truth, equal_nan=True)
    assert not torch.allclose(curve(explorer, "data"), flow, equal_nan=True)  # an untrained flow knows no level
    numbers = dict(explorer.scene.numbers)
    assert numbers["ISO"] == "3,200" and numbers["σ in grey levels"] == f"{camera.noise_level(255, 3200).item():.2f}"
    assert 0.4 < float(numbers["clipped pixels"].rstrip("%")) / 100 < 0.6


def test_black_is_cheap_for_the_file_and_the_images_fade() -> None:
    torch.manual_seed(0)
    model = PixelFlow(glow((1, 4, 4), scales=2, steps=1, width=4), 256).eval()
    rough = torch.randint(256, (2, 3, 1, 4, 4)).to(torch.uint8)
    state = torch.get_rng_state()
    explorer = explore_black(model, {"one": rough[0], "two": rough[1]}, columns=3)
    assert torch.equal(torch.get_rng_state(), state)
    start = dict(explorer.scene.numbers)
    explorer.set(black=1.0)
    assert float(dict(explorer.scene.numbers)["PNG"]) < 0.8 * float(start["PNG"])
    assert explorer.scene.panels[0].layers[0].values.max() < 0.2  # the walls between images alone
    explorer.set(black=0.0, images="two")
    assert explorer.scene.panels[0].title == "two" and dict(explorer.scene.numbers) != start
