"""Explorers of image models: the width of pixels' noise, temperature and scales, and the layers between them."""

from __future__ import annotations

import math
from typing import Any

import torch
from torch import Tensor

from flowlib.pixels.path import image_path
from flowlib.pixels.pixel_flow import PixelFlow
from flowlib.viz.chapters.mosaics import image_panel, redraw, scale_names, to_unit
from flowlib.viz.engine.controls import Choice, Slider
from flowlib.viz.engine.evaluate import evaluating
from flowlib.viz.engine.explorer import Explorer
from flowlib.viz.engine.scene import Area, Dots, Label, Lines, Panel, Scene

NOISE_POINTS = 16  # of the noise in each cell, for averages
SHARPEST, BLUNTEST = -3.0, 0.0  # log₁₀ of the width of a spike
BITS = (-6.0, 9.0)
DRAWS = 20


class Spikes:
    """Whole numbers k with probabilities P(k), spread by noise of width w; the model: a bell of width σ for each k.

    p(v) = Σ_k P(k) N(v; k + w/2, σ²), and the score is E [−log₂ p(k + w u)] with u uniform on [0, 1).
    """

    def __init__(self, shares: Tensor) -> None:
        shares = torch.as_tensor(shares, dtype=torch.float64)
        if shares.dim() != 1 or len(shares) < 2 or (shares < 0).any() or abs(float(shares.sum()) - 1) > 1e-4:
            raise ValueError("bin_width expects the shares of the values 0, 1, ..., numbers that add up to 1.")
        self.shares, self.values = shares, torch.arange(len(shares), dtype=torch.float64)
        self.entropy = float(-torch.xlogy(shares, shares).sum() / math.log(2.0))
        self.u = (torch.arange(NOISE_POINTS, dtype=torch.float64) + 0.5) / NOISE_POINTS

    def log_density(self, v: Tensor, width: float, sigma: Tensor | float) -> Tensor:
        """log p(v), v (...), with one σ or a tensor of them that broadcasts against v (...)."""
        sigma = torch.as_tensor(sigma, dtype=torch.float64).unsqueeze(-1)
        t = (v.unsqueeze(-1) - self.values - width / 2) / sigma  # (..., L)
        return (self.shares.log() - 0.5 * t.square() - torch.log(sigma)).logsumexp(-1) - 0.5 * math.log(2.0 * math.pi)

    def bits(self, width: float, sigma: Tensor | float) -> Tensor:
        """The score for each σ: (...) -> (...)."""
        sigma = torch.as_tensor(sigma, dtype=torch.float64)
        v = self.values[:, None] + width * self.u  # (L, U)
        log_p = self.log_density(v, width, sigma[..., None, None]).mean(-1)  # (..., L)
        return -(self.shares * log_p).sum(-1) / math.log(2.0)


def bin_width(shares: Tensor) -> Explorer:
    """A density fitted to whole numbers: how sharp its spikes are, how wide the noise is, and what the score says.

    Without noise (w = 0) the score falls without end as the spikes get sharper; with noise of width w it stays above
    H(P) + log₂ w, and only w = 1 makes this the entropy of the pixels.

    Args:
        shares: (L,) of the values 0, ..., L − 1 among the data.
    """
    spikes = Spikes(shares)
    top = len(spikes.shares) - 1
    sigmas = torch.linspace(SHARPEST, BLUNTEST, 61, dtype=torch.float64)
    window = (-0.8, min(top, 5) + 1.3)
    near = torch.linspace(-4.0, 4.0, 33, dtype=torch.float64)  # of a spike, in its own widths

    def draw(values: dict[str, Any], fine: bool) -> Scene:
        width, log_sigma = values["w"], values["sharp"]
        sigma = 10.0**log_sigma
        at = [spikes.values[:, None] + width / 2 + sigma * near, torch.linspace(*window, 241, dtype=torch.float64)]
        v = torch.cat([part.flatten() for part in at]).sort().values
        p = spikes.log_density(v, width, sigma).exp().clamp(max=1e3)
        cells = [
            Area([k, k + width], 0.0, spikes.shares[k] / width, "base", 0.5) for k in range(top + 1) if width > 0.01
        ]
        if width <= 0.01:
            stems = [[[k, 0.0], [k, 0.78]] for k in range(top + 1)]
            cells = [Lines(stems, color="base", width=2.0, dash=True)]
        left = Panel(
            window, (0.0, 0.8), "the data (amber) and a density (blue)",
            [*cells, Area(v, 0.0, p, alpha=0.55), Lines(torch.stack([v, p], -1)[None], color="data", width=1.4)],
            equal=False, xlabel="value of a pixel, with noise of width w", height=260,
        )  # fmt: skip
        now, curve = float(spikes.bits(width, sigma)), spikes.bits(width, 10.0**sigmas)
        marks = [
            Lines(torch.stack([sigmas, curve.clamp(-20, 40)], -1)[None], color="data", width=2.0),
            Lines([[[SHARPEST, spikes.entropy], [BLUNTEST, spikes.entropy]]], color="light", dash=True, width=1.2),
            Label(-1.55, spikes.entropy - 0.75, "entropy of the pixels", "light", size=11),
        ]
        if 0.01 < width < 0.99 and (floor := spikes.entropy + math.log2(width)) > BITS[0]:
            marks.append(Lines([[[SHARPEST, floor], [BLUNTEST, floor]]], color="base", dash=True, width=1.2))
        marks.append(Dots([[log_sigma, min(max(now, BITS[0] + 0.2), BITS[1] - 0.2)]], "light", size=5.0, alpha=1.0))
        right = Panel(
            (SHARPEST, BLUNTEST), BITS, "bits a pixel that it seems to need", marks,
            equal=False, xlabel="lg σ, that is log₁₀ of the width of the spikes", height=260,
        )  # fmt: skip
        honest = now >= spikes.entropy - 1e-6
        words = "possible: not below the entropy" if honest else "impossible: below the entropy of the pixels"
        return Scene([left, right], [("bits a pixel", f"{now:.2f}".replace("-", "−"))], light=(honest, words))

    controls = {
        "sharp": Slider(-0.6, SHARPEST, BLUNTEST, 0.05, symbol="lg σ"),
        "w": Slider(0.0, 0.0, 1.0, 0.05),
    }
    alt = (
        "Whole numbers and a density of spikes on them: without noise its score has no floor as the spikes get sharper"
    )
    return Explorer(draw, controls, alt=alt)


