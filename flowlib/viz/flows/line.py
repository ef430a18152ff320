"""Scenes of flows on the line: base density below, data density above, threads from z to f(z), an interval in both."""

from __future__ import annotations

import math

import torch
from torch import Tensor

from flowlib.core import Base, Flow
from flowlib.viz.engine.scene import Label, Lines, Panel, Polygon, Scene, det_key, ticks
from flowlib.viz.flows.plane import base_range

GAP = 0.9  # height of the band between the two axes
DEEP = 0.4  # what the peak of the base density hangs below its axis, in every frame
TALL = 4 * DEEP  # the most that a density may rise above its axis: the scale is one, so four times the base's peak
POINTS = 601


def graph(x: Tensor, p: Tensor, floor: float, height: float) -> Tensor:
    """The outline of the surface between a density (drawn from `floor` by `height` a unit) and its axis; (2 n, 2)."""
    curve = torch.stack([x, floor + height * p], -1)
    foot = torch.stack([x, torch.full_like(x, floor)], -1)
    return torch.cat([curve, foot.flip(0)])


def area(x: Tensor, p: Tensor) -> float:
    """∫ p dx by the trapezoidal rule along the points; positive whichever way x runs."""
    return abs(float(torch.trapezoid(p.double(), x.double())))


class Line:
    """Scenes of 1-D flows over one window."""

    def __init__(self, base: Base, window: float | tuple[float, float] = 4.0) -> None:
        if isinstance(window, (int, float)) and math.isfinite(window) and window > 0:
            window = (-window, window)
        try:
            low, high = (float(v) for v in window)
        except (TypeError, ValueError):
            raise ValueError(f"window is {window!r}; expected a half width above 0 or (low, high)") from None
        self.xlim = (low, high)
        self._check(base)

    def _check(self, base: Base) -> None:
        ((low, high),) = base_range(base)
        edge = 0.7 * (high - low) if base.box is None else 0.0
        self.z = torch.linspace(low - edge, high + edge, POINTS).unsqueeze(-1)  # (points, 1)
        self.ends = torch.linspace(low, high, 25).unsqueeze(-1)  # where threads start

    def nodes(self, flow: Flow, z: Tensor) -> Tensor:
        """The z (n, 1) and, between them, those that land on even x: a curve needs them where f stretches much."""
        back = flow.transform.inverse(torch.linspace(*self.xlim, 241).unsqueeze(-1))[0]
        between = (back > z[0]) & (back < z[-1])  # nan is not
        return torch.cat([z, back[between].unsqueeze(-1)]).sort(0).values

    def push(self, flow: Flow, z: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """z (n, 1) -> x (n,) not far outside the window, p(z) (n,) and p(x) (n,); what is not finite has no height."""
        x, log_det = flow.transform(z)
        p_z = flow.base.log_prob(z).exp()
        p_x = p_z * torch.exp(-log_det)
        if not (torch.isfinite(x).any() and torch.isfinite(p_x).any()):
            raise ValueError("every value of f(z) or of its density is nan or infinite at these parameters")
        low, high = self.xlim
        x = torch.nan_to_num(x[:, 0], nan=low).clamp(2 * low - high, 2 * high - low)
        return x, p_z, torch.nan_to_num(p_x, nan=0.0, posinf=0.0)

    def scene(self, flow: Flow, interval: tuple[float, float], title: str = "") -> Scene:
        self._check(flow.base)
        z = self.nodes(flow, self.z)
        x, p_z, p_x = self.push(flow, z)
        height = DEEP / float(p_z.max())  # one scale for both densities and all frames: equal areas look equal
        top = TALL / height
        cut = self.nodes(flow, torch.linspace(*sorted(interval), 2001).unsqueeze(-1))
        cut_x, cut_pz, cut_px = self.push(flow, cut)
        few = self.nodes(flow, torch.linspace(*sorted(interval), 101).unsqueeze(-1))
        few_x, few_pz, few_px = self.push(flow, few)
        layers = [
            Lines(*self._threads(flow), alpha=0.75, width=1.2),
            Lines([[[self.xlim[0], 0.0], [self.xlim[1], 0.0]]], color="base", width=1.5),
            Lines([[[self.xlim[0], GAP], [self.xlim[1], GAP]]], color="data", width=1.5),
            Polygon(graph(z[:, 0], p_z, 0.0, -height), "base", 0.30, edge="base"),
            Polygon(graph(x, p_x.clamp_max(top), GAP, height), "data", 0.30, edge="data"),
            Polygon(graph(few[:, 0], few_pz, 0.0, -height), "base", 0.75),
            Polygon(graph(few_x, few_px.clamp_max(top), GAP, height), "data", 0.75),
            Polygon(
                torch.cat([strand(cut[:1, 0], cut_x[:1])[0], strand(cut[-1:, 0], cut_x[-1:])[0].flip(0)]), "light", 0.18
            ),
            Label(
                self.xlim[0] + 0.02 * (self.xlim[1] - self.xlim[0]),
                GAP + TALL + 0.11,
                "data density p(x)",
                "data",
                align="left",
            ),
            Label(
                self.xlim[0] + 0.02 * (self.xlim[1] - self.xlim[0]),
                -DEEP - 0.11,
                "base density p(z)",
                "base",
                align="left",
            ),
            *self._cut(x, p_x, top),
        ]
        up = ticks(0.0, top, 8)
        down = [(v, text) for v, text in up if 0 < v * height <= DEEP]
        scale = [(GAP + height * v, text) for v, text in up] + [(-height * v, text) for v, text in [(0.0, "0"), *down]]
        panel = Panel(
            self.xlim,
            (-DEEP - 0.25, GAP + TALL + 0.25),
            title or "x = f(z): lengths change, areas stay",
            layers,
            equal=False,
            yticks=scale,
            height=400,
        )
        numbers = [("area below", f"{area(cut[:, 0], cut_pz):.3f}"), ("area above", f"{area(cut_x, cut_px):.3f}")]
        return Scene([panel], numbers, keys=[det_key("|dx/dz|")])

    def _cut(self, x: Tensor, p_x: Tensor, top: float) -> list[Label]:
        """Where the data density is higher than the panel: a mark with its height, else nothing."""
        seen = torch.where((x >= self.xlim[0]) & (x <= self.xlim[1]), p_x, 0.0)
        if float(seen.max()) <= 1.001 * top:
            return []
        return [Label(float(x[seen.argmax()]), GAP + TALL + 0.11, f"▲ up to {float(seen.max()):.3g}", "data")]

    def _threads(self, flow: Flow) -> tuple[Tensor, Tensor]:
        """From each z on the lower axis to f(z) on the upper one, and log|dx/dz| along each."""
        x, log_det = flow.transform(self.ends)
        lines = strand(self.ends[:, 0], x[:, 0])
        return lines, log_det.unsqueeze(-1).expand(lines.shape[:2])

    def probe(self, flow: Flow, x: float, y: float) -> str:
        """|dx/dz| and both densities: at z in the lower half of the picture, at x in the upper one."""
        at = torch.tensor([[x]])
        z = flow.transform.inverse(at)[0] if y > GAP / 2 else at
        there, log_det = flow.transform(z)
        p_z, slope = float(flow.base.log_prob(z).exp()), math.exp(float(log_det))
        return (
            f"z = {float(z):.2f} goes to x = {float(there):.2f}:   |dx/dz| = {slope:.3g},   p(z) = {p_z:.3g},   "
            f"p(x) = {p_z / slope:.3g}"
        ).replace("-", "−")


def default_interval(base: Base) -> tuple[float, float]:
    """An interval a little right of the middle: −0.5 to 1 for a standard normal."""
    ((low, high),) = base_range(base)
    return low + (high - low) * 5 / 12, low + (high - low) * 2 / 3


def strand(z: Tensor, x: Tensor, vertices: int = 17) -> Tensor:
    """Smooth curves from (z, 0) to (x, GAP); (n, vertices, 2)."""
    t = torch.linspace(0, 1, vertices)
    ease = t * t * (3 - 2 * t)
    across = z.unsqueeze(-1) + (x - z).unsqueeze(-1) * ease
    return torch.stack([across, (GAP * t).expand_as(across)], -1)
