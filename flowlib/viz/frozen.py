"""The picture of an explorer for readers without a kernel: an animated PNG that moves its main slider there and back.

Few colours, no smoothing of lines and nine distinct pictures keep it small; the same values give the same bytes.
"""
from __future__ import annotations

import io
from typing import TYPE_CHECKING

import numpy as np
from PIL import Image

from flowlib.viz.paint import default_width, paint, paint_foot, to_rgba
from flowlib.viz.scene import Scene
from flowlib.viz.theme import INK, rgb

if TYPE_CHECKING:
    from flowlib.viz.explorer import Explorer

FOOTER = "a frozen picture: run the notebook, then move the sliders"
LIMIT = 130_000          # bytes
COUNT = 9                # distinct pictures
INKS = 8                 # palette entries for grey text on a transparent page
PAUSE, STEP = 700, 130   # ms


def positions(explorer: Explorer, count: int) -> list[float]:
    """`count` values of the main slider, evenly spread, with the present one among them."""
    widget = explorer.sliders[explorer.main]
    grid = widget.min + np.round(np.linspace(0, widget.max - widget.min, count) / widget.step) * widget.step
    grid[np.abs(grid - widget.value).argmin()] = widget.value
    return sorted({type(widget.value)(round(v, 10)) for v in grid.tolist()})


def frozen_png(explorer: Explorer) -> bytes:
    """The animation of an explorer over its main slider, starting at the present values; without a slider, one picture."""
    name = explorer.main
    values = positions(explorer, COUNT) if name else [None]
    now = values.index(explorer.sliders[name].value) if name else 0
    last = len(values) - 1
    walk = [*range(now, last), *range(last, 0, -1), *range(0, now)] or [0]  # up to the end, down to the other, back to the start
    scenes = [explorer.scene_at(**({name: v} if name else {})) for v in values]
    stages = [(_text(v), scene) for v, scene in zip(values, scenes, strict=True)][::2] if explorer.stages and name else []
    width = default_width(scenes[0])
    foot = to_rgba(paint_foot(width, stages, FOOTER))
    pictures = [np.concatenate([_picture(explorer, v, scene, width), foot]) for v, scene in zip(values, scenes, strict=True)]
    for colours in (64, 40, 24):
        data = encode(pictures, walk, colours)
        if len(data) <= LIMIT:
            break
    return data


def _picture(explorer: Explorer, value: float | None, scene: Scene, width: int) -> np.ndarray:
    """One picture with the main slider at `value`, (H, W, 4)."""
    slider = None
    if value is not None:
        widget = explorer.sliders[explorer.main]
        slider = (widget.description, (value - widget.min) / (widget.max - widget.min), _text(value))
    return to_rgba(paint(scene, width, slider, crisp=True))


def _text(value: float) -> str:
    return f"{value:g}".replace("-", "−")


def palette_of(pictures: list[np.ndarray], colours: int) -> np.ndarray:
    """The colours that serve all pictures, (colours, 3): a median cut over the colours that occur, each counted once."""
    seen = [np.unique((p[..., :3] >> 3)[p[..., 3] == 255].reshape(-1, 3) @ np.array([1024, 32, 1])) for p in pictures]
    codes = np.unique(np.concatenate(seen))
    exact = np.stack([codes >> 10, codes >> 5 & 31, codes & 31], 1).astype(np.uint8) * 8 + 4
    cut = Image.fromarray(exact[None]).quantize(colours, Image.Quantize.MEDIANCUT, dither=Image.Dither.NONE).getpalette()
    return np.array(cut, dtype=np.float32).reshape(-1, 3)[:colours]


def encode(pictures: list[np.ndarray], walk: list[int], colours: int) -> bytes:
    """RGBA pictures (H, W, 4), shown in the order of `walk`, as one animated PNG with a palette."""
    palette = palette_of(pictures, colours)
    grid = np.stack(np.meshgrid(*[np.arange(32) * 8 + 4.0] * 3, indexing="ij"), -1).reshape(-1, 3)
    nearest = ((grid[:, None] - palette) ** 2).sum(-1).argmin(1).astype(np.uint8) + INKS  # every 5-bit colour -> entry
    frames = []
    for p in pictures:
        index = nearest[(p[..., :3] >> 3).astype(np.int32) @ np.array([1024, 32, 1])]
        text = p[..., 3] < 255
        index[text] = (p[..., 3][text].astype(np.int32) * (INKS - 1) + 127) // 255
        frames.append(index)
    entries = np.concatenate([np.tile(rgb(INK), (INKS, 1)), palette]).astype(np.uint8)
    alpha = bytes([*np.linspace(0, 255, INKS).astype(int), *[255] * len(palette)])
    images = []
    for i in walk:
        image = Image.fromarray(frames[i], "P")
        image.putpalette(entries.tobytes())
        images.append(image)
    out = io.BytesIO()
    times = [PAUSE] + [STEP] * (len(walk) - 1)
    images[0].save(out, "PNG", save_all=len(walk) > 1, append_images=images[1:], duration=times, loop=0, transparency=alpha, disposal=0, blend=0, optimize=True)
    return out.getvalue()
