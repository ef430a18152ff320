"""Scenes of flows in the plane: density on pixels, grid coloured by |det J|, samples, and the mass of the density."""

from __future__ import annotations

import math
from dataclasses import replace
from typing import Any

import torch
from torch import Tensor

from flowlib.core import Base, Flow
from flowlib.viz.engine.scene import Dots, Heat, Lines, Panel, Scene, density_key, det_key

MASS_PIXELS = 96  # a side of the grid over which the mass is integrated
DATA_POINTS = 500
FROM_BASE, FROM_DATA = "#f9c775", "#8fc5f7"  # points by where they come from: pale amber, pale blue
DIM = 3.0  # under points so coloured a density is drawn that much darker, so that they stand out


def pixels(xlim: tuple[float, float], ylim: tuple[float, float], n: int) -> tuple[Tensor, float]:
    """Centres of n x n pixels, row 0 at the bottom: (n, n, 2), and the area of one."""
    (x0, x1), (y0, y1) = xlim, ylim
    middle = (torch.arange(n) + 0.5) / n
    y, x = torch.meshgrid(y0 + (y1 - y0) * middle, x0 + (x1 - x0) * middle, indexing="ij")
    return torch.stack([x, y], -1), (x1 - x0) * (y1 - y0) / n**2


def base_range(base: Base) -> list[tuple[float, float]]:
    """Where the base lives, one interval a dimension: its box if it has one, else mean ± 3 standard deviations."""
    if base.box is not None:
        low, high = base.box
        return list(zip(low.tolist(), high.tolist(), strict=True))
    z = base_samples(base, 4000)
    ends = [(m - 3 * s, m + 3 * s) for m, s in zip(z.mean(0).tolist(), z.std(0).tolist(), strict=True)]
    return [(round(2 * low) / 2, round(2 * high) / 2) for low, high in ends]


def base_samples(base: Base, n: int) -> Tensor:
    """The same n points of the base at every call, whatever the global random state; (n, D)."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        return base.sample(n)


def grid_lines(box: list[tuple[float, float]], lines: int = 13, vertices: int = 73) -> Tensor:
    """`lines` vertical and as many horizontal lines over a box, as polylines (2 lines, vertices, 2)."""
    (x0, x1), (y0, y1) = box
    along, across = torch.linspace(0, 1, vertices), torch.linspace(0, 1, lines)
    t, s = torch.meshgrid(across, along, indexing="ij")  # (lines, vertices)
    upright = torch.stack([x0 + (x1 - x0) * t, y0 + (y1 - y0) * s], -1)
    level = torch.stack([x0 + (x1 - x0) * s, y0 + (y1 - y0) * t], -1)
    return torch.cat([upright, level])


def tone_scale(base: Base) -> float:
    """The density drawn at half brightness: 0.4 of the base's highest. So a colour means the same in every frame."""
    box = base_range(base)
    return 0.4 * float(base.log_prob(pixels(*box, 41)[0]).max().exp())


def mass(flow: Flow, box: list[tuple[float, float]], n: int = MASS_PIXELS) -> float:
    """∫ p_X(x) dx, substituting x = f(z) so that the thinnest ridge is resolved: 1.000 for a flow that is invertible.

    The integral runs over the z that the inverse finds again: where the plane is folded, p_X knows one layer only.
    """
    wide = [(low - 0.7 * (high - low), high + 0.7 * (high - low)) for low, high in box]
    z, area = pixels(*(wide if flow.base.box is None else box), n)  # (n, n, 2)
    x, log_det = flow.transform(z)
    again, log_det_back = flow.transform.inverse(x)
    found = ((again - z).abs() < 0.01 * (1.0 + z.abs())).all(-1)  # (n, n)
    mass_of_cell = (flow.base.log_prob(again) + log_det_back + log_det).exp() * area
    return float(torch.where(found, mass_of_cell, 0.0).sum(dtype=torch.float64))


