"""What a hand can move: Slider, Choice, the draggable Arrow, Point and Mark, and the Pen that draws a curve.

A control checks its own arguments, says which ipywidgets it needs, and turns their values into what a function gets.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import ipywidgets
import torch
import traitlets

from flowlib.viz.engine.scene import Dots, Label, Layer, Lines

GREEK = {
    "alpha": "α",
    "beta": "β",
    "gamma": "γ",
    "delta": "δ",
    "epsilon": "ε",
    "eta": "η",
    "theta": "θ",
    "lambda": "λ",
    "mu": "μ",
    "rho": "ρ",
    "sigma": "σ",
    "tau": "τ",
    "phi": "φ",
    "psi": "ψ",
    "omega": "ω",
}
SUBSCRIPTS = "₀₁₂₃₄₅₆₇₈₉"


def symbol_of(name: str) -> str:
    """A parameter's name as it is written in a formula: alpha -> α, z0 -> z₀, u_1 -> u₁."""
    stem = name.rstrip("0123456789")
    number = name[len(stem) :].translate(str.maketrans("0123456789", SUBSCRIPTS))
    stem = stem.removesuffix("_")
    return GREEK.get(stem, stem) + number


def check_range(what: str, value: float, low: float, high: float) -> None:
    for name, number in (("value", value), ("low", low), ("high", high)):
        if isinstance(number, bool) or not isinstance(number, (int, float)) or not math.isfinite(number):
            raise ValueError(f"{what}: {name} is {number!r}; expected a finite number")
    if not low < high:
        raise ValueError(f"{what}: low = {low} and high = {high}; expected low < high")
    if not low <= value <= high:
        raise ValueError(f"{what}: the value {value} is outside [{low}, {high}]; move it inside or widen the range")


def check_step(what: str, step: float | None, low: float, high: float) -> None:
    if step is not None and not (isinstance(step, (int, float)) and 0 < step <= high - low):
        raise ValueError(f"{what}: step is {step!r}; expected a number above 0 and at most high − low = {high - low}")


def _round_step(span: float) -> float:
    """A round step that divides a range into 100 to 250 parts."""
    step = 10.0 ** math.floor(math.log10(span / 100))
    return step * (5 if span / step >= 500 else 2 if span / step >= 250 else 1)


class Control:
    """One parameter: `parts(name)` gives its {widget name: widget}, `gather(name, read)` its value from theirs."""

    def parts(self, name: str) -> dict[str, ipywidgets.Widget]:
        raise NotImplementedError

    def gather(self, name: str, read: dict[str, Any]) -> Any:
        return read[name]

    def split(self, name: str, value: Any) -> dict[str, Any]:
        """The parameter's value as one value for each widget."""
        return {name: value}

    def confine(self, name: str, read: dict[str, Any]) -> dict[str, Any]:
        """What the hand may not do: given all widgets' values, those of its own that must be others."""
        return {}


def _float_slider(text: str, value: float, low: float, high: float, step: float) -> ipywidgets.FloatSlider:
    digits = min(4, max(0, -math.floor(math.log10(step) + 1e-9)))
    return ipywidgets.FloatSlider(
        value=value,
        min=low,
        max=high,
        step=step,
        description=text,
        readout_format=f".{digits}f",
        style={"description_width": "42px"},
        layout={"width": "290px", "margin": "1px 8px 1px 0"},
    )


@dataclass
class Slider(Control):
    """A number between low and high. If value, low, high and step are all ints it is an integer slider."""

    value: float
    low: float
    high: float
    step: float | None = None
    symbol: str | None = None
    unit: str = ""

    def __post_init__(self) -> None:
        check_range("Slider", self.value, self.low, self.high)
        check_step("Slider", self.step, self.low, self.high)

    def parts(self, name: str) -> dict[str, ipywidgets.Widget]:
        text = (self.symbol or symbol_of(name)) + (f" ({self.unit})" if self.unit else "")
        if all(isinstance(v, int) for v in (self.value, self.low, self.high, self.step or 1)):
            return {
                name: ipywidgets.IntSlider(
                    value=self.value,
                    min=self.low,
                    max=self.high,
                    step=self.step or 1,
                    description=text,
                    style={"description_width": "42px"},
                    layout={"width": "290px", "margin": "1px 8px 1px 0"},
                )
            }
        return {
            name: _float_slider(text, self.value, self.low, self.high, self.step or _round_step(self.high - self.low))
        }


@dataclass
class Choice(Control):
    """One of a few options (texts or numbers), as toggle buttons."""

    value: Any
    options: Sequence[Any]
    symbol: str | None = None

    def __post_init__(self) -> None:
        self.options = list(self.options)
        if not self.options or self.value not in self.options:
            raise ValueError(
                f"Choice: {self.value!r} is not among the options {self.options!r}; give one of them first"
            )

    def parts(self, name: str) -> dict[str, ipywidgets.Widget]:
        options = [(str(o), o) for o in self.options]
        return {
            name: ipywidgets.ToggleButtons(
                options=options,
                value=self.value,
                description=self.symbol or symbol_of(name),
                style={"description_width": "42px", "button_width": "auto"},
            )
        }


