"""The one theme of the course: every colour, table and tone curve, for the canvas and for matplotlib alike.

Fixed throughout: the base density is amber, the data density blue; lines coloured by log|det J| run from pink
(contraction) over a light neutral (volume kept) to green (expansion). Panels have an opaque night background on every
page; all that stands outside a panel is mid grey on nothing, readable on white and on near-black. The pairs stay apart
for colour-blind eyes.
"""

from __future__ import annotations

import math

import numpy as np

NIGHT = "#0b1326"
INK = "#777b82"
LEVELS = 15  # colours of the diverging table = stroke batches of the canvas; odd, so that one is neutral
LOG_DET_LIMIT = math.log(8.0)  # |det J| = 1/8 and 8 are the ends of the diverging table

COLOURS = {
    "base": "#f2a63b",
    "data": "#4fa3f2",
    "shrink": "#ee5fae",
    "grow": "#86d13f",
    "light": "#f4f6fa",
    "muted": "#8a96ad",
    "ink": INK,
    "night": NIGHT,
    "good": "#2f9e6e",
    "bad": "#d1495b",
}


def colour(name: str) -> str:
    """The hex code of a theme colour; hex codes pass through."""
    if name in COLOURS:
        return COLOURS[name]
    if isinstance(name, str) and name.startswith("#") and len(name) == 7:
        return name
    raise ValueError(f"unknown colour {name!r}: expected one of {', '.join(COLOURS)} or a code like '#4fa3f2'")


def rgb(code: str) -> np.ndarray:
    """'#rrggbb' as three floats in 0..255."""
    return np.array([int(code[i : i + 2], 16) for i in (1, 3, 5)], dtype=float)


def hex_of(color: np.ndarray) -> str:
    """Three numbers in 0..255 as '#rrggbb'."""
    return "#{:02x}{:02x}{:02x}".format(*(round(float(v)) for v in color))


def _table(codes: list[str], n: int) -> np.ndarray:
    """n colours interpolated between the given ones; (n, 3) uint8."""
    stops = np.stack([rgb(c) for c in codes])
    t = np.linspace(0, len(codes) - 1, n)
    return np.stack([np.interp(t, range(len(codes)), stops[:, i]) for i in range(3)], axis=1).round().astype(np.uint8)


TABLES = {
    "base": _table([NIGHT, "#37261f", "#75461b", "#b56c1c", "#e6972f", "#f9c775", "#fff0d2"], 256),
    "data": _table([NIGHT, "#122b52", "#194c8c", "#2471bd", "#4399e6", "#8fc5f7", "#e3f1ff"], 256),
    "diverging": _table(["#ee5fae", "#ef7dbd", "#f0a0cd", "#f1f2f4", "#bbe295", "#a0da6a", "#86d13f"], LEVELS),
}


def tone(density: np.ndarray, scale: float) -> np.ndarray:
    """Density as table index, 255 p / (p + scale): a colour always means the same, and nothing is cut off; uint8."""
    p = np.nan_to_num(np.asarray(density, dtype=np.float32), nan=0.0, posinf=np.finfo(np.float32).max, neginf=0.0)
    p = np.clip(p, 0.0, 1e30)
    return (255.0 * (p / (p + np.float32(scale))) + 0.5).astype(np.uint8)


def det_level(log_det: np.ndarray) -> np.ndarray:
    """log|det J| as an index into the diverging table; uint8 in 0..LEVELS - 1."""
    t = np.nan_to_num(np.asarray(log_det, dtype=np.float32), nan=0.0, posinf=99.0, neginf=-99.0) / LOG_DET_LIMIT
    return ((np.clip(t, -1, 1) + 1) / 2 * (LEVELS - 1) + 0.5).astype(np.uint8)


def for_canvas() -> dict:
    """The theme as JSON for the canvas."""
    tables = {name: [hex_of(row) for row in table] for name, table in TABLES.items()}
    return {"night": NIGHT, "tables": tables, "good": COLOURS["good"], "bad": COLOURS["bad"]}


def style() -> dict:
    """matplotlib settings for every figure of the course, for `matplotlib.rc_context` or `rcParams.update`."""
    return {
        "figure.facecolor": "none",
        "savefig.facecolor": "none",
        "axes.facecolor": "none",
        "axes.edgecolor": INK,
        "axes.labelcolor": INK,
        "axes.titlecolor": INK,
        "xtick.color": INK,
        "ytick.color": INK,
        "text.color": INK,
        "axes.spines.top": False,
        "axes.spines.right": False,
        "legend.frameon": False,
        "grid.color": INK,
        "grid.alpha": 0.25,
        "font.size": 10,
        "axes.titlesize": 11,
        "font.family": "DejaVu Sans",
        "savefig.dpi": 110,
        "figure.dpi": 110,
        "lines.linewidth": 1.8,
        "image.origin": "lower",
    }