class Plane:
    """Scenes of 2-D flows over one window; what does not change between frames is kept."""

    def __init__(
        self, base: Base, window: float | tuple = 4.0, resolution: int = 200, samples: int = 500, vertices: int = 73
    ):
        self.xlim, self.ylim = limits(window)
        self.resolution, self.count, self.vertices = resolution, samples, vertices
        self._base: Base | None = None
        self._use(base)

    def _use(self, base: Base) -> None:
        """Prepare grid, samples and tone for this base, unless it is the one of the last frame."""
        if self._base is not None and str(base) == str(self._base) and same_buffers(base, self._base):
            return
        self._base = base
        self.box = base_range(base)
        self.grid = grid_lines(self.box, vertices=self.vertices)  # (lines, vertices, 2)
        self.z = base_samples(base, self.count)  # (samples, 2)
        self.scale = tone_scale(base)

    def scene(self, flow: Flow, fine: bool = True, before: bool = False, title: str = "") -> Scene:
        """The data density with its grid and samples; `before` puts the base beside it, at the left."""
        panel = self.data_panel(flow, self.resolution if fine else max(2, self.resolution // 2), title)
        panels = [replace(panel, xlabel="x₁", ylabel="x₂")]
        keys = [density_key("data", self.scale, "p(x)"), det_key()]
        if before:
            panel = self.base_panel(flow.base, max(2, self.resolution // 2))
            panels.insert(0, replace(panel, xlabel="z₁", ylabel="z₂"))
            keys.insert(0, density_key("base", self.scale, "p(z)"))
        numbers = [("mass of the density", f"{mass(flow, self.box, MASS_PIXELS if fine else MASS_PIXELS // 2):.3f}")]
        return Scene(panels, numbers, keys=keys)

    def data_panel(self, flow: Flow, n: int, title: str = "", density: Tensor | None = None) -> Panel:
        """The data density on n x n pixels (or as given) with the warped grid and the samples."""
        self._use(flow.base)
        if density is None:
            density = flow.log_prob(pixels(self.xlim, self.ylim, n)[0]).exp()  # (n, n)
        grid, log_det = flow.transform(self.grid)
        layers = [
            Heat(density, "data", scale=self.scale, toggle="density"),
            Lines(grid, log_det=log_det, alpha=0.8, toggle="grid"),
            Dots(flow.transform(self.z)[0], toggle="samples"),
        ]
        return Panel(self.xlim, self.ylim, title or "data density p(x)", layers)

    def base_panel(self, base: Base, n: int) -> Panel:
        """The base density with the straight grid."""
        layers = [
            Heat(base.log_prob(pixels(self.xlim, self.ylim, n)[0]).exp(), "base", scale=self.scale, toggle="density"),
            Lines(self.grid[:, :: self.grid.shape[1] - 1], alpha=0.75, toggle="grid"),
            Dots(self.z, toggle="samples"),
        ]
        return Panel(self.xlim, self.ylim, "base density p(z)", layers)

    def probe(self, flow: Flow, in_base: bool, x: float, y: float) -> str:
        """|det J| and density at a point of the data panel (or of the base panel)."""
        at = torch.tensor([[x, y]])
        z, log_det = (at, None) if in_base else flow.transform.inverse(at)
        log_det = flow.transform(at)[1] if in_base else -log_det
        det = math.exp(float(log_det))
        p_x = float(flow.base.log_prob(z).exp()) / det
        (z_1, z_2), (x_1, x_2) = z[0].tolist(), flow.transform(z)[0][0].tolist()
        text = f"z = ({z_1:.2f}, {z_2:.2f}) goes to x = ({x_1:.2f}, {x_2:.2f}):  |det J| = {det:.3g},  p(x) = {p_x:.3g}"
        return text.replace("-", "−")


def limits(window: float | tuple) -> tuple[tuple[float, float], tuple[float, float]]:
    """A half width, or (xlim, ylim), as (xlim, ylim)."""
    if isinstance(window, (int, float)) and math.isfinite(window) and window > 0:
        return (-float(window), float(window)), (-float(window), float(window))
    try:
        (x0, x1), (y0, y1) = window
    except (TypeError, ValueError):
        raise ValueError(f"window is {window!r}; expected a half width above 0 or ((x0, x1), (y0, y1))") from None
    return (float(x0), float(x1)), (float(y0), float(y1))


def window_of(window: float | tuple | None, data: Any, least: float) -> float | tuple:
    """The wanted window, else the one that the data bring, but so wide that the base fits in."""
    return window if window is not None else max(least, getattr(data, "window", 4.0))


def points_of(data: Any) -> Tensor | None:
    """At most DATA_POINTS points (n, 2) of the data, always the same ones."""
    if data is None or isinstance(data, Tensor):
        points = data
    elif hasattr(data, "sample"):
        points = data.sample(DATA_POINTS, seed=0)
    else:
        points = torch.as_tensor(data)
    if points is not None and (points.dim() != 2 or points.shape[-1] != 2):
        raise ValueError(f"data has shape {tuple(points.shape)}: expected points (n, 2)")
    return None if points is None else points[:DATA_POINTS].detach()


def same_buffers(a: Base, b: Base) -> bool:
    """Whether two bases of one class hold the same numbers."""
    one, other = dict(a.named_buffers()), dict(b.named_buffers())
    return one.keys() == other.keys() and all(torch.equal(one[k], other[k]) for k in one)
