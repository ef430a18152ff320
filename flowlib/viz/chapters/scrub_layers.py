"""Scrub through the layers of a flow: the state of grid and points after 0, 1, ..., K of them."""

from __future__ import annotations

import copy
from typing import Any

import torch
from torch import Tensor

from flowlib.core import Compose, Flow, Inverse, Transform, Wrapper
from flowlib.transforms.coupling import Coupling
from flowlib.viz.engine.controls import Choice, Slider
from flowlib.viz.engine.evaluate import evaluating
from flowlib.viz.engine.explorer import Explorer
from flowlib.viz.engine.scene import Dots, Heat, Lines, Panel, Scene, density_key, det_key
from flowlib.viz.flows.painted import density_on
from flowlib.viz.flows.pictures import check_dim
from flowlib.viz.flows.plane import DIM, FROM_BASE, FROM_DATA, Plane, points_of, window_of

DOTS = {"generate": FROM_BASE, "normalize": FROM_DATA}


def scrub_layers(
    flow: Flow,
    data: Any = None,
    *,
    window: float | tuple | None = None,
    context: Any = None,
    samples: int = 500,
    resolution: int = 200,
    paths: int = 6,
    title: str = "",
    alt: str | None = None,
    stages: bool = False,
) -> Explorer:
    """A slider over the layers of a flow: density, grid and points after k of them, and the paths of a few points.

    "generate" carries points of the base (amber) towards the data, "normalize" carries data (blue) back to the base.
    Of a coupling layer the title says which coordinate was kept and which moved. The explorer works on a copy of the
    flow: training it further does not change the picture.

    Args:
        flow: on the plane, of any number of layers.
        data: points (n, 2), or what samples them, for "normalize" (default: samples of the flow).
        window: as in `explore`; by default 4, more if the data need it.
        context: for a conditional flow, the context at which it is shown.
        samples, resolution: number of points; pixels a side of the density.
        paths: number of points whose way through the layers is drawn.
        title, alt, stages: as in `explore`.

    >>> from flowlib.models import real_nvp
    >>> explorer = scrub_layers(real_nvp(layers=2))
    >>> explorer.scene_at(k=1).panels[0].title
    'after layer 1 of 4: Coupling, x₁ kept, x₂ moved'
    """
    check_dim(flow, 2, "scrub_layers")
    flow = copy.deepcopy(flow).eval()
    layers = (flow if context is None else flow.given(context)).transform.layers()
    names, count = [name_of(layer) for layer in layers], len(layers)
    generate = Compose(layers)
    normalize = Compose([Inverse(layer) for layer in reversed(layers)])
    plane = Plane(flow.base, window_of(window, data, 4.0), resolution, samples)
    with evaluating():
        grid = list(generate.trace(plane.grid))
        ring = torch.stack([state for state, _ in generate.trace(on_ring(plane.z, paths))])  # (K + 1, paths, 2)
        points = {"generate": list(generate.trace(plane.z))}
        source = points_of(data)
        if source is None:
            source = points["generate"][-1][0]
        points["normalize"] = list(normalize.trace(source[:samples]))
    finished: dict[int, Tensor] = {}

    def density(layer: int, fine: bool) -> Tensor:
        """The density after so many layers, (n, n); what has been drawn fine is kept."""
        if layer in finished:
            return finished[layer]
        n = resolution if fine else max(2, resolution // 2)
        values = density_on(Flow(generate[:layer], flow.base), plane.xlim, plane.ylim, n)
        if fine:
            finished[layer] = values
        return values

    def draw(values: dict[str, Any], fine: bool) -> Scene:
        k, direction = values["k"], values["direction"]
        layer = k if direction == "generate" else count - k  # so many layers act on the base
        role = "data" if layer else "base"
        dots, log_det = points[direction][k]
        path = ring[: layer + 1] if direction == "generate" else ring[layer:].flip(0)
        shown = [
            Heat(density(layer, fine), role, scale=DIM * plane.scale, toggle="density"),
            Lines(grid[layer][0], log_det=grid[layer][1], alpha=0.5, toggle="grid"),
            Dots(dots, DOTS[direction], size=1.6, alpha=0.9, toggle="samples"),
        ]
        if paths:
            shown += [
                Lines(path.transpose(0, 1), width=1.8, toggle="paths"),
                Dots(path[0], DOTS[direction], size=3.0, alpha=1.0, toggle="paths"),
                Dots(path[-1], "light", size=4.5, alpha=1.0, toggle="paths"),
            ]
        panel = Panel(plane.xlim, plane.ylim, caption(title, direction, k, names), shown)
        numbers = [("log |det J| so far, mean over the points", f"{float(log_det.mean()):.2f}".replace("-", "−"))]
        keys = [density_key(role, DIM * plane.scale, "density"), det_key()]
        return Scene([panel], numbers, keys=keys)

    return Explorer(
        draw,
        {"k": Slider(count, 0, count), "direction": Choice("generate", list(DOTS), symbol=" ")},
        main="k",
        alt=alt or f"the density, grid and points of a flow after each of its {count} layers, and the paths of {paths}",
        toggles=("density", "grid", "samples", *(["paths"] if paths else [])),
        stages=stages,
    )


def name_of(layer: Transform) -> str:
    """A layer in a few words; of a coupling layer, which coordinate stays and which moves."""
    if isinstance(layer, Inverse):
        name = name_of(layer.transform)
        return name if isinstance(layer.transform, Coupling) else f"inverse of {name}"
    if isinstance(layer, Wrapper):
        return name_of(layer.transform)
    if isinstance(layer, Coupling):
        kept, moved = (int(part) for part in layer.partition.split(torch.arange(2)))
        return f"Coupling, x{'₁₂'[kept]} kept, x{'₁₂'[moved]} moved"
    return layer.kind


def caption(title: str, direction: str, k: int, names: list[str]) -> str:
    """What the picture shows: how many layers have acted, and what the last one did."""
    count = len(names)
    if direction == "generate":
        words = f"after layer {k} of {count}: {names[k - 1]}" if k else "the base, before the first layer"
    else:
        words = f"layer {count - k + 1} of {count} undone: {names[count - k]}" if k else "the data, no layer undone"
    return f"{title}, {words}" if title else words


def on_ring(z: Tensor, n: int) -> Tensor:
    """n points round the middle of the samples z, one and a half standard deviations out, (n, 2)."""
    angle = 2 * torch.pi * (torch.arange(n) + 0.25) / max(n, 1)
    return z.mean(0) + 1.5 * z.std(0) * torch.stack([angle.cos(), angle.sin()], -1)
