"""The board of an explorer: all widgets of its controls, and the values they stand for."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import ipywidgets
import numpy as np

from flowlib.viz.engine.controls import Control, Handle, Mark, Pen, symbol_of
from flowlib.viz.engine.scene import Layer


class Board:
    """`widgets` is {name: widget}; a vector u has "u_1" and "u_2". `read` below is {widget name: its value}."""

    def __init__(self, controls: Mapping[str, Control]) -> None:
        for name, control in controls.items():
            if not isinstance(control, Control):
                raise TypeError(
                    f"the control of {name!r} is {control!r}; expected a Slider, Choice, Arrow, Point or Mark, "
                    "e.g. Slider(0.0, -4, 4)"
                )
        if not controls:
            raise ValueError("an Explorer needs at least one control, e.g. {'b': Slider(0.0, -4, 4)}")
        self.controls = dict(controls)
        self.widgets: dict[str, ipywidgets.Widget] = {}
        for name, control in self.controls.items():
            for part, widget in control.parts(name).items():
                if part in self.widgets:
                    raise ValueError(f"two controls have a slider called {part!r}; rename the parameter {name!r}")
                self.widgets[part] = widget

    def main(self, wanted: str | None) -> str | None:
        """The slider that the frozen picture moves: the wanted one, else the first plain one, else the first."""
        movable = [name for name, widget in self.widgets.items() if hasattr(widget, "min")]
        if wanted is None:
            plain = [n for n in movable if n in self.controls and not isinstance(self.controls[n], Mark)]
            return (plain or movable or [None])[0]
        if wanted not in movable:
            raise ValueError(f"main is {wanted!r}; expected one of the sliders {', '.join(movable)}")
        return wanted

    def stops(self, name: str, count: int) -> list[float]:
        """`count` values of a slider from low to high, evenly spread, with the present one among them."""
        widget = self.widgets[name]
        grid = widget.min + np.round(np.linspace(0, widget.max - widget.min, count) / widget.step) * widget.step
        grid = np.unique(np.round(grid, 10))
        grid[np.abs(grid - widget.value).argmin()] = widget.value  # all its digits: a hand may have left it unrounded
        return [type(widget.value)(stop) for stop in grid.tolist()]

    def shown(self) -> list[ipywidgets.Widget]:
        """The widgets that stand beside the picture; a Mark and a Pen live in the picture alone."""
        return [w for name, w in self.widgets.items() if not isinstance(self.controls.get(name), (Mark, Pen))]

    def read(self) -> dict[str, Any]:
        return {name: widget.value for name, widget in self.widgets.items()}

    def values(self, read: dict[str, Any]) -> dict[str, Any]:
        """{parameter: value} as a function gets them; vectors are tensors."""
        return {name: control.gather(name, read) for name, control in self.controls.items()}

    def merge(self, changes: Mapping[str, Any]) -> dict[str, Any]:
        """What is read now with some values changed, by parameter ("u") or by slider ("u_1")."""
        read = self.read()
        for name, value in changes.items():
            if name in self.controls:
                read.update(self.controls[name].split(name, value))
            elif name in read:
                read[name] = value
            else:
                names = dict.fromkeys([*self.controls, *self.widgets])
                raise ValueError(f"no control is called {name!r}; there are {', '.join(names)}")
        return read

    def put(self, read: dict[str, Any]) -> None:
        for name, value in read.items():
            self.widgets[name].value = value

    def snap(self, name: str, at: list[float]) -> dict[str, float]:
        """Where a hand has put the handle `name`, as slider values: inside their ranges and on their steps; or what the
        pen of this name has drawn."""
        control, out = self.controls[name], {}
        if isinstance(control, Pen):
            return control.split(name, at)
        for part, value in control.split(name, at if isinstance(control, Handle) else at[0]).items():
            w = self.widgets[part]
            out[part] = min(w.max, max(w.min, round(w.min + round((value - w.min) / w.step) * w.step, 10)))
        return out | control.confine(name, self.read() | out)

    def confine(self, part: str) -> dict[str, Any]:
        """What must be put back after the slider `part` has moved."""
        owner = next((n for n, c in self.controls.items() if part == n or part in (f"{n}_1", f"{n}_2")), None)
        return {} if owner is None else self.controls[owner].confine(owner, self.read())

    def handles(self) -> list[dict]:
        """Each handle as the canvas needs it."""
        out = []
        for name, control in self.controls.items():
            if not isinstance(control, (Handle, Mark)):
                continue
            widget = self.widgets[name if isinstance(control, Mark) else f"{name}_1"]
            out.append(
                {
                    "name": name,
                    "label": control.symbol or symbol_of(name),
                    "at": control.place(name, self.read()),
                    "free": isinstance(control, Handle),
                    "panel": control.panel,
                    "low": widget.min,
                    "high": widget.max,
                    "step": widget.step,
                    "origin": list(control.origin) if getattr(control, "arrow", False) else None,
                }
            )
        return out

    def pen(self) -> dict | None:
        """The pen as the canvas needs it, or None."""
        pens = [(n, c) for n, c in self.controls.items() if isinstance(c, Pen)]
        return next(({"name": n, "panel": c.panel, "heights": list(self.widgets[n].value)} for n, c in pens), None)

    def handle_layers(self, read: dict[str, Any]) -> list[tuple[int, list[Layer]]]:
        """(panel, layers) of each handle, for a frozen picture."""
        handles = [(n, c) for n, c in self.controls.items() if isinstance(c, (Handle, Mark))]
        return [(control.panel, control.layers(name, read)) for name, control in handles]

    def describe(self, spans: bool = True) -> str:
        """The values in words: b = 0.5 (−4 to 4), ..."""
        words = []
        for name, widget in self.widgets.items():
            value = f"{widget.value:g}" if isinstance(widget.value, (int, float)) else str(widget.value)
            if isinstance(widget.value, tuple):
                value = f"{sum(height is not None for height in widget.value)} of {len(widget.value)} places drawn"
            span = f" ({widget.min:g} to {widget.max:g})" if spans and hasattr(widget, "min") else ""
            words.append(f"{name} = {value}{span}".replace("-", "−"))
        return ", ".join(words)