def explore_scales(model: PixelFlow, n: int = 16, columns: int = 4, seed: int = 0) -> Explorer:
    """Samples at a temperature, with the latents of one scale drawn anew.

    While the hand moves and the model is dear, only the first row is drawn.

    Args:
        model: with a multi-scale flow and one channel; if the flow is conditional, `PixelFlow(flow.given(c), levels)`.
        n, columns: how many samples, in rows of how many.
        seed: of the noise.
    """
    flow, names = model.flow, scale_names(model.flow)
    dim = flow.base.event_shape.numel()
    generator = torch.Generator().manual_seed(seed)
    noise = torch.randn(DRAWS + 1, n, dim, generator=generator)  # draw 0 is where all start
    known: dict[tuple, Tensor] = {}

    def images(temperature: float, draws: int, which: str, count: int) -> Tensor:
        key = round(temperature, 4), draws, which if draws else "all"
        if key in known:
            return known[key]
        z = redraw(flow, noise[0, :count], noise[draws, :count], which)
        made = to_unit(model, flow.transform(temperature * z)[0])
        if count == n:
            known[key] = made
        return made

    def draw(values: dict[str, Any], fine: bool) -> Scene:
        temperature, draws, which = values["T"], values["draw"], values["redraw"]
        made = images(temperature, draws, which, n if fine else columns)
        blank = made.new_zeros(n - len(made), *made.shape[1:])
        what = f"{which} latents of draw {draws}" if draws else "the first draw"
        title = f"temperature {temperature:.2f}, {what}"
        numbers = [
            ("length of the noise", f"{temperature * math.sqrt(dim):.1f}"),
            ("in training", f"{math.sqrt(dim):.1f}"),
        ]
        return Scene([image_panel(torch.cat([made, blank]), columns, title)], numbers)

    controls = {
        "T": Slider(0.7, 0.0, 1.3, 0.05),
        "redraw": Choice(names[-1], [*names, "all"], symbol=" "),
        "draw": Slider(0, 0, DRAWS),
    }
    alt = f"{n} samples of an image flow at a temperature, the latents of one scale drawn anew"
    return Explorer(draw, controls, main="T", alt=alt)


def scrub_image_layers(
    model: PixelFlow, z: Tensor, columns: int = 4, alt: str = "images on their way from noise to data, layer by layer"
) -> Explorer:
    """A slider over the layers of an image flow: noise z (n, D) on its way to images.

    All states are computed once, so that the slider is free.
    """
    with evaluating():
        path = [(name, to_unit(model, x)) for name, x in image_path(model.flow, z)]
    last = len(path) - 1

    def draw(values: dict[str, Any], fine: bool) -> Scene:
        k = values["k"]
        name, images = path[k]
        title = f"after layer {k} of {last}: {name}" if k else "the noise, before the first layer"
        return Scene([image_panel(images, columns, title, "data" if k else "base")])

    return Explorer(draw, {"k": Slider(last, 0, last)}, alt=alt)
