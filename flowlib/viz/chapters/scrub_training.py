"""Scrub through training: the flow at every snapshot of a fit, beside the loss at that step."""

from __future__ import annotations

import copy
from dataclasses import replace
from typing import Any

import numpy as np

from flowlib.core import Flow
from flowlib.training.history import History
from flowlib.viz.chapters.losses import smooth
from flowlib.viz.engine.controls import Slider
from flowlib.viz.engine.explorer import Explorer
from flowlib.viz.engine.scene import Dots, Label, Layer, Lines, Panel, Scene, density_key, det_key
from flowlib.viz.flows.painted import density_on
from flowlib.viz.flows.pictures import check_dim
from flowlib.viz.flows.plane import DIM, FROM_BASE, FROM_DATA, Plane, points_of, window_of

VERTICES = 400  # of the curve of training losses, at most


def scrub_training(
    flow: Flow,
    history: History,
    data: Any = None,
    *,
    window: float | tuple | None = None,
    context: Any = None,
    samples: int = 300,
    resolution: int = 200,
    title: str = "",
    alt: str | None = None,
    stages: bool = False,
) -> Explorer:
    """A slider over the snapshots of a fit: the flow's density, grid and samples then, and where the loss was.

    The held-out loss is measured at some steps only; between two of them it is read off the line that joins them.
    The flow itself is left alone: the explorer works on a copy.

    Args:
        flow: the fitted flow, on the plane.
        history: what `fit(flow, ..., snapshots=20)` returned.
        data: points (n, 2), or what samples them (`toy.two_moons()`, `energies.u1`): blue under amber samples.
        window: as in `explore`; by default as the data need it.
        context: for a conditional flow, the context at which it is shown.
        samples, resolution: number of points; pixels a side of the density.
        title, alt, stages: as in `explore`.

    >>> import torch
    >>> from flowlib.training.fit import fit
    >>> from flowlib.models import real_nvp
    >>> flow, x = real_nvp(layers=2), torch.randn(200, 2)
    >>> scrub_training(flow, fit(flow, x, steps=4, snapshots=3), x).sliders["state"].value
    2
    """
    check_dim(flow, 2, "scrub_training")
    check_history(history)
    steps, points = sorted(history.snapshots), points_of(data)
    total = max(steps[-1], len(history.losses))
    flow = copy.deepcopy(flow).eval()
    shown = flow if context is None else flow.given(context)
    plane = Plane(flow.base, window_of(window, data, 3.0), resolution, samples)
    curves, finished = LossCurves(history), {}

    def flow_at(state: int) -> Flow:
        flow.load_state_dict(history.snapshots[steps[state]])
        return shown

    def panel_at(state: int, fine: bool) -> Panel:
        """The flow at one snapshot; what has been drawn fine is kept."""
        if state in finished:
            return finished[state]
        flow, n = flow_at(state), resolution if fine else max(2, resolution // 2)
        panel = plane.data_panel(flow, n, density=density_on(flow, plane.xlim, plane.ylim, n))
        heat, grid, dots = panel.layers
        panel.layers = [
            replace(heat, scale=DIM * plane.scale),
            *([] if points is None else [Dots(points, FROM_DATA, size=1.2, alpha=0.9, toggle="data")]),
            replace(grid, alpha=0.5),
            replace(dots, color=FROM_BASE, size=1.5, alpha=0.9),
        ]
        if fine:
            finished[state] = panel
        return panel

    def draw(values: dict[str, Any], fine: bool) -> Scene:
        state = values["state"]
        step = steps[state]
        words = f"{title + ', ' if title else 'the flow '}after {step} of {total} steps"
        panel = replace(panel_at(state, fine), title=words)
        numbers = [("held-out loss", nats(curves.at(step)))]
        if history.floor is not None:
            numbers.append(("above the floor", nats(curves.at(step) - history.floor)))
        keys = [density_key("data", DIM * plane.scale, "p(x)"), det_key()]
        return Scene([panel, curves.panel(step)], numbers, keys=keys)

    def probe(values: dict[str, Any], panel: int, x: float, y: float) -> str:
        if panel == 0:
            return plane.probe(flow_at(values["state"]), False, x, y)
        return f"step {max(0.0, x):.0f}: held-out loss {nats(curves.at(x))}"

    last = len(steps) - 1
    return Explorer(
        draw,
        {"state": Slider(last, 0, last)},
        alt=alt or f"the density, grid and samples of a flow at {len(steps)} moments of its training, beside its loss",
        toggles=("density", "grid", "samples", *(["data"] if points is not None else [])),
        probe=probe,
        stages=stages,
    )


class LossCurves:
    """The losses of a history as layers, made once; `panel` adds the mark of a step."""

    def __init__(self, history: History) -> None:
        held = np.array(sorted(history.held_out.items()), dtype=float)  # (checks, 2)
        self.steps, self.held_out = held.T
        loss, width = np.asarray(history.losses, dtype=float), max(1, len(history.losses) // 50)
        mean, at = smooth(loss, width), np.arange(len(loss) - width + 1) + (width + 1) / 2  # each at its middle
        some = np.unique(np.linspace(0, len(mean) - 1, VERTICES).round().astype(int))
        self.xlim = (0.0, max(float(self.steps[-1]), 1.0))
        low = min(mean.min(), self.held_out.min(), np.inf if history.floor is None else history.floor)
        high = max(np.quantile(mean, 0.97), history.best)
        margin = 0.08 * max(high - low, 1e-3)
        self.ylim = (float(low - margin), float(high + 3 * margin))
        x0, x1, (y0, y1) = *self.xlim, self.ylim
        end, line = x0 + 0.97 * (x1 - x0), 0.055 * (y1 - y0)
        self.layers: list[Layer] = [
            Lines(np.stack([at[some], mean[some]], -1)[None], color="data", width=1.2, alpha=0.8),
            Lines(held[None], color="base", width=1.6),
            Dots(held, "base", size=2.2, alpha=1.0),
            Dots([[history.best_step, history.best]], "base", size=5.0, alpha=1.0),
            Label(end, y1 - line, "training", "data", align="right"),
            Label(end, y1 - 2 * line, "held out, ● the best", "base", align="right"),
        ]
        if history.floor is not None:
            self.layers += [
                Lines([[[x0, history.floor], [x1, history.floor]]], color="muted", width=1.4, dash=True),
                Label(x0 + 0.03 * (x1 - x0), history.floor + 0.6 * line, "floor", "muted", align="left"),
            ]

    def at(self, step: float) -> float:
        """The held-out loss at a step, on the line between the two measured ones beside it."""
        return float(np.interp(step, self.steps, self.held_out))

    def panel(self, step: float) -> Panel:
        at = min(self.at(step), self.ylim[1])  # an untrained flow may be far above the picture
        mark = [
            Lines([[[step, self.ylim[0]], [step, self.ylim[1]]]], color="light", width=1.2, alpha=0.8),
            Dots([[step, at]], "light", size=4.0, alpha=1.0),
        ]
        layers = [*self.layers, *mark]
        return Panel(self.xlim, self.ylim, "loss in nats", layers, equal=False, xlabel="step", height=340)


def nats(value: float) -> str:
    return f"{value:.3f} nats".replace("-", "−")


def check_history(history: Any) -> None:
    if not isinstance(history, History):
        raise TypeError(
            f"scrub_training expects what fit returned, a History, got a {type(history).__name__}; write "
            "history = fit(flow, data, snapshots=20)"
        )
    if len(history.snapshots) < 2:
        raise ValueError(
            f"scrub_training: the history holds {len(history.snapshots)} snapshots, a slider needs 2 or more; write "
            "fit(flow, data, snapshots=20)"
        )