@dataclass
class Handle(Control):
    """Base of the controls with a handle in the picture, in the panel of index `panel` (-1: the last)."""

    xy: tuple[float, float]
    low: float = -4
    high: float = 4
    symbol: str | None = None
    step: float | None = None
    panel: int = -1
    names: tuple[str, str] | None = None  # what stands at the two sliders, where symbol₁ and symbol₂ will not do
    arrow = False
    origin = (0.0, 0.0)

    def __post_init__(self) -> None:
        what = type(self).__name__
        try:
            self.xy = tuple(float(v) for v in self.xy)
        except (TypeError, ValueError):
            self.xy = ()
        if len(self.xy) != 2:
            raise ValueError(f"{what}: expected the two coordinates of a vector, e.g. {what}((1.0, 0.5))")
        for value in self.xy:
            check_range(what, value, self.low, self.high)
        check_step(what, self.step, self.low, self.high)

    def parts(self, name: str) -> dict[str, ipywidgets.Widget]:
        symbol = self.symbol or symbol_of(name)
        step = self.step or _round_step(self.high - self.low)
        comma = "," if symbol[-1] in SUBSCRIPTS else ""
        names = self.names or (f"{symbol}{comma}₁", f"{symbol}{comma}₂")
        return {f"{name}_{i + 1}": _float_slider(names[i], self.xy[i], self.low, self.high, step) for i in (0, 1)}

    def gather(self, name: str, read: dict[str, Any]) -> torch.Tensor:
        return torch.tensor([read[f"{name}_1"], read[f"{name}_2"]])

    def split(self, name: str, value: Any) -> dict[str, Any]:
        first, second = (float(v) for v in value)
        return {f"{name}_1": first, f"{name}_2": second}

    def place(self, name: str, read: dict[str, Any]) -> list[float]:
        """Where the handle stands in its panel."""
        return [read[f"{name}_1"], read[f"{name}_2"]]

    def layers(self, name: str, read: dict[str, Any]) -> list[Layer]:
        """The handle as it stands in a frozen picture."""
        at = self.place(name, read)
        shaft = [Lines([[self.origin, at]], width=2)] if self.arrow else []
        return [
            *shaft,
            Dots([at], size=9, alpha=1.0),
            Label(*at, self.symbol or symbol_of(name), color="night", size=12),
        ]


@dataclass
class Arrow(Handle):
    """A vector drawn from `origin`, its tip dragged in the picture; two sliders show its coordinates."""

    origin: tuple[float, float] = (0.0, 0.0)
    arrow = True


@dataclass
class Point(Handle):
    """A point dragged in the picture; two sliders show its coordinates."""


@dataclass
class Mark(Control):
    """A number that is a place on a horizontal line of the picture (at height y): a handle and no slider of its own."""

    value: float
    low: float
    high: float
    y: float = 0.0
    symbol: str | None = None
    panel: int = -1

    def __post_init__(self) -> None:
        check_range("Mark", self.value, self.low, self.high)

    def parts(self, name: str) -> dict[str, ipywidgets.Widget]:
        step = _round_step(self.high - self.low)
        return {name: _float_slider(self.symbol or symbol_of(name), self.value, self.low, self.high, step)}

    def place(self, name: str, read: dict[str, Any]) -> list[float]:
        return [read[name], self.y]

    def layers(self, name: str, read: dict[str, Any]) -> list[Layer]:
        at = self.place(name, read)
        return [Dots([at], size=8, alpha=1.0), Label(*at, self.symbol or symbol_of(name), color="night", size=10)]


class Heights(traitlets.HasTraits):
    """What a Pen has drawn: a height at each of its places, None where it has not been."""

    value = traitlets.Tuple()


@dataclass
class Pen(Control):
    """A curve drawn in the panel of index `panel`: its heights at so many even `places` from end to end.

    A function gets them as a tensor (places,), nan where nothing is drawn.
    """

    places: int = 81
    panel: int = -1

    def parts(self, name: str) -> dict[str, Heights]:
        return {name: Heights(value=(None,) * self.places)}

    def gather(self, name: str, read: dict[str, Any]) -> torch.Tensor:
        return torch.tensor([math.nan if height is None else height for height in read[name]])

    def split(self, name: str, value: Any) -> dict[str, Any]:
        heights = tuple(None if height is None or math.isnan(height) else float(height) for height in value)
        if len(heights) != self.places:
            raise ValueError(f"Pen: {name} has {len(heights)} heights; expected {self.places}, None for none")
        return {name: heights}
