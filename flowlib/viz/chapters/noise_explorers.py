"""Explorers of notebook 11b: a camera's noise beside two models of it, and images that are turned down to black."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

import numpy as np
import torch
from torch import Tensor

from flowlib.core import Flow
from flowlib.datasets import Camera
from flowlib.models import png_bits, surprise
from flowlib.pixels.pixel_flow import PixelFlow
from flowlib.viz.chapters.mosaics import image_panel
from flowlib.viz.engine.controls import Choice, Slider
from flowlib.viz.engine.evaluate import evaluating
from flowlib.viz.engine.explorer import Explorer
from flowlib.viz.engine.scene import Area, Dots, Label, Lines, Panel, Scene

REACH, BINS, LOWEST = 7.0, 57, -4.5  # of a histogram: deviations to each side, bins, log₁₀ of the lowest density
ISO = [100, 200, 400, 800, 1600, 3200]
CONTRAST = 7.0  # deviations of noise from the darkest to the brightest grey of a patch


def explore_noise(flow: Flow, camera: Camera, patches: int = 64, seed: int = 0) -> Explorer:
    """The noise of one grey level at one ISO: histograms of the truth and of a flow, the Gaussian of the noise level
    function, and two stored patches of each, their contrast stretched.

    Args:
        flow: of patches of the camera's shape, with its context.
        camera: the truth.
        patches: how many are drawn for a histogram, 6 or more.
        seed: of the noise. The same white noise serves all values of the sliders.
    """
    draw_noise = torch.Generator().manual_seed(seed)
    z = torch.randn(patches, camera.pixels, generator=draw_noise)
    white = torch.randn(2, *camera.shape, generator=draw_noise)
    middle = camera.context(torch.full((patches, *camera.shape), 128.0), 100.0)
    u = camera.noise(middle, seed) / camera.levels(middle)  # of deviation 1, at every level
    edges = np.linspace(-REACH, REACH, BINS + 1)
    centres = torch.from_numpy((edges[1:] + edges[:-1]) / 2)
    bell = (-0.5 * centres.square() - 0.5 * math.log(2.0 * math.pi)) / math.log(10.0)

    def curve(noise: Tensor) -> Tensor:
        """log₁₀ of the density of noise / σ, nan where a bin is empty: (BINS, 2)."""
        counts = torch.from_numpy(np.histogram(noise.numpy(), edges)[0]).double()
        height = torch.log10(counts / (noise.numel() * (edges[1] - edges[0])))
        return torch.stack([centres, torch.where(counts > 0, height, math.nan)], -1)

    of_truth = curve(u)

    def draw(values: dict[str, Any], fine: bool) -> Scene:
        grey, iso = values["s"], values["iso"]
        clean = torch.full((patches, *camera.shape), float(grey))
        sigma = float(camera.noise_level(grey, iso))
        with evaluating():
            made = flow.generate(z, camera.context(clean, iso)) / sigma
        layers = [
            Area(centres, LOWEST, bell.clamp_min(LOWEST), "base", 0.25),
            Lines(of_truth[None], color="light", width=2.4),
            Lines(curve(made)[None], color="data", width=2.0),
            Label(-REACH + 0.3, -0.35, "truth", "light", align="left"),
            Label(-REACH + 0.3, -0.75, "flow", "data", align="left"),
            Label(-REACH + 0.3, -1.15, "Gaussian", "base", align="left"),
        ]
        left = Panel(
            (-REACH, REACH), (LOWEST, 0.0), "density of one pixel's noise, log₁₀", layers,
            equal=False, xlabel="noise in units of σ", height=280,
        )  # fmt: skip
        noises = torch.stack([u[:2].float(), made[:2], white], 1).flatten(0, 1) * sigma  # (6, 1, H, W)
        stored = camera.expose(clean[:6], noises) - clean[:6]
        right = image_panel(0.5 + stored / (CONTRAST * sigma), 3, "stored: truth, flow, Gaussian")
        clipped = ((clean + u * sigma) != camera.expose(clean, u * sigma)).double().mean().item()
        numbers = [("ISO", f"{iso:,.0f}"), ("σ in grey levels", f"{sigma:.2f}"), ("clipped pixels", f"{clipped:.1%}")]
        return Scene([left, right], numbers)

    controls = {"s": Slider(64, 0, 255, 5), "iso": Choice(800, ISO, symbol="ISO")}
    alt = "histograms of a camera's noise, of a flow's and of a Gaussian, and a patch of each"
    return Explorer(draw, controls, alt=alt)


def explore_black(model: PixelFlow, images: Mapping[str, Tensor], columns: int = 4, seed: int = 0) -> Explorer:
    """Images whose contrast is turned down to black, with the bits a pixel that a model and a PNG file take.

    Args:
        model: of images (1, H, W) in 256 levels.
        images: name -> uint8 (n, 1, H, W).
        columns: images in a row of the picture.
        seed: of the noise of dequantization.
    """
    steps = torch.linspace(0.0, 1.0, 21)
    curves: dict[str, tuple[Tensor, Tensor]] = {}
    for name, pixels in images.items():
        darker = torch.stack([((1.0 - b) * pixels).round().to(torch.uint8) for b in steps])  # (21, n, 1, H, W)
        with evaluating(), torch.random.fork_rng(devices=[]):
            torch.manual_seed(seed)
            by_model = surprise(model.log_prob(darker)).mean(-1) / pixels[0].numel()
        by_png = png_bits(darker.flatten(0, 1)).reshape(len(steps), -1).mean(-1) / pixels[0].numel()
        curves[name] = by_model, by_png
    top = 1.1 * max(float(curve.max()) for pair in curves.values() for curve in pair)
    low = 1.1 * min(0.0, *(float(curve.min()) for pair in curves.values() for curve in pair))

    def draw(values: dict[str, Any], fine: bool) -> Scene:
        which, k = values["images"], round(20 * values["black"])
        by_model, by_png = curves[which]
        shown = (1.0 - float(steps[k])) * images[which].float() / 255.0
        layers = []
        for name, (model_bits, png) in curves.items():
            here = name == which
            for curve, color in ((model_bits, "data"), (png, "base")):
                path = torch.stack([steps, curve], -1)
                layers.append(Lines(path[None], color=color, width=2.2 if here else 1.0, alpha=1.0 if here else 0.4))
        layers += [
            Dots([[float(steps[k]), float(curve[k])]], color, size=5.0, alpha=1.0)
            for curve, color in ((by_model, "data"), (by_png, "base"))
        ]
        layers += [
            Label(0.97, 0.93 * top, "by the flow", "data", align="right"),
            Label(0.97, 0.82 * top, "by a PNG file", "base", align="right"),
        ]
        right = Panel(
            (0.0, 1.0), (low, top), "bits a pixel", layers, equal=False, xlabel="how far to the black", height=280
        )
        numbers = [
            ("flow", f"{by_model[k]:.2f}"),
            ("PNG", f"{by_png[k]:.2f}"),
            ("flow − PNG", f"{by_model[k] - by_png[k]:.2f}"),
        ]
        return Scene([image_panel(shown, columns, which), right], [(a, b.replace("-", "−")) for a, b in numbers])

    names = list(images)
    controls = {"black": Slider(0.0, 0.0, 1.0, 0.05), "images": Choice(names[0], names, symbol=" ")}
    return Explorer(
        draw, controls, alt="images turned down to black, and the bits that a flow and a PNG file take for them"
    )
