"""The matplotlib painter: a Scene as a Figure or as an array. Agg alone and no pyplot, so it may run in any thread."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import matplotlib
import numpy as np
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.collections import LineCollection
from matplotlib.figure import Figure
from matplotlib.image import BboxImage
from matplotlib.lines import Line2D
from matplotlib.transforms import Bbox, TransformedBbox

from flowlib.viz.engine.scene import Panel, Scene
from flowlib.viz.engine.theme import COLOURS, INK, NIGHT, TABLES, hex_of, rgb, style

DPI = 100
LEFT, RIGHT, TOP, BOTTOM, ROW = 36, 10, 24, 22, 20  # px round a panel, and px of one line of text below
BAND = 14  # brightness levels that a crisp picture draws as one
CRISP_DOTS = 80  # samples that a crisp picture draws


@dataclass(frozen=True)
class Brush:
    """How layers are painted: `thin` scales lines and dots; `crisp` uses few flat colours, for small files."""

    thin: float = 1.0
    crisp: bool = False
    order: int = 1

    def line(self, p: dict, color: str | None = None) -> dict:
        """matplotlib's arguments for a line of this layer; a crisp one is mixed with the night, not transparent."""
        alpha, color, width = p["alpha"], color or p["color"], 0.72 * self.thin * p["width"]
        if self.crisp:
            alpha, color, width = 1.0, tuple((alpha * rgb(color) + (1 - alpha) * rgb(NIGHT)) / 255), 0.65 * width
        return {"linewidth": width, "alpha": alpha, "color": color, "zorder": self.order, "antialiased": not self.crisp}


def paint_panel(
    ax: Axes, panel: Panel, font: float = 9.0, decorated: bool = True, thin: float = 1.0, crisp: bool = False
) -> None:
    """Draw a panel into given axes; `decorated` adds title, ticks and labels."""
    ax.set(xlim=panel.xlim, ylim=panel.ylim, facecolor=NIGHT)
    ax.set_aspect("equal" if panel.equal else "auto")
    for spine in ax.spines.values():
        spine.set_visible(False)
    ax.set_xticks([])
    ax.set_yticks([])
    if decorated:
        for axis, marks in zip((ax.xaxis, ax.yaxis), panel.marks(), strict=True):
            axis.set_ticks([at for at, _ in marks], [text for _, text in marks], fontsize=font - 1, color=INK)
        ax.tick_params(length=0, pad=3)
        ax.set_title(panel.title, fontsize=font + 1, color=INK, pad=5)
        ax.set_xlabel(panel.xlabel, fontsize=font, color=INK, labelpad=1)
        ax.set_ylabel(panel.ylabel, fontsize=font, color=INK, labelpad=2)
    for order, layer in enumerate(panel.layers, 1):
        parts = layer.parts()
        PAINTERS[parts["kind"]](ax, parts, panel, Brush(thin, crisp, order))


def _heat(ax, p, panel, brush):
    levels = p["levels"]
    if brush.crisp:
        levels = banded(levels)
    extent = (*(p["xlim"] or panel.xlim), *(p["ylim"] or panel.ylim))
    smooth = "nearest" if brush.crisp else "bilinear"
    ax.imshow(TABLES[p["table"]][levels], extent=extent, origin="lower", interpolation=smooth, zorder=brush.order)
    ax.set(xlim=panel.xlim, ylim=panel.ylim, aspect="equal" if panel.equal else "auto")


