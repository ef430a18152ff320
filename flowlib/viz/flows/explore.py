"""explore(...): from a function that makes a flow to a live picture of it, in one line."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any

from flowlib.bases import StandardNormal
from flowlib.core import Base, Flow, Transform
from flowlib.viz.engine.board import Board
from flowlib.viz.engine.controls import Control, Mark, symbol_of
from flowlib.viz.engine.evaluate import evaluating
from flowlib.viz.engine.explorer import Explorer
from flowlib.viz.engine.scene import Layer, Scene
from flowlib.viz.flows.line import Line, default_interval
from flowlib.viz.flows.plane import Plane, base_range


def explore(
    function: Callable[..., Transform | Flow],
    *,
    base: Base | None = None,
    window: float | tuple = 4.0,
    main: str | None = None,
    condition: tuple[str, Callable[..., bool]] | None = None,
    overlay: Callable[..., Sequence[Layer]] | None = None,
    before: bool = False,
    samples: int = 500,
    resolution: int = 200,
    interval: tuple[float, float] | None = None,
    title: str = "",
    alt: str | None = None,
    stages: bool = False,
    **controls: Control,
) -> Explorer:
    """A live picture of the flow that `function` makes from its parameters, with a control for each of them.

    On the plane: density, grid coloured by |det J| and samples; on the line: threads from z to f(z), and an interval
    whose two shaded areas stay equal.

    Args:
        function: function(**values) -> Transform or Flow on the line or the plane. Vectors arrive as tensors (2,).
        base: p_Z for a Transform (default StandardNormal).
        window: half width of the picture, or ((x0, x1), (y0, y1)), on the line (x0, x1).
        main: the slider that the frozen picture moves (default: the first plain one).
        condition: (text, predicate(**values)): a light that tells whether the flow is invertible.
        overlay: overlay(**values) -> layers drawn over the data density.
        before: on the plane, show the base density with its straight grid at the left.
        samples, resolution: number of points; pixels a side of the density.
        interval: on the line, the shaded interval (z₁, z₂), its ends dragged (default: a little right of the middle).
        title, alt: of the data panel; what the picture shows, in words.
        stages: five stages of the main slider below the frozen picture, for print.
        controls: {parameter: Slider | Choice | Arrow | Point}.

    >>> from flowlib.transforms import Planar
    >>> from flowlib.viz import Arrow, Slider, explore
    >>> explorer = explore(lambda u, b: Planar(2, u=u, w=[1.0, 0.5], b=b), u=Arrow((2.0, 0.0)), b=Slider(0.0, -4, 4))
    >>> explorer.scene.numbers
    [('mass of the density', '1.000')]
    """
    check_signature(function, controls, "explore")
    options = {"base": base, "window": window, "main": main, "samples": samples, "interval": interval, "before": before}
    for name, option in options.items():
        if isinstance(option, Control):
            raise TypeError(
                f"{name} is {option!r}, but {name} is an option of explore; call the parameter something else"
            )
    if condition is not None and (
        not isinstance(condition, tuple) or len(condition) != 2 or not callable(condition[1])
    ):
        raise TypeError(
            f"condition is {condition!r}; expected (text, predicate), "
            "e.g. ('w·u > −1', lambda u, w, b: float(u @ w) > -1)"
        )
    for name, count, least in (("samples", samples, 0), ("resolution", resolution, 2)):
        if isinstance(count, bool) or not isinstance(count, int) or count < least:
            raise ValueError(f"{name} is {count!r}; expected a whole number, {least} or more")

    def flow_of(values: dict[str, Any]) -> Flow:
        return as_flow(function(**{k: values[k] for k in controls}), base)

    board = Board(controls)
    with evaluating():
        first = flow_of(board.values(board.read()))
    dim = first.base.event_shape.numel()
    if dim == 2:
        plane = Plane(first.base, window, resolution, samples)
        marks = {}
    else:
        line = Line(first.base, window)
        low, high = line.xlim if first.base.box is None else base_range(first.base)[0]
        ends = interval or default_interval(first.base)
        marks = {f"z_{i}": Mark(end, low, high, symbol=symbol_of(f"z_{i}")) for i, end in enumerate(ends, 1)}

    def draw(values: dict[str, Any], fine: bool) -> Scene:
        flow, own = flow_of(values), {k: values[k] for k in controls}
        scene = (
            plane.scene(flow, fine, before, title)
            if dim == 2
            else line.scene(flow, (values["z_1"], values["z_2"]), title)
        )
        if condition:
            holds = bool(condition[1](**own))
            scene.light = (holds, f"{condition[0]} {'holds' if holds else 'is violated'}")
        if overlay:
            last = scene.panels[-1]
            scene.panels[-1] = replace(last, layers=[*last.layers, *overlay(**own)])
        return scene

    def probe(values: dict[str, Any], panel: int, x: float, y: float) -> str:
        flow = flow_of(values)
        return plane.probe(flow, before and panel == 0, x, y) if dim == 2 else line.probe(flow, x, y)

    names = ", ".join(controls)
    alt = alt or (
        f"the density of x = f(z) with its warped grid and samples, for parameters {names}"
        if dim == 2
        else f"threads from z to x = f(z) between base and data density, for parameters {names}"
    )
    return Explorer(
        draw,
        {**controls, **marks},
        main=main,
        alt=alt,
        toggles=("density", "grid", "samples") if dim == 2 else (),
        probe=probe,
        stages=stages,
    )


def as_flow(made: Any, base: Base | None) -> Flow:
    """What a function returned as a Flow on the line or the plane."""
    if isinstance(made, Flow):
        flow = made
    elif isinstance(made, Transform):
        flow = Flow(made, StandardNormal(made.event_shape.numel()) if base is None else base)
    else:
        raise TypeError(
            f"the function returned a {type(made).__name__}; expected a Transform or a Flow, "
            "e.g. Planar(2, u=u, w=w, b=b)"
        )
    if tuple(flow.base.event_shape) not in ((1,), (2,)):
        raise ValueError(
            f"the flow works on points of shape {tuple(flow.base.event_shape)}; an explorer can draw (1,) and (2,)"
        )
    return flow


def check_signature(function: Callable, controls: dict[str, Control], what: str) -> None:
    """Every control must be a parameter of the function, and every parameter without a default must have a control."""
    if not callable(function):
        raise TypeError(
            f"{what} expects a function that makes a flow, got {function!r}; "
            f"write {what}(lambda b: Planar(2, b=b), b=Slider(0.0, -4, 4))"
        )
    parameters = inspect.signature(function).parameters
    if any(p.kind is p.VAR_KEYWORD for p in parameters.values()):
        return
    if unknown := [n for n in controls if n not in parameters]:
        raise ValueError(
            f"the function has no parameter {', '.join(unknown)}; it has {', '.join(parameters) or 'none'}: "
            "name each control after a parameter"
        )
    if missing := [
        n
        for n, p in parameters.items()
        if p.default is p.empty and p.kind is not p.VAR_POSITIONAL and n not in controls
    ]:
        raise ValueError(
            f"parameter {', '.join(missing)} of the function has no control; give one, "
            f"e.g. {missing[0]}=Slider(0.0, -4, 4), or a default"
        )
