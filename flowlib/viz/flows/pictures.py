"""Still pictures: each call one clean figure, or drawn into given axes.

Without `ax` each returns a `Picture`, which a notebook shows when it is the last line of a cell. Its text/plain is a
sentence made from the arguments alone, the same on every machine: strict nbval compares it, never the PNG beside it.
With `ax` (any matplotlib axes) a picture is drawn there and nothing is returned: no stray text is left under a cell.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import torch
from matplotlib.axes import Axes

from flowlib.bases import StandardNormal
from flowlib.core import Base, Compose, Flow, Transform
from flowlib.viz.engine.evaluate import evaluating
from flowlib.viz.engine.paint import Page, paint, paint_panel
from flowlib.viz.engine.picture import Picture
from flowlib.viz.engine.scene import Dots, Lines, Panel, Scene, array, density_key, det_key
from flowlib.viz.engine.theme import INK
from flowlib.viz.flows.line import Line, default_interval
from flowlib.viz.flows.plane import Plane, grid_lines, limits


def density(
    flow: Flow,
    ax: Axes | None = None,
    *,
    window: float | tuple = 4.0,
    resolution: int = 200,
    role: str = "data",
    title: str = "",
) -> Picture | None:
    """The density p_X of a flow on the plane; role="base" draws it in the colours of a base density."""
    check_dim(flow, 2, "density")
    plane = Plane(flow.base, window, resolution, samples=0)
    with evaluating():
        panel = plane.data_panel(flow, resolution, title)
    panel.layers = [replace(panel.layers[0], role=role)]
    return show(panel, ax, [density_key(role, plane.scale)], "density of a flow on the plane")


def warped_grid(
    transform: Transform | Flow,
    ax: Axes | None = None,
    *,
    window: float | tuple = 4.0,
    lines: int = 13,
    extent: float | tuple = 3.0,
    title: str = "",
) -> Picture | None:
    """The straight grid over `extent` after the transform, coloured by |det J| where each piece came from."""
    flow = transform if isinstance(transform, Flow) else Flow(transform, StandardNormal(2))
    check_dim(flow, 2, "warped_grid")
    with evaluating():
        points, log_det = flow.transform(grid_lines(list(limits(extent)), lines))
    panel = Panel(*limits(window), title or "the grid after f", [Lines(points, log_det=log_det, width=1.3)])
    return show(
        panel, ax, [det_key()], f"a straight grid of {lines} × {lines} lines after a transform, coloured by |det J|"
    )


def samples(
    points: Any,
    ax: Axes | None = None,
    *,
    n: int = 1000,
    window: float | tuple = 4.0,
    color: str = "data",
    seed: int = 0,
    title: str = "",
) -> Picture | None:
    """Points (N, 2) on the plane, or n samples of a flow or a base (by this seed; the global one is left alone)."""
    if isinstance(points, (Flow, Base)):
        with evaluating(), torch.random.fork_rng(devices=[]):
            torch.manual_seed(seed)
            points = points.sample(n)
    points = array(points, "points", None, 2)
    panel = Panel(*limits(window), title or f"{len(points)} samples", [Dots(points, color, size=1.6)])
    return show(panel, ax, [], f"{len(points)} points on the plane")


def area_stays_one(
    transform: Transform | Flow,
    ax: Axes | None = None,
    *,
    base: Base | None = None,
    interval: tuple[float, float] | None = None,
    window: float | tuple[float, float] = 4.0,
    title: str = "",
) -> Picture | None:
    """A flow on the line: threads from z to x = f(z), and an interval whose areas under the two densities are equal."""
    flow = (
        transform if isinstance(transform, Flow) else Flow(transform, base if base is not None else StandardNormal(1))
    )
    check_dim(flow, 1, "area_stays_one")
    interval = interval or default_interval(flow.base)
    with evaluating():
        scene = Line(flow.base, window).scene(flow, interval, title)
    text = f"a flow on the line; the areas over the interval {interval[0]:g} to {interval[1]:g} are equal"
    return show(scene.panels[0], ax, scene.keys, text, scene.numbers)


def filmstrip(
    flow: Flow,
    ax: Any = None,
    *,
    window: float | tuple = 4.0,
    stages: int = 6,
    resolution: int = 240,
    grid: bool = True,
    width: int = 1080,
) -> Picture | None:
    """The density after 0, 1, ..., K layers, side by side: at most `stages` of them, the first and the last always.

    `ax`: a list of that many axes to draw into instead.
    """
    check_dim(flow, 2, "filmstrip")
    if stages < 2:
        raise ValueError(f"stages is {stages}; expected 2 or more: the base and the end")
    layers = Compose(flow.transform.layers())
    total = len(layers.transforms)
    count = min(stages, total + 1)
    shown = [round(i * total / (count - 1)) for i in range(count)]
    plane = Plane(flow.base, window, resolution, samples=0, vertices=289)
    panels = []
    with evaluating():
        for k in shown:
            part = Flow(layers[:k], flow.base)
            panel = plane.data_panel(part, resolution) if k else plane.base_panel(flow.base, resolution)
            title = f"after {k} layer{'s' * (k > 1)}" if k else "base"
            panels.append(replace(panel, title=title, layers=panel.layers[: 2 if grid else 1]))
    if ax is not None:
        for one, panel in zip(ax, panels, strict=True):
            paint_panel(one, panel, decorated=False, thin=0.6)
            one.set_title(panel.title, color=INK, fontsize=9)
        return None
    wide = (width - 8 * (count - 1)) / count
    high = wide * (panels[0].aspect or 1.0)
    page = Page(width, round(high + 26))
    for i, panel in enumerate(panels):
        paint_panel(page.axes(i * (wide + 8), 0, wide, high), panel, decorated=False, thin=0.6)
        page.write(i * (wide + 8) + wide / 2, high + 4, panel.title, ha="center", size=9)
    return Picture(page.figure, f"the density of a flow after {', '.join(map(str, shown))} of its {total} layers")


def show(
    panel: Panel, ax: Axes | None, keys: list[dict], text: str, numbers: list[tuple[str, str]] = ()
) -> Picture | None:
    """The panel in the given axes, or as a figure of its own with its colour keys."""
    if ax is not None:
        paint_panel(ax, panel)
        return None
    return Picture(paint(Scene([panel], numbers, keys=keys)), f"{panel.title}: {text}")


def check_dim(flow: Any, dim: int, what: str) -> None:
    if not isinstance(flow, Flow):
        raise TypeError(
            f"{what} expects a Flow, got a {type(flow).__name__}; write Flow(transform, StandardNormal({dim}))"
        )
    if tuple(flow.base.event_shape) != (dim,):
        raise ValueError(f"{what} draws flows on points of shape ({dim},), this one has {tuple(flow.base.event_shape)}")
