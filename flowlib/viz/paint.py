"""The matplotlib painter: a Scene as a Figure or as an array. Agg alone and no pyplot, so it may run in any thread."""
from __future__ import annotations

from collections.abc import Sequence

import matplotlib
import numpy as np
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.collections import LineCollection
from matplotlib.figure import Figure

from flowlib.viz.scene import Panel, Scene, ticks
from flowlib.viz.theme import COLOURS, INK, NIGHT, TABLES, style

DPI = 100
LEFT, RIGHT, TOP, BOTTOM, ROW = 36, 10, 24, 22, 20  # px round a panel, and px of one line of text below


def paint_panel(ax: Axes, panel: Panel, font: float = 9.0, decorated: bool = True, thin: float = 1.0) -> None:
    """Draw a panel into given axes; `decorated` adds title, ticks and labels; `thin` scales line widths and dots."""
    ax.set(xlim=panel.xlim, ylim=panel.ylim, facecolor=NIGHT)
    ax.set_aspect("equal" if panel.equal else "auto")
    for spine in ax.spines.values():
        spine.set_visible(False)
    ax.set_xticks([])
    ax.set_yticks([])
    if decorated:
        for axis, limits, wanted in ((ax.xaxis, panel.xlim, True), (ax.yaxis, panel.ylim, panel.yticks)):
            marks = ticks(*limits) if wanted else []
            axis.set_ticks([at for at, _ in marks], [text for _, text in marks], fontsize=font - 1, color=INK)
        ax.tick_params(length=0, pad=3)
        ax.set_title(panel.title, fontsize=font + 1, color=INK, pad=5)
        ax.set_xlabel(panel.xlabel, fontsize=font, color=INK, labelpad=1)
        ax.set_ylabel(panel.ylabel, fontsize=font, color=INK, labelpad=2)
    for order, layer in enumerate(panel.layers):
        parts = layer.parts()
        PAINTERS[parts["kind"]](ax, parts, order + 1, panel, thin)


def _heat(ax, p, order, panel, thin):
    extent = (*(p["xlim"] or panel.xlim), *(p["ylim"] or panel.ylim))
    image = ax.imshow(TABLES[p["table"]][p["levels"]], extent=extent, origin="lower", interpolation="bilinear", zorder=order)
    image.set_clip_box(ax.bbox)
    ax.set(xlim=panel.xlim, ylim=panel.ylim, aspect="equal" if panel.equal else "auto")


def _lines(ax, p, order, panel, thin):
    dash = (0, (4, 3)) if p["dash"] else "solid"
    points, look = p["points"], {"linewidths": 0.72 * thin * p["width"], "alpha": p["alpha"], "zorder": order, "linestyles": dash}
    if p["levels"] is None:
        ax.add_collection(LineCollection(list(points), colors=p["color"], **look), autolim=False)
        return
    pairs = np.stack([points[:, :-1], points[:, 1:]], axis=2)  # (N, V - 1, 2, 2)
    for level in np.unique(p["levels"]):
        color = TABLES["diverging"][level] / 255
        ax.add_collection(LineCollection(pairs[p["levels"] == level], colors=[color], **look), autolim=False)


def _dots(ax, p, order, panel, thin):
    x, y = p["points"].T
    ax.plot(x, y, "o", markersize=1.44 * thin * p["size"], markeredgewidth=0, color=p["color"], alpha=p["alpha"], zorder=order)


def _polygon(ax, p, order, panel, thin):
    ax.fill(*p["points"].T, facecolor=p["color"], alpha=p["alpha"], linewidth=0, zorder=order)
    if p["edge"]:
        closed = np.concatenate([p["points"], p["points"][:1]])
        ax.plot(*closed.T, color=p["edge"], linewidth=0.72 * thin * p["width"], zorder=order)


def _vector(ax, p, order, panel, thin):
    (x0, y0), (x1, y1) = p["points"]
    look = {"arrowstyle": "-|>,head_width=0.22,head_length=0.5", "color": p["color"], "linewidth": 0.72 * thin * p["width"], "shrinkA": 0, "shrinkB": 0}
    ax.annotate("", (x1, y1), (x0, y0), arrowprops=look, zorder=order, annotation_clip=False)
    if p["text"]:
        away = np.array([x1 - x0, y1 - y0]) / (np.hypot(x1 - x0, y1 - y0) or 1.0)
        ax.annotate(p["text"], (x1, y1), 10 * away, textcoords="offset points", color=p["color"], fontsize=10, ha="center", va="center",
                    fontweight="bold", zorder=order)


def _label(ax, p, order, panel, thin):
    ax.text(*p["at"], p["text"], color=p["color"], fontsize=0.75 * p["size"], ha=p["align"], va="center", zorder=order, clip_on=True)


