"""Images as layers and as still pictures.

An image is a tensor (1, H, W) of numbers from 0 to 1, drawn in the colours of a density: night is 0, pale blue is 1.
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import torch
from torch import Tensor

from flowlib.core import Flow
from flowlib.pixels.latents import scales
from flowlib.pixels.pixel_flow import PixelFlow
from flowlib.viz.engine.paint import Page
from flowlib.viz.engine.picture import Picture
from flowlib.viz.engine.scene import Heat, Panel, array
from flowlib.viz.engine.theme import INK, TABLES, rgb

WALL, FAINT = 0.13, 110  # brightness of the lines between images of a panel; opacity of those of a still picture
TOP = 0.996  # 1 would be infinite in the tone curve p / (p + 1)
ACROSS = 170  # a mosaic of fewer pixels is drawn with larger ones, so that their edges stay sharp
WIDE, LABEL, TILE, GAP = 1080, 150, 116, 4  # px: a still picture, the words beside its rows, an image, between rows
MOST, LINES = 8, 6  # images side by side: more would be too small to be seen, unless the page became too long


def tiling(columns: int, wide: int) -> tuple[int, int]:
    """How many cells of a mosaic a pixel is wide, and how many a wall is."""
    zoom = max(1, round(ACROSS / (columns * wide)))
    return zoom, max(1, round(zoom * wide / 16))


def mosaic(images: Tensor, columns: int) -> np.ndarray:
    """Images (n, 1, H, W) side by side in rows of `columns`: 0 to 1, nan between them, −1 where there is none."""
    images = array(images, "images", None, 1, None, None).clip(0.0, 1.0)[:, 0]
    n, high, wide = images.shape
    zoom, wall = tiling(columns, wide)
    images = images.repeat(zoom, -2).repeat(zoom, -1)
    high, wide, rows = zoom * high, zoom * wide, -(-n // columns)
    out = np.full((rows * (high + wall) - wall, columns * (wide + wall) - wall), -1.0, dtype=np.float32)
    for i, image in enumerate(images):
        top, left = i // columns * (high + wall), i % columns * (wide + wall)
        right, below = wall * (i + 1 < n), wall * (i + columns < n)
        out[top : top + high + below, left : left + wide + right] = np.nan
        out[top : top + high, left : left + wide] = image
    return out


def tile_corners(images: Tensor, columns: int) -> tuple[Tensor, int]:
    """Where the upper left corners of images (n, 1, H, W) stand in their panel: (n, 2), and how wide a pixel is."""
    n, _, high, wide = images.shape
    zoom, wall = tiling(columns, wide)
    i = torch.arange(n)
    top = -(-n // columns) * (zoom * high + wall) - wall
    return torch.stack([i % columns * (zoom * wide + wall), top - i // columns * (zoom * high + wall)], -1), zoom


def image_panel(images: Tensor, columns: int, title: str = "", role: str = "data") -> Panel:
    """The mosaic as a panel without numbers at its edges."""
    values = np.nan_to_num(mosaic(images, columns), nan=WALL).clip(0.0, TOP)[::-1]  # a Heat's rows run upwards
    heat = Heat(values / (1.0 - values), role, scale=1.0)
    limits = (0.0, float(values.shape[1])), (0.0, float(values.shape[0]))
    return Panel(*limits, title, [heat], xticks=False, yticks=False)


def show_images(rows: Mapping[str, Tensor] | Tensor, text: str, columns: int | None = None) -> Picture:
    """Images (n, 1, H, W) in [0, 1] as a still picture: in rows with words beside them, or all in rows of `columns`,
    with at most eight side by side as long as the picture does not become too long.

    >>> show_images({"noise": torch.rand(5, 1, 8, 8)}, "five images of noise")
    Picture: five images of noise
    """
    named = dict(rows) if isinstance(rows, Mapping) else {"": rows}
    longest = max(len(images) for images in named.values())
    lines = max(1, min(-(-longest // MOST), LINES // len(named)))
    columns = columns or -(-longest // lines)
    mosaics = {name: mosaic(images, columns) for name, images in named.items()}
    left = LABEL if any(named) else 0
    wide = min(WIDE - left, columns * TILE)
    highs = [wide * values.shape[0] / values.shape[1] for values in mosaics.values()]
    page = Page(left + wide, round(sum(highs) + GAP * (len(highs) - 1)))
    y = 0.0
    for (name, values), high in zip(mosaics.items(), highs, strict=True):
        ax = page.axes(left, y, wide, high)
        colours = TABLES["data"][(255 * np.nan_to_num(values.clip(0.0))).astype(np.uint8)]
        colours[np.isnan(values)] = rgb(INK)
        alpha = np.where(np.isnan(values), FAINT, 255 * (values >= 0))  # nothing where there is no image
        ax.imshow(np.dstack([colours, alpha]).astype(np.uint8), interpolation="nearest", aspect="auto", origin="upper")
        ax.set_axis_off()
        lines = name.split("\n")
        for i, line in enumerate(lines):
            page.write(left - 12, y + high / 2 - 10 + 16 * (i - (len(lines) - 1) / 2), line, ha="right", size=9)
        y += high + GAP
    return Picture(page.figure, text)


def to_unit(model: PixelFlow, s: Tensor) -> Tensor:
    """Points of the flow, on the line, as what is seen of them: numbers from 0 to 1."""
    return model.logit(s)[0].clamp(0.0, 1.0)


def scale_names(flow: Flow) -> list[str]:
    """The scales of a flow in words, coarse first."""
    count = len(scales(flow))
    return {1: ["all"], 2: ["coarse", "fine"], 3: ["coarse", "middle", "fine"]}.get(
        count, [f"scale {k + 1}" for k in range(count)]
    )


def redraw(flow: Flow, z: Tensor, fresh: Tensor, which: str) -> Tensor:
    """z (n, D) with the latents of one scale, or all of them, taken from `fresh` (n, D)."""
    if which == "all":
        return fresh
    names = scale_names(flow)
    if which not in names:
        raise ValueError(f"redraw: which is {which!r}; expected 'all' or one of {', '.join(map(repr, names))}.")
    part = scales(flow)[names.index(which)]
    z = z.clone()
    z[..., part] = fresh[..., part]
    return z


@torch.no_grad()
def snapshot(model: PixelFlow, z: Tensor) -> Tensor:
    """Noise z (n, D) as images (n, C, H, W) in [0, 1], by the model as it now is; it goes on training afterwards."""
    training = model.training
    model.eval()
    images = to_unit(model, model.flow.transform(z)[0])
    model.train(training)
    return images
