"""Scrub through the time of continuous flows: where grid and points are at t, and the density there."""

from __future__ import annotations

import copy
from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor

from flowlib.core import Flow
from flowlib.transforms.continuous import Continuous
from flowlib.viz.engine.controls import Choice, Slider
from flowlib.viz.engine.evaluate import evaluating
from flowlib.viz.engine.explorer import Explorer
from flowlib.viz.engine.scene import Dots, Heat, Lines, Panel, Scene, density_key, det_key
from flowlib.viz.flows.painted import REACH, from_mesh
from flowlib.viz.flows.plane import DIM, FROM_BASE, Plane, base_range, pixels


def scrub_time(
    flows: Flow | Mapping[str, Flow],
    *,
    window: float | tuple = 3.0,
    points: int = 300,
    paths: int = 40,
    resolution: int = 110,
    title: str = "",
    alt: str | None = None,
) -> Explorer:
    """A slider over the time of one continuous flow, or of several to choose from, from noise at 0 to data at 1.

    Shown in the standard units that the field works in: what stands behind it, such as `Units`, is left out. Nothing is
    solved while the slider moves: the states at each step of the solver are kept.

    Args:
        flows: on the plane, the first layer of each a `Continuous`; or {name: flow}.
        window: half width of the picture, or ((x0, x1), (y0, y1)).
        points, paths: how many points are shown, and of how many the way so far.
        resolution: pixels a side of the density.
        title, alt: of the panel; what the picture shows, in words.

    >>> from flowlib.models import flow_matching
    >>> scrub_time(flow_matching(hidden=[8], steps=4), resolution=20).scene.panels[0].title
    't = 1.00'
    """
    named = {"": flows} if isinstance(flows, Flow) else dict(flows)
    first = next(iter(named.values()))
    plane = Plane(first.base, window, resolution, points)
    with evaluating():
        walks = {name: Walk(flow, plane, resolution, paths) for name, flow in named.items()}
    shown: dict[tuple[str, int], Tensor] = {}

    def draw(values: dict[str, Any], fine: bool) -> Scene:
        name, t = values.get("flow", ""), values["t"]
        walk = walks[name]
        k = round(t * (len(walk.grid) - 1))
        if (name, k) not in shown:
            shown[name, k] = walk.density(k, plane)
        states = torch.stack([x for x, _ in walk.dots])  # (steps + 1, points, 2)
        layers = [
            Heat(shown[name, k], "data" if k else "base", scale=DIM * plane.scale, toggle="density"),
            Lines(walk.grid[k][0], log_det=walk.grid[k][1], alpha=0.4, toggle="grid"),
            Dots(states[k], FROM_BASE, size=1.6, alpha=0.9, toggle="samples"),
        ]
        if k:
            layers.append(Lines(states[: k + 1, :paths].transpose(0, 1), width=1.0, alpha=0.7, toggle="paths"))
        caption = f"t = {k / (len(walk.grid) - 1):.2f}"
        caption = ", ".join(part for part in (title, name, caption) if part)
        lengths = (states[1 : k + 1] - states[:k]).norm(dim=-1).sum(0)
        straight = (states[k] - states[0]).norm(dim=-1)
        ratio = float(lengths.sum() / straight.sum()) if k else 1.0
        numbers = [
            ("log |det J| so far, mean over the points", f"{float(walk.dots[k][1].mean()):.2f}".replace("-", "−")),
            ("length of the ways over the straight line", f"{ratio:.2f}"),
        ]
        keys = [density_key("data" if k else "base", DIM * plane.scale, "density"), det_key()]
        return Scene([Panel(plane.xlim, plane.ylim, caption, layers)], numbers, keys=keys)

    controls: dict[str, Any] = {"t": Slider(1.0, 0.0, 1.0, 0.01)}
    if len(named) > 1:
        controls["flow"] = Choice(next(iter(named)), list(named), symbol=" ")
    return Explorer(
        draw,
        controls,
        main="t",
        alt=alt or "grid, points and density of a continuous flow on their way from noise at time 0 to data at time 1",
        toggles=("density", "grid", "samples", "paths"),
    )


class Walk:
    """The states of grid, points and mesh at each step of the solver."""

    def __init__(self, flow: Flow, plane: Plane, resolution: int, paths: int):
        flow = copy.deepcopy(flow).eval()
        layer = flow.transform.layers()[0]
        if not isinstance(layer, Continuous):
            raise ValueError(
                f"scrub_time shows flows whose first layer is Continuous, such as flow_matching(2); got {layer.kind}. "
                "For flows of layers there is scrub_layers."
            )
        box = [(low - REACH * (high - low), high + REACH * (high - low)) for low, high in base_range(flow.base)]
        mesh = pixels(*box, resolution)[0]  # (n, n, 2)
        self.log_base = flow.base.log_prob(mesh)
        self.grid, self.dots, self.mesh = (list(layer.trace(z)) for z in (plane.grid, plane.z, mesh))

    def density(self, k: int, plane: Plane) -> Tensor:
        """The density after k steps, on pixels."""
        x, log_det = self.mesh[k]
        return from_mesh(x, self.log_base - log_det, plane.xlim, plane.ylim)