PAINTERS = {"heat": _heat, "lines": _lines, "dots": _dots, "polygon": _polygon, "vector": _vector, "label": _label}


def paint(scene: Scene, width: int | None = None, footer: Sequence[str] = (), slider: tuple[str, float, str] | None = None,
          strip: Sequence[tuple[str, Scene]] = ()) -> Figure:
    """A Scene as a Figure, `width` px wide (default 430 for one panel, 330 a panel for more).

    `slider` (name, position in 0..1, text) draws a slider below the picture, `strip` small (caption, scene) stages below that, and
    `footer` lines of text at the very bottom.
    """
    with matplotlib.rc_context(style()):
        return _paint(scene, width, footer, slider, strip)


def _paint(scene, width, footer, slider, strip) -> Figure:
    count = len(scene.panels)
    width = width or (430 if count == 1 else 330 * count)
    plot = width / count - LEFT - RIGHT  # px
    tall = max(plot * p.aspect if p.equal else p.height for p in scene.panels)
    below = [rows for rows in (scene.keys and 1.3, (scene.numbers or scene.light) and 1.0, slider and 1.1) if rows]
    stage = (width - 6 * (len(strip) - 1)) / len(strip) if strip else 0
    stage_high = stage * (scene.panels[-1].aspect or 0.7) + ROW if strip else 0
    height = round(TOP + tall + BOTTOM + 4 + ROW * (sum(below) + len(footer)) + stage_high)
    figure = Figure(figsize=(width / DPI, height / DPI), dpi=DPI)
    FigureCanvasAgg(figure)

    def box(x, top, w, h):
        return figure.add_axes([x / width, 1 - (top + h) / height, w / width, h / height])

    for i, panel in enumerate(scene.panels):
        high = plot * panel.aspect if panel.equal else panel.height
        paint_panel(box(i * width / count + LEFT, TOP + (tall - high) / 2, plot, high), panel)
    y = TOP + tall + BOTTOM + 4

    def write(x, text, color=INK, ha="left", size=8.0):
        figure.text(x / width, 1 - (y + ROW / 2) / height, text, color=color, ha=ha, va="center", fontsize=size)

    if scene.keys:
        _paint_keys(scene.keys, box, write, y, width)
        y += 1.3 * ROW
    if scene.numbers or scene.light:
        if scene.light:
            ok, text = scene.light
            write(LEFT, ("●  " if ok else "▲  ") + text, COLOURS["good" if ok else "bad"])
        write(width - RIGHT, "     ".join(f"{name} {text}" for name, text in scene.numbers), ha="right")
        y += ROW
    if slider:
        name, at, text = slider
        ax = box(LEFT + 34, y, width - LEFT - RIGHT - 34 - 60, ROW)
        ax.set(xlim=(-0.02, 1.02), ylim=(-1, 1))
        ax.axis("off")
        ax.plot([0, 1], [0, 0], color=INK, linewidth=2, alpha=0.5)
        ax.plot([at], [0], "o", color=COLOURS["data"], markersize=8)
        write(LEFT, name, size=9.5)
        write(width - RIGHT, text, ha="right", size=9.5)
        y += 1.1 * ROW
    for i, (caption, small) in enumerate(strip):
        x = i * (stage + 6)
        paint_panel(box(x, y, stage, stage_high - ROW), small.panels[-1], decorated=False, thin=0.5)
        figure.text((x + stage / 2) / width, 1 - (y + stage_high - ROW / 2) / height, caption, color=INK, ha="center", va="center", fontsize=8)
    y += stage_high
    for line in footer:
        write(width / 2, line, ha="center", size=7.5)
        y += ROW
    return figure


def _paint_keys(keys, box, write, y, width) -> None:
    share = (width - LEFT - RIGHT) / len(keys)
    for i, key in enumerate(keys):
        x, title_wide = LEFT + i * share, 52
        write(x, key["title"])
        ax = box(x + title_wide, y + 5, share - title_wide - 14, 7)
        ax.imshow(TABLES[key["table"]][None], aspect="auto", extent=(0, 1, 0, 1))
        ax.axis("off")
        for at, text in key["ticks"]:
            ax.annotate(text, (at, 0), (0, -2), textcoords="offset points", ha="center", va="top", fontsize=7, color=INK, annotation_clip=False)


def to_rgba(figure: Figure) -> np.ndarray:
    """The figure's pixels, (H, W, 4) uint8."""
    figure.canvas.draw()
    return np.asarray(figure.canvas.buffer_rgba()).copy()


def to_rgb(figure: Figure, page: int = 255) -> np.ndarray:
    """The figure's pixels on a page of one grey value, (H, W, 3) uint8."""
    rgba = to_rgba(figure).astype(np.float32)
    alpha = rgba[..., 3:] / 255
    return (rgba[..., :3] * alpha + page * (1 - alpha) + 0.5).astype(np.uint8)
