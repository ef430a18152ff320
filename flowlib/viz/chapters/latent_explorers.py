"""Explorers of what image models hold in their latents: ways between images, attributes, patch after patch."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from itertools import pairwise
from typing import Any

import torch
from torch import Tensor

from flowlib.pixels.latents import lerp, slant, slerp, thickness, to_latent
from flowlib.pixels.pixel_flow import PixelFlow
from flowlib.transforms.autoregressive import Autoregressive
from flowlib.transforms.rearrange import Patches
from flowlib.viz.chapters.mosaics import image_panel, tile_corners, to_unit
from flowlib.viz.engine.controls import Slider
from flowlib.viz.engine.evaluate import evaluating
from flowlib.viz.engine.explorer import Explorer
from flowlib.viz.engine.scene import Polygon, Scene

UNSEEN = 0.22  # brightness of a patch that is not there yet
REACH = 3.0  # steps of an attribute, either way


def explore_interpolation(model: PixelFlow, a: Tensor, b: Tensor, columns: int = 2, seed: int = 0) -> Explorer:
    """Half-way houses between images: averaged pixels, the straight line of latents, and the arc.

    Args:
        model: an image model of one channel, not conditional.
        a, b: whole-number pixels (n, 1, H, W), where n ways begin and where they end.
        columns: images in a row of each panel.
        seed: of the noise within the cells of the pixels, without which latents are too short.
    """
    generator = torch.Generator().manual_seed(seed)
    with evaluating():
        start, end = (to_latent(model, x, torch.rand(x.shape, generator=generator)) for x in (a, b))
    known: dict[float, tuple[Tensor, ...]] = {}

    def at(t: float) -> tuple[Tensor, ...]:
        if t not in known:
            z = torch.cat([lerp(start, end, t), slerp(start, end, t)])
            made = to_unit(model, model.flow.transform(z)[0]).chunk(2)
            known[t] = (lerp(a / (model.levels - 1), b / (model.levels - 1), t), *made, *z.norm(dim=-1).chunk(2))
        return known[t]

    def draw(values: dict[str, Any], fine: bool) -> Scene:
        pixels, line, arc, short, long = at(round(values["t"], 4))
        panels = [
            image_panel(pixels, columns, "pixels, averaged"),
            image_panel(line, columns, "latents, straight line"),
            image_panel(arc, columns, "latents, along the arc"),
        ]
        lengths = {"length of z on the line": short, "on the arc": long}
        numbers = [(name, f"{length.mean():.1f}") for name, length in lengths.items()]
        return Scene(panels, [*numbers, ("√D", f"{math.sqrt(start.shape[-1]):.1f}")])

    alt = f"{len(a)} ways from one image to another: by averaged pixels, by a straight line of latents, along the arc"
    return Explorer(draw, {"t": Slider(0.5, 0.0, 1.0, 0.05)}, alt=alt)


def explore_attributes(
    model: PixelFlow,
    pixels: Tensor,
    directions: Mapping[str, Tensor],
    columns: int = 5,
    truth: Callable[..., Tensor] | None = None,
) -> Explorer:
    """Images whose latents are moved along directions, one slider each; thickness and slant are measured on them.

    Args:
        model: an image model of one channel, not conditional.
        pixels: whole numbers (n, 1, H, W).
        directions: {name, of at most six letters: step (D,)}.
        columns: images in a row.
        truth: called with the sliders' values by name, gives the images (m, 1, H, W) in [0, 1] that should come out.
    """
    with evaluating():
        z = to_latent(model, pixels)
    known: dict[tuple, Tensor] = {}

    def draw(values: dict[str, Any], fine: bool) -> Scene:
        key = tuple(round(values[name], 4) for name in directions)
        if key not in known:
            moved = z + sum(k * step for k, step in zip(key, directions.values(), strict=True))
            known[key] = to_unit(model, model.flow.transform(moved)[0])
        panels = [image_panel(known[key], columns, "moved in the latent space")]
        shown = {"": known[key]}
        if truth is not None:
            shown = {"flow: ": known[key], "truth: ": truth(**values)}
            panels.append(image_panel(shown["truth: "], columns, "what should come out", "base"))
        numbers = []
        for name, images in shown.items():
            lean = f"{slant(images).mean():.2f}".replace("-", "−")
            numbers += [(f"{name}strokes", f"{thickness(images).mean():.2f} px"), ("slant", lean)]
        return Scene(panels, numbers)

    controls = {name: Slider(0.0, -REACH, REACH, 0.1, symbol=name) for name in directions}
    alt = f"{len(pixels)} images moved along {len(directions)} directions of the latent space"
    alt += " beside what should come out" if truth is not None else ""
    return Explorer(draw, controls, alt=alt)


def scrub_patches(model: PixelFlow, z: Tensor, columns: int = 4) -> Explorer:
    """A slider over the patches of a transformer flow, in the order in which its last layer makes them.

    A patch that was made stays as it is, so all images (n, 1, H, W) are computed once, from z (n, D).
    """
    last, patches = last_layers(model)
    size, order = patches.size, torch.tensor(last.conditioner.order)
    with evaluating():
        images = to_unit(model, model.flow.transform(z)[0])
        turn, _ = patches((order.argsort() // size).float())  # (1, H, W): when the patch of a pixel is made, from 0

    def draw(values: dict[str, Any], fine: bool) -> Scene:
        k = values["k"]
        panel = image_panel(torch.where(turn < k, images, UNSEEN), columns, f"{k} of {patches.tokens} patches")
        if k > 0:
            rows, places = (turn[0] == k - 1).nonzero().aminmax(dim=0)
            panel.layers = [*panel.layers, *frames(images, columns, rows.tolist(), (places + 1).tolist())]
        return Scene([panel])

    alt = f"{len(z)} images, made patch by patch"
    return Explorer(draw, {"k": Slider(patches.tokens // 2, 0, patches.tokens)}, alt=alt)


def frames(images: Tensor, columns: int, first: list[int], end: list[int]) -> list[Polygon]:
    """An amber frame round the pixels first = [row, column] to end (without it) of each image of a panel."""
    corners, zoom = tile_corners(images, columns)
    (top, left), (bottom, right) = first, end
    box = torch.tensor([[left, -top], [right, -top], [right, -bottom], [left, -bottom]]) * zoom
    return [Polygon(box + corner, alpha=0.0, edge="base", width=1.5) for corner in corners]


def last_layers(model: PixelFlow) -> tuple[Autoregressive, Patches]:
    """The layer of a transformer flow that makes the patches, and the one that puts them into the image."""
    for layer, patches in pairwise(model.flow.transform.layers()):
        for part in layer.modules():  # a layer at a fixed context holds the one that is meant
            if isinstance(part, Autoregressive) and isinstance(patches, Patches):
                return part, patches
    raise ValueError("scrub_patches: this flow makes no patches; expected one such as transformer_image((1, 8, 8)).")
