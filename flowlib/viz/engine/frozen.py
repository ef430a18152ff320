"""Pictures for readers without a kernel: scenes as one animated PNG that moves a slider there and back.

Few colours, no smoothing of lines and nine distinct pictures keep it small; the same values give the same bytes.
"""

from __future__ import annotations

import io
from collections.abc import Sequence

import numpy as np
from PIL import Image

from flowlib.viz.engine.paint import default_width, paint, paint_foot, to_rgba
from flowlib.viz.engine.scene import Scene
from flowlib.viz.engine.theme import COLOURS, INK, TABLES, rgb

FOOTER = "a frozen picture: run the notebook, then move the sliders"
LIMIT = 130_000  # bytes
WIDTH = 410  # px, of a single panel
COUNT = 9  # distinct pictures
TRIES = ((1, 96), (1, 64), (1, 16), (2, 64), (2, 16))  # every picture in so many colours if it fits, else every second
NAMED = np.array([rgb(code) for code in COLOURS.values()], dtype=np.uint8)
KEPT = np.concatenate([TABLES["base"][::32], TABLES["data"][::32], TABLES["diverging"], NAMED])  # always in the palette
SMOOTH = np.concatenate([TABLES["base"][::5], TABLES["data"][::5]])  # for one picture: densities without steps
INKS = 8  # palette entries for grey text on a transparent page
PAUSE, STEP = 700, 130  # ms


def frozen_png(
    scenes: Sequence[Scene],
    sliders: Sequence[tuple[str, float, str]] = (),
    now: int = 0,
    stages: bool = False,
) -> bytes:
    """Scenes as an animation that starts at one of them, goes to the last, down to the first and back to its start.

    Args:
        scenes: one for each position of a slider, from its low end to its high one; or a single one.
        sliders: the slider below each scene, as (name, position in 0..1, text).
        now: the index of the scene to start at.
        stages: draw every second scene, small, below the picture, for print.
    """
    width = WIDTH if len(scenes[0].panels) == 1 else default_width(scenes[0])
    small = [(text, scene) for (_, _, text), scene in zip(sliders, scenes, strict=True)][::2] if stages else []
    foot = to_rgba(paint_foot(width, small, FOOTER))
    pairs = zip(scenes, sliders or [None] * len(scenes), strict=True)
    pictures = [np.concatenate([to_rgba(paint(scene, width, slider, crisp=True)), foot]) for scene, slider in pairs]
    seen, ranked = colours_of(pictures)
    for step, colours in TRIES:
        walk = there_and_back(now, len(pictures), step)
        kept = np.unique(np.concatenate([ranked[:colours], codes_of(KEPT)]))  # the rest is only smoothing
        data = with_palette(pictures, walk, seen, rgb_of(kept))
        if len(data) <= LIMIT:
            break
    return data


def there_and_back(now: int, count: int, step: int) -> list[int]:
    """Indices from `now` up to the end, down to the other end and back to the start, every `step`-th of them."""
    last = count - 1
    return ([*range(now, last), *range(last, 0, -1), *range(now)] or [0])[::step]


def codes_of(picture: np.ndarray) -> np.ndarray:
    """Each pixel's colour as one integer, (H, W)."""
    return picture[..., :3].astype(np.int32) @ np.array([65536, 256, 1])


def colours_of(pictures: list[np.ndarray]) -> tuple[np.ndarray, np.ndarray]:
    """All opaque colours as integers: by value, and by how often they are seen."""
    seen, counts = np.unique(np.concatenate([codes_of(p)[p[..., 3] == 255] for p in pictures]), return_counts=True)
    return seen, seen[np.lexsort((seen, -counts))]  # equal counts by value: the same on every run


def rgb_of(codes: np.ndarray) -> np.ndarray:
    return np.stack([codes >> 16, codes >> 8 & 255, codes & 255], -1)


def fits_palette(picture: np.ndarray) -> bool:
    """Whether all that is translucent in an RGBA picture (H, W, 4) is the grey of text, as `encode` takes it to be."""
    translucent = (picture[..., 3] > 0) & (picture[..., 3] < 255)
    return bool((np.abs(picture[translucent][:, :3].astype(int) - np.array(rgb(INK))) < 24).all())


def encode_still(picture: np.ndarray) -> bytes:
    """One RGBA picture (H, W, 4) as a PNG whose palette follows its own colours, smooth to the eye."""
    opaque = picture[picture[..., 3] == 255]  # (pixels, 4)
    free = 256 - INKS - len(SMOOTH)
    quantized = Image.fromarray(opaque[None, :, :3]).quantize(free, method=Image.Quantize.MEDIANCUT, kmeans=2)
    colours = np.concatenate([SMOOTH, np.array(quantized.getpalette()).reshape(-1, 3)[:free]])
    return with_palette([picture], [0], np.unique(codes_of(opaque)), colours)


def with_palette(pictures: list[np.ndarray], walk: list[int], seen: np.ndarray, colours: np.ndarray) -> bytes:
    """The pictures as PNG, each of the `seen` colours replaced by the nearest of `colours` (n, 3).

    The first INKS entries are grey text of growing opacity on the transparent page, the others the pictures' colours.
    """
    table = colours.astype(np.float32)
    nearest = np.concatenate(
        [
            ((rgb_of(part)[:, None] - table) ** 2).sum(-1).argmin(1)
            for part in np.array_split(seen, len(seen) // 2000 + 1)
        ]
    ).astype(np.uint8)
    entries = np.concatenate([np.tile(rgb(INK), (INKS, 1)), table]).astype(np.uint8).tobytes()
    alpha = bytes(np.concatenate([np.linspace(0, 255, INKS), np.full(len(table), 255)]).astype(np.uint8))
    images = []
    for picture in pictures:
        index = (picture[..., 3].astype(np.int32) * (INKS - 1) + 127) // 255
        solid = picture[..., 3] == 255
        index[solid] = INKS + nearest[np.searchsorted(seen, codes_of(picture)[solid])]
        image = Image.fromarray(index.astype(np.uint8))
        image.putpalette(entries)
        image.info["transparency"] = alpha
        images.append(image)
    out = io.BytesIO()
    images[walk[0]].save(
        out,
        "PNG",
        save_all=len(walk) > 1,
        append_images=[images[i] for i in walk[1:]],
        loop=0,
        duration=[PAUSE] + [STEP] * (len(walk) - 1),
        disposal=0,
        blend=0,
    )
    return out.getvalue()
