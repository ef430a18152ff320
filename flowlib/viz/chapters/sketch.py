"""A sheet for a prediction: the reader draws a curve, and only then the true one is laid over it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor

from flowlib.viz.engine.controls import Choice, Pen
from flowlib.viz.engine.explorer import Explorer
from flowlib.viz.engine.scene import Area, Label, Lines, Panel, Scene

PLACES, POINTS = 81, 401  # of the curve that is drawn, and of those that are given
Curve = Callable[[Tensor], Tensor]  # y(x), (n,) -> (n,)


def sketch(
    truth: Curve,
    xlim: tuple[float, float],
    ylim: tuple[float, float],
    *,
    alt: str,
    given: tuple[str, Curve] | None = None,
    density: bool = False,
    title: str = "draw it, then show the truth",
    xlabel: str = "x",
    ylabel: str = "",
) -> Explorer:
    """Draw y(x) with the mouse, a finger or the arrow keys; *show* lays the truth over it and says how far it is off.

    Args:
        truth: y(x), (n,) -> (n,). Nothing of it is in the picture before *show* is pressed.
        xlim, ylim: the sheet, wide enough for wrong answers too.
        alt: what is to be drawn, in words; not the answer.
        given: (name, y(x)), a curve that is there from the start, dashed.
        density: fill the truth, and say the mass under the drawn curve too.
        title, xlabel, ylabel: of the panel.

    >>> sheet = sketch(lambda x: x**2, (-1.0, 1.0), (0.0, 1.0), alt="a sheet for the square of x")
    >>> sheet
    Explorer: a sheet for the square of x. Controls: curve = 0 of 81 places drawn, truth = hide.
    >>> sheet.set(curve=[0.25] * 81, truth="show")
    >>> sheet.scene.numbers
    [('Your curve is farthest off at', 'x = −1: it is 0.75 too low.')]
    """
    x, at = torch.linspace(*xlim, POINTS), torch.linspace(*xlim, PLACES)
    y, y_at = heights("truth", truth, x), heights("truth", truth, at)
    start = [] if given is None else [line(x, heights("given", given[1], x), "base", dash=True)]
    corner = xlim[0] + 0.03 * (xlim[1] - xlim[0])

    def word(row: int, text: str, color: str) -> Label:
        return Label(corner, ylim[1] - (0.06 + 0.08 * row) * (ylim[1] - ylim[0]), text, color, align="left")

    def draw(values: dict[str, Any], fine: bool) -> Scene:
        drawn, shown = values["curve"], values["truth"] == "show"
        hint = ": draw with mouse, finger or arrow keys" if drawn.isnan().all() else ""
        layers = [*start, word(0, f"your curve{hint}", "light")]
        layers += [word(2, f"{given[0]}, dashed", "base")] if given else []
        if shown:
            layers += [Area(x, ylim[0], y, "data", 0.3)] if density else []
            layers += [line(x, y, "data"), word(1, "the truth", "data")]
        layers += [line(at, drawn, "light")]
        panel = Panel(xlim, ylim, title, layers, equal=False, xlabel=xlabel, ylabel=ylabel)
        return Scene([panel], compare(at, drawn, y_at, xlabel, density) if shown else [])

    controls = {"curve": Pen(PLACES), "truth": Choice("hide", ["hide", "show"])}
    return Explorer(draw, controls, alt=alt)


def heights(name: str, curve: Curve, x: Tensor) -> Tensor:
    """The curve at x (n,), checked."""
    if not callable(curve):
        raise TypeError(f"sketch: {name} is {curve!r}; expected a function y(x) from a tensor (n,) to one (n,)")
    with torch.no_grad():
        y = torch.as_tensor(curve(x))
    if y.shape != x.shape:
        raise ValueError(f"sketch: {name} made {tuple(y.shape)} of x {tuple(x.shape)}; expected one height for each x")
    if not y.isfinite().all():
        worst = float(x[~y.isfinite()][0])
        raise ValueError(f"sketch: {name} is not finite at x = {worst:g}; choose xlim where it is")
    return y.float()


def line(x: Tensor, y: Tensor, color: str, dash: bool = False) -> Lines:
    return Lines(torch.stack([x, y], -1)[None], color=color, width=1.5 if dash else 2.5, dash=dash)


def compare(x: Tensor, drawn: Tensor, truth: Tensor, xlabel: str, density: bool) -> list[tuple[str, str]]:
    """What is said below the picture once the truth is there: drawn and truth (n,), drawn nan where nothing is."""
    if drawn.isnan().all():
        return [("You have drawn nothing:", "there is nothing to compare.")]
    off = (drawn - truth).nan_to_num()
    worst = int(off.abs().argmax())
    span = float(x[-1] - x[0])
    at = round(float(x[worst]) / span, 4) * span + 0.0  # 0, where the grid says −2e−7
    where = f"{xlabel} = {at:.3g}".replace("-", "−")
    words = f"{where}: it is {abs(float(off[worst])):.2g} too {'high' if off[worst] > 0 else 'low'}."
    said = [("Your curve is farthest off at", words)]
    if not density:
        return said
    mass = float(torch.trapezoid(drawn.nan_to_num(), x))
    return [("The mass under your curve is", f"{mass:.2f}; a density has 1."), *said]