def banded(levels: np.ndarray) -> np.ndarray:
    """Each brightness, uint8, as the middle of its band; the darkest is 0, and nothing is brighter than 255."""
    middle = np.minimum(levels // BAND * BAND, 255 - BAND // 2) + BAND // 2
    return middle * (levels >= BAND // 2)


def _lines(ax, p, panel, brush):
    dash, points = (0, (4, 3)) if p["dash"] else "solid", p["points"]
    if p["levels"] is None:
        ax.add_collection(LineCollection(list(points), linestyle=dash, **brush.line(p)), autolim=False)
        return
    pairs = np.stack([points[:, :-1], points[:, 1:]], axis=2)  # (N, V - 1, 2, 2)
    for level in np.unique(p["levels"]):
        look = brush.line(p, hex_of(TABLES["diverging"][level]))
        ax.add_collection(LineCollection(pairs[p["levels"] == level], linestyle=dash, **look), autolim=False)


def _dots(ax, p, panel, brush):
    x, y = p["points"][: CRISP_DOTS if brush.crisp else None].T
    look = brush.line({**p, "width": 0})
    ax.plot(x, y, "o", markersize=1.44 * brush.thin * p["size"], markeredgewidth=0, **look)


def _polygon(ax, p, panel, brush):
    ax.fill(*p["points"].T, facecolor=p["color"], alpha=p["alpha"], linewidth=0, zorder=brush.order)
    if p["edge"]:
        closed = np.concatenate([p["points"], p["points"][:1]])
        ax.plot(*closed.T, color=p["edge"], linewidth=0.72 * brush.thin * p["width"], zorder=brush.order)


def _vector(ax, p, panel, brush):
    tail, tip = p["points"]
    look = {
        "arrowstyle": "-|>,head_width=0.22,head_length=0.5",
        "color": p["color"],
        "shrinkA": 0,
        "shrinkB": 0,
        "linewidth": 0.72 * brush.thin * p["width"],
    }
    ax.annotate("", tip, tail, arrowprops=look, zorder=brush.order, annotation_clip=False)
    if p["text"]:
        away = (tip - tail) / (np.hypot(*(tip - tail)) or 1.0)
        ax.annotate(
            p["text"],
            tip,
            10 * away,
            textcoords="offset points",
            color=p["color"],
            fontsize=10,
            ha="center",
            va="center",
            fontweight="bold",
            zorder=brush.order,
        )


def _label(ax, p, panel, brush):
    ax.text(
        *p["at"],
        p["text"],
        color=p["color"],
        fontsize=0.75 * p["size"],
        ha=p["align"],
        va="center",
        zorder=brush.order,
        clip_on=True,
    )


PAINTERS = {"heat": _heat, "lines": _lines, "dots": _dots, "polygon": _polygon, "vector": _vector, "label": _label}


def paint(
    scene: Scene, width: int | None = None, slider: tuple[str, float, str] | None = None, crisp: bool = False
) -> Figure:
    """A Scene as a Figure, `width` px wide (default 430 for one panel, 330 a panel for more).

    `slider` (name, position in 0..1, text) draws a slider below the picture; `crisp` paints with few flat colours.
    """
    with matplotlib.rc_context(style()):
        return _paint(scene, width or default_width(scene), slider, crisp)


def default_width(scene: Scene) -> int:
    return 430 if len(scene.panels) == 1 else 330 * len(scene.panels)


class Page:
    """A figure addressed in px from its top left corner."""

    def __init__(self, width: float, height: float) -> None:
        self.width, self.height = width, height
        self.figure = Figure(figsize=(width / DPI, height / DPI), dpi=DPI)
        FigureCanvasAgg(self.figure)

    def axes(self, x: float, y: float, w: float, h: float) -> Axes:
        return self.figure.add_axes((x / self.width, 1 - (y + h) / self.height, w / self.width, h / self.height))

    def write(self, x: float, y: float, text: str, color: str = INK, ha: str = "left", size: float = 8.0) -> None:
        """One line of text, its row beginning at y."""
        self.figure.text(
            x / self.width, 1 - (y + ROW / 2) / self.height, text, color=color, ha=ha, va="center", fontsize=size
        )

    def line(self, x0: float, x1: float, y: float, **look: Any) -> None:
        """A level line in the middle of the row that begins at y."""
        at = 1 - (y + ROW / 2) / self.height
        self.figure.add_artist(Line2D([x0 / self.width, x1 / self.width], [at, at], **look))

    def image(self, pixels: np.ndarray, x: float, y: float, w: float, h: float) -> None:
        ends = [[x / self.width, 1 - (y + h) / self.height], [(x + w) / self.width, 1 - y / self.height]]
        image = BboxImage(TransformedBbox(Bbox(ends), self.figure.transFigure))
        image.set_data(pixels)
        self.figure.add_artist(image)


def _paint(scene: Scene, width: int, slider: tuple[str, float, str] | None, crisp: bool) -> Figure:
    count = len(scene.panels)
    plot = width / count - LEFT - RIGHT
    highs = [plot * p.aspect if p.equal else p.height for p in scene.panels]
    under = 12 if any(p.xlabel for p in scene.panels) else 0
    tall = max(highs)
    words = _flow_words(scene, width)
    y = TOP + tall + BOTTOM + under + 4
    rows = (1.3 if scene.keys else 0) + (words[-1][1] + 1 if words else 0) + (1.1 if slider else 0)
    page = Page(width, round(y + ROW * rows + 4))
    for i, (panel, high) in enumerate(zip(scene.panels, highs, strict=True)):
        paint_panel(page.axes(i * width / count + LEFT, TOP + (tall - high) / 2, plot, high), panel, crisp=crisp)
    if slider:
        name, at, text = slider
        left, right = LEFT + 40, width - RIGHT - 62
        page.line(left, right, y, linewidth=2, alpha=0.5, color=INK)
        page.line(
            left + at * (right - left), left + at * (right - left), y, marker="o", markersize=8, color=COLOURS["data"]
        )
        page.write(LEFT, y, name, size=9.5)
        page.write(width - RIGHT, y, text, ha="right", size=9.5)
        y += 1.1 * ROW
    for x, row, text, color in words:
        page.write(x, y + row * ROW, text, color)
    if words:
        y += (words[-1][1] + 1) * ROW
    if scene.keys:
        _paint_keys(scene.keys, page, y)
    return page.figure


def _flow_words(scene: Scene, width: int) -> list[tuple[float, int, str, str]]:
    """The light and the numbers as (x, row, text, colour), wrapped to the width."""
    items = [(f"{name} {text}", INK) for name, text in scene.numbers]
    if scene.light:
        ok, text = scene.light
        items.insert(0, (("●  " if ok else "▲  ") + text, COLOURS["good" if ok else "bad"]))
    out, x, row = [], LEFT, 0
    for text, color in items:
        wide = 6.0 * len(text)
        if x > LEFT and x + wide > width - RIGHT:
            x, row = LEFT, row + 1
        out.append((x, row, text, color))
        x += wide + 16
    return out


def paint_foot(width: int, stages: Sequence[tuple[str, Scene]], line: str) -> Figure:
    """What stands below a frozen picture: small (caption, scene) stages side by side, and a line of text."""
    with matplotlib.rc_context(style()):
        wide = (width - LEFT - RIGHT - 6 * (len(stages) - 1)) / len(stages) if stages else 0
        high = wide * (stages[0][1].panels[-1].aspect or 0.8) if stages else 0
        page = Page(width, round(high + (ROW + 6 if stages else 0) + ROW))
        for i, (caption, scene) in enumerate(stages):
            x = LEFT + i * (wide + 6)
            paint_panel(page.axes(x, 4, wide, high), scene.panels[-1], decorated=False, thin=0.7, crisp=True)
            page.write(x + wide / 2, high + 4, caption, ha="center")
        page.write(LEFT, page.height - ROW, line, size=7.5)
        return page.figure


def _paint_keys(keys: Sequence[dict], page: Page, y: float) -> None:
    share = (page.width - LEFT - RIGHT) / len(keys)
    for i, key in enumerate(keys):
        x = LEFT + i * share
        left, wide = x + 6 * len(key["title"]) + 8, min(170, share - 6 * len(key["title"]) - 24)
        page.write(x, y - 2, key["title"])
        page.image(TABLES[key["table"]][None], left, y + 4, wide, 7)
        for at, text in key["ticks"]:
            page.write(left + at * wide, y + 8, text, ha="center", size=7)


def to_rgba(figure: Figure) -> np.ndarray:
    """The figure's pixels, (H, W, 4) uint8."""
    figure.canvas.draw()
    return np.asarray(figure.canvas.buffer_rgba()).copy()


def to_rgb(figure: Figure, page: int = 255) -> np.ndarray:
    """The figure's pixels on a page of one grey value, (H, W, 3) uint8."""
    rgba = to_rgba(figure).astype(np.float32)
    alpha = rgba[..., 3:] / 255
    return (rgba[..., :3] * alpha + page * (1 - alpha) + 0.5).astype(np.uint8)
