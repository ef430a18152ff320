"""What is to be seen, as plain data: a Scene of Panels of layers. Python computes, the canvas and matplotlib paint.

A layer's `parts()` is the dictionary both painters read: a "kind", a few numbers, and arrays. A layer with a `toggle`
name can be switched off in an explorer.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from flowlib.viz.engine.theme import LOG_DET_LIMIT, colour, det_level, tone


def array(values: Any, name: str, *shape: int | None) -> np.ndarray:
    """Tensor, list or array as contiguous float32, its shape checked (None: any size)."""
    if hasattr(values, "detach"):
        values = values.detach().cpu().numpy()
    out = np.asarray(values, dtype=np.float32, order="C")
    if len(shape) != out.ndim or any(want not in (None, got) for want, got in zip(shape, out.shape, strict=True)):
        wanted = ", ".join("any" if s is None else str(s) for s in shape)
        raise ValueError(f"{name} has shape {tuple(out.shape)}: expected ({wanted})")
    return out


@dataclass
class Heat:
    """A density on pixels: values (H, W), row 0 at the bottom, in the colours of `role`.

    `scale` is the density shown at half brightness (default 0.4 of the highest); xlim and ylim default to the panel's.
    """

    values: Any
    role: str = "data"
    xlim: tuple[float, float] | None = None
    ylim: tuple[float, float] | None = None
    scale: float | None = None
    toggle: str | None = None

    def parts(self) -> dict:
        p = array(self.values, "Heat values", None, None)  # (H, W)
        if not np.isfinite(p).any():
            raise ValueError("every density value is nan or infinite at these parameters")
        scale = self.scale or 0.4 * float(p[np.isfinite(p)].max()) or 1.0
        return {"kind": "heat", "levels": tone(p, scale), "table": self.role, "xlim": self.xlim, "ylim": self.ylim}


@dataclass
class Lines:
    """N polylines of V points each: points (N, V, 2); nan leaves a gap. `log_det` (N, V) colours them, else `color`."""

    points: Any
    log_det: Any = None
    color: str = "light"
    width: float = 1.0
    alpha: float = 1.0
    dash: bool = False
    toggle: str | None = None

    def parts(self) -> dict:
        points = array(self.points, "Lines points", None, None, 2)
        levels = None
        if self.log_det is not None:
            log_det = array(self.log_det, "Lines log_det", *points.shape[:2])
            levels = det_level((log_det[:, 1:] + log_det[:, :-1]) / 2)  # (N, V - 1), one byte a segment
        return {
            "kind": "lines",
            "points": points,
            "levels": levels,
            "color": colour(self.color),
            "width": self.width,
            "alpha": self.alpha,
            "dash": self.dash,
        }


@dataclass
class Dots:
    """Points (N, 2) as small discs; `size` is the radius in CSS pixels."""

    points: Any
    color: str = "light"
    size: float = 1.4
    alpha: float = 0.8
    toggle: str | None = None

    def parts(self) -> dict:
        points = array(self.points, "Dots points", None, 2)
        return {"kind": "dots", "points": points, "color": colour(self.color), "size": self.size, "alpha": self.alpha}


@dataclass
class Polygon:
    """A closed shape: points (N, 2), filled with `color`; `edge` outlines it."""

    points: Any
    color: str = "data"
    alpha: float = 0.35
    edge: str | None = None
    width: float = 1.5
    toggle: str | None = None

    def parts(self) -> dict:
        edge = None if self.edge is None else colour(self.edge)
        points = array(self.points, "Polygon points", None, 2)
        return {
            "kind": "polygon",
            "points": points,
            "color": colour(self.color),
            "alpha": self.alpha,
            "edge": edge,
            "width": self.width,
        }


@dataclass
class Area:
    """The surface between two curves over x (N,): low and high are (N,) or numbers."""

    x: Any
    low: Any
    high: Any
    color: str = "data"
    alpha: float = 0.35
    toggle: str | None = None

    def parts(self) -> dict:
        x = array(self.x, "Area x", None)
        low, high = (
            np.broadcast_to(array(v, "Area bounds", *([None] * np.ndim(v))), x.shape) for v in (self.low, self.high)
        )
        outline = np.concatenate([np.stack([x, high], 1), np.stack([x, low], 1)[::-1]])
        return Polygon(outline, self.color, self.alpha).parts()


@dataclass
class Vector:
    """An arrow from tail to tip (x, y), with an optional text at its tip."""

    tail: Any
    tip: Any
    color: str = "light"
    width: float = 2.0
    text: str = ""
    toggle: str | None = None

    def parts(self) -> dict:
        ends = array([[float(v) for v in self.tail], [float(v) for v in self.tip]], "Vector ends", 2, 2)
        return {"kind": "vector", "points": ends, "color": colour(self.color), "width": self.width, "text": self.text}


@dataclass
class Label:
    """A short text at (x, y); align is "left", "center" or "right"; size in CSS pixels."""

    x: float
    y: float
    text: str
    color: str = "light"
    size: float = 12
    align: str = "center"
    toggle: str | None = None

    def parts(self) -> dict:
        at = [float(self.x), float(self.y)]
        return {
            "kind": "label",
            "at": at,
            "text": self.text,
            "color": colour(self.color),
            "size": self.size,
            "align": self.align,
        }


Layer = Heat | Lines | Dots | Polygon | Area | Vector | Label


@dataclass
class Panel:
    """One part of the picture. `equal`: one unit is as long in x as in y; `height`: px of a panel that is not.

    `xticks`, `yticks`: True for a few round numbers, False for none, or (place, text) pairs.
    """

    xlim: tuple[float, float]
    ylim: tuple[float, float]
    title: str = ""
    layers: Sequence[Layer] = ()
    equal: bool = True
    xlabel: str = ""
    ylabel: str = ""
    xticks: bool | Sequence[tuple[float, str]] = True
    yticks: bool | Sequence[tuple[float, str]] = True
    height: int = 300

    def __post_init__(self) -> None:
        for name in ("xlim", "ylim"):
            low, high = (float(v) for v in getattr(self, name))
            if not (math.isfinite(low) and math.isfinite(high) and low < high):
                raise ValueError(
                    f"{name} of a Panel is ({low}, {high}): expected two finite numbers, the lower one first"
                )
            setattr(self, name, (low, high))

    @property
    def aspect(self) -> float | None:
        """Height over width where one unit must be as long in x as in y, otherwise None."""
        return (self.ylim[1] - self.ylim[0]) / (self.xlim[1] - self.xlim[0]) if self.equal else None

    def marks(self) -> tuple[list[tuple[float, str]], list[tuple[float, str]]]:
        """The (place, text) pairs along x and along y."""
        pairs = ((self.xticks, self.xlim), (self.yticks, self.ylim))
        return tuple(ticks(*limits) if wanted is True else list(wanted or ()) for wanted, limits in pairs)


@dataclass
class Scene:
    """Panels side by side, the numbers below them, a light (ok, text) for a condition, and colour keys."""

    panels: Sequence[Panel]
    numbers: Sequence[tuple[str, str]] = ()
    light: tuple[bool, str] | None = None
    keys: Sequence[dict] = field(default_factory=tuple)

    def __post_init__(self) -> None:
        if not self.panels or not all(isinstance(p, Panel) for p in self.panels):
            raise TypeError(
                f"a Scene needs one or more Panels, got {self.panels!r}: write Scene([Panel(xlim, ylim, layers=[...])])"
            )


def det_key(title: str = "|det J|") -> dict:
    """The colour key of lines coloured by log|det J|."""
    marks = ((1 / 8, "⅛"), (1 / 2, "½"), (1, "1"), (2, "2"), (8, "8"))
    at = [(0.5 + 0.5 * math.log(v) / LOG_DET_LIMIT, text) for v, text in marks]
    return {"title": title, "table": "diverging", "ticks": at}


def density_key(role: str, scale: float, title: str = "density") -> dict:
    """The colour key of a Heat with this role and scale."""
    values = [_nice(scale * f) for f in (1.0, 4.0)]
    return {"title": title, "table": role, "ticks": [(0.0, "0")] + [(v / (v + scale), f"{v:g}") for v in values]}


def _nice(v: float) -> float:
    """The nearest of 1, 2, 5 times a power of ten."""
    power = 10.0 ** math.floor(math.log10(v))
    return round(min((1, 2, 5, 10), key=lambda n: abs(math.log(n * power / v))) * power, 12)


def ticks(low: float, high: float, about: int = 5) -> list[tuple[float, str]]:
    """A few round numbers between low and high, with a true minus sign."""
    step = _nice((high - low) / about)
    first, last = math.ceil(low / step - 1e-9), math.floor(high / step + 1e-9)
    return [(i * step, f"{i * step:.10g}".replace("-", "−")) for i in range(first, last + 1)]
