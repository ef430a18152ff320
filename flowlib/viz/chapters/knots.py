"""Drag the knots of a rational-quadratic spline: the function, and the density that it makes of the base."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import torch
from torch import Tensor

from flowlib.bases import StandardNormal
from flowlib.core import Base
from flowlib.laws import RationalQuadratic
from flowlib.support.checks import check_above_zero, check_count
from flowlib.viz.engine.controls import Point, Slider
from flowlib.viz.engine.explorer import Explorer
from flowlib.viz.engine.scene import Area, Dots, Label, Lines, Panel, Scene, det_key
from flowlib.viz.flows.line import area

STEP = 0.05  # of the sliders
GAP = 0.2  # the least distance between two neighbouring knots, in both directions
VERTICES = 301
BESIDE = 33  # z in each bin


@dataclass
class Knot(Point):
    """A point that cannot pass its neighbours: `before` and `after` are their names, None for a corner of the box."""

    before: str | None = None
    after: str | None = None

    def confine(self, name: str, read: dict[str, Any]) -> dict[str, Any]:
        out = {}
        for part in (f"{name}_1", f"{name}_2"):
            low = self.low if self.before is None else read[self.before + part[-2:]]
            high = self.high if self.after is None else read[self.after + part[-2:]]
            inside = min(max(read[part], low + GAP), high - GAP)
            if abs(inside - read[part]) > 1e-9:  # a slider put back for its last digit would jump under a quick hand
                out[part] = round(inside, 10)
        return out


def drag_knots(
    bins: int = 4,
    *,
    bound: float = 3.0,
    knots: Sequence[tuple[float, float]] | None = None,
    slopes: Sequence[float] | None = None,
    base: Base | None = None,
    title: str = "",
    alt: str | None = None,
) -> Explorer:
    """A spline x = f(z) whose inner knots are dragged in the picture and whose slopes at the knots have sliders.

    A knot stops where it would pass a neighbour, so that f always increases: that is all it takes to be invertible.
    Everything is computed by `flowlib.laws.RationalQuadratic`.

    Args:
        bins: K, 2 to 8; there are K − 1 inner knots.
        bound: half the side of the box; outside it f is the identity.
        knots: [(z, x), ...], the inner knots at the start, from left to right (default: a gentle wave).
        slopes: dx/dz at the inner knots at the start (default: all 1).
        base: p_Z on the line (default StandardNormal(1)).
        title, alt: of the left panel; what the picture shows, in words.

    >>> drag_knots(bins=3).scene.numbers[0]
    ('area under p(x)', '1.000')
    """
    check_count("drag_knots", "bins", bins, 2)
    law = RationalQuadratic(bins, check_above_zero("drag_knots", "bound", bound))
    if 2 * bound < 2 * GAP * bins or bins > 8:
        raise ValueError(f"drag_knots: {bins} bins in a box of half side {bound:g}; expected 2 to 8, {GAP:g} apart")
    base = StandardNormal(1) if base is None else base
    start, rises = start_of(bins, bound, knots), [1.0] * (bins - 1) if slopes is None else list(slopes)
    if len(rises) != bins - 1:
        raise ValueError(f"drag_knots: got {len(rises)} slopes; {bins} bins have {bins - 1} inner knots")
    names = [f"p{k}" for k in range(1, bins)]
    nearby = zip([None, *names[:-1]], [*names[1:], None], strict=True)
    controls: dict[str, Any] = {
        name: Knot(at, -bound, bound, step=STEP, panel=0, before=before, after=after)
        for name, at, (before, after) in zip(names, start, nearby, strict=True)
    }
    controls |= {f"d{k}": Slider(float(d), 0.05, 5.0, STEP) for k, d in enumerate(rises, 1)}
    view = 1.25 * bound
    z = torch.linspace(-view, view, VERTICES).unsqueeze(-1)  # (points, 1)
    p_z = base.log_prob(z).exp()

    def params(values: dict[str, Any]) -> Tensor:
        inner = ordered(torch.stack([values[name] for name in names]), bound)  # (K − 1, 2)
        rises = torch.tensor([values[f"d{k}"] for k in range(1, bins)])
        return params_from_knots(law, inner, rises).unsqueeze(0)  # (1, 3 K − 1)

    def draw(values: dict[str, Any], fine: bool) -> Scene:
        raw = params(values)
        even = law.inverse(z, raw.expand(len(z), 1, -1))[0]  # z that land on even x: a steep curve needs them
        at = torch.cat([z, even, beside_knots(law, raw)]).sort(0).values
        x, log_slope = law(at, raw.expand(len(at), 1, -1))
        log_slope = log_slope[:, 0]
        p_x = base.log_prob(at).exp() * torch.exp(-log_slope)
        knots = law.knots(raw)[0]  # (3, K + 1)
        slope = log_slope.exp()
        numbers = [
            ("area under p(x)", f"{area_under(base, law, raw, x[:, 0]) + outside(base, view):.3f}"),
            ("dx/dz from", f"{float(slope.min()):.2f} to {float(slope.max()):.2f}"),
        ]
        panels = [function_panel(at[:, 0], x[:, 0], log_slope, knots, bound, title), density_panel(x[:, 0], p_x)]
        return Scene(panels, numbers, keys=[det_key("dx/dz")])

    def density_panel(x: Tensor, p_x: Tensor) -> Panel:
        peak = float(p_z.max())
        top = max(1.6 * peak, min(1.15 * float(p_x.max()), 5 * peak))
        layers = [
            Area(z[:, 0], 0.0, p_z, "base", 0.45),
            Lines(torch.stack([z[:, 0], p_z], -1)[None], color="base", width=1.2, dash=True),
            Area(x, 0.0, p_x, "data", 0.45),
            Lines(torch.stack([x, p_x], -1)[None], color="data", width=2.0),
            Label(-0.95 * view, 0.94 * top, "base density p(z), dashed", "base", align="left"),
            Label(-0.95 * view, 0.86 * top, "data density p(x)", "data", align="left"),
        ]
        return Panel((-view, view), (0.0, top), "the density it makes", layers, equal=False, height=340)

    def probe(values: dict[str, Any], panel: int, x: float, y: float) -> str:
        raw, at = params(values), torch.tensor([[x]])
        at = at if panel == 0 else law.inverse(at, raw.unsqueeze(0))[0]
        there, log_slope = law(at, raw.unsqueeze(0))
        slope = math.exp(float(log_slope))
        p = float(base.log_prob(at).exp())
        text = f"z = {float(at):.2f} goes to x = {float(there):.2f}:   dx/dz = {slope:.3g},   "
        return (text + f"p(z) = {p:.3g},   p(x) = {p / slope:.3g}").replace("-", "−")

    return Explorer(
        draw,
        controls,
        main=f"d{bins // 2}",
        alt=alt or f"a rational-quadratic spline through {bins + 1} knots, and the density that it makes of the base",
        probe=probe,
    )


def start_of(bins: int, bound: float, knots: Sequence[tuple[float, float]] | None) -> list[tuple[float, float]]:
    """The inner knots at the start, on the steps of their sliders; by default a wave round the diagonal."""
    if knots is None:
        places = [(bound * (2 * k / bins - 1), 0.5 * bound / bins * (-1) ** k) for k in range(1, bins)]
        knots = [(round(z / STEP) * STEP, round((z + up) / STEP) * STEP) for z, up in places]
    knots = [(round(float(z), 10), round(float(x), 10)) for z, x in knots]
    chain = [(-bound, -bound), *knots, (bound, bound)]
    apart = min(b[i] - a[i] for a, b in pairwise(chain) for i in (0, 1))
    if len(knots) != bins - 1 or apart < GAP - 1e-9:
        raise ValueError(
            f"drag_knots: knots is {knots}; expected {bins - 1} pairs (z, x) inside ±{bound:g}, "
            f"both growing by {GAP:g} or more from pair to pair"
        )
    return knots


def ordered(knots: Tensor, bound: float) -> Tensor:
    """Knots (n, 2), each pushed past the one before it where it is not: only values set by hand need this."""
    steps = GAP * torch.arange(1, len(knots) + 1).unsqueeze(-1)
    pushed = (knots - steps).cummax(0).values + steps
    highest = bound - steps.flip(0)
    return torch.maximum(torch.minimum(pushed, highest), steps - bound)


def params_from_knots(law: RationalQuadratic, knots: Tensor, slopes: Tensor) -> Tensor:
    """The parameters (3 K − 1,) of a law whose inner knots (K − 1, 2) and slopes there (K − 1,) are these.

    The inverse of `law.knots`: any multiple of the widths makes the same shares, so the least becomes 1.
    """
    corner = torch.full((1, 2), law.bound)
    sides = torch.cat([-corner, knots, corner]).diff(dim=0).T / (2.0 * law.bound)  # widths and heights, (2, K)
    shares = (sides - law.floor) / (1.0 - law.bins * law.floor)
    shares = shares / shares.amin(-1, keepdim=True)
    steepness = 1.0 - law.floor  # of elu below zero
    raw_slopes = torch.where(slopes >= 1.0, slopes - 1.0, torch.log1p((slopes - 1.0) / steepness))
    return torch.cat([(shares - 1.0).flatten(), raw_slopes])


def beside_knots(law: RationalQuadratic, raw: Tensor) -> Tensor:
    """z in every bin, closer together beside its two knots, where a slope may change quickly; (K · BESIDE, 1)."""
    k_z = law.knots(raw)[0, 0]
    share = 0.5 - 0.5 * torch.cos(torch.linspace(0.0, math.pi, BESIDE))
    return (k_z[:-1, None] + k_z.diff()[:, None] * share).reshape(-1, 1)


def area_under(base: Base, law: RationalQuadratic, raw: Tensor, x: Tensor) -> float:
    """∫ p(x) dx along growing x (n,), by the three points of Gauss between each two: the trapezoidal rule would be up
    to 0.09 above 1 where a density falls off steeply."""
    places, weights = torch.tensor([-math.sqrt(0.6), 0.0, math.sqrt(0.6)]), torch.tensor([5.0, 8.0, 5.0]) / 18
    wide = x.diff().unsqueeze(-1)
    at = (x[:-1, None] + wide / 2 * (1 + places)).reshape(-1, 1)
    z, log_slope = law.inverse(at, raw.expand(len(at), 1, -1))
    p_x = base.log_prob(z).exp() * log_slope[:, 0].exp()
    return float((wide * weights * p_x.view(-1, 3)).double().sum())


def outside(base: Base, view: float) -> float:
    """The base's mass beyond the picture, where f is the identity: about 0.0002 for ± 3.75 deviations."""
    far = torch.linspace(view, 4 * view, 401).unsqueeze(-1)
    return area(far[:, 0], base.log_prob(far).exp()) + area(far[:, 0], base.log_prob(-far).exp())


def function_panel(z: Tensor, x: Tensor, log_slope: Tensor, knots: Tensor, bound: float, title: str) -> Panel:
    """x = f(z) coloured by its slope, the box, the diagonal, and a short tangent through each knot."""
    view = 1.25 * bound
    k_z, k_x, slope = knots
    reach = 0.24 * bound / (1.0 + slope.square()).sqrt()
    tangent = torch.stack([torch.stack([k_z + s * reach, k_x + s * reach * slope], -1) for s in (-1, 1)], 1)
    corners = [[-bound, -bound], [bound, -bound], [bound, bound], [-bound, bound], [-bound, -bound]]
    layers = [
        Lines([corners], color="muted", width=1.0, alpha=0.8),
        Lines([[[-view, -view], [view, view]]], color="muted", width=1.0, dash=True),
        Lines(torch.stack([z, x], -1)[None], log_det=log_slope[None], width=3.0),
        Lines(tangent, color="light", width=1.4),
        Dots(torch.stack([k_z, k_x], -1)[[0, -1]], "light", size=4.0, alpha=1.0),
    ]
    return Panel((-view, view), (-view, view), title or "x = f(z)", layers, xlabel="z", ylabel="x")
