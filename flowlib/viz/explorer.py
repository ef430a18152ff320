"""Explorer: a picture with controls under it, live in a notebook and frozen everywhere else.

A control's `observe` callback is plain and synchronous: compute, send one frame. ipywidgets itself keeps only the newest value while
the kernel is busy, so the last frame always belongs to the last value and a fast drag leaves no queue behind.
"""
from __future__ import annotations

import base64
import textwrap
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

import ipywidgets
import numpy as np
import torch

from flowlib.viz.canvas import Canvas, pack
from flowlib.viz.controls import Control, Handle, Mark, symbol_of
from flowlib.viz.frozen import frozen_png
from flowlib.viz.paint import paint, to_rgb
from flowlib.viz.scene import Label, Panel, Scene

DEAR = 0.025  # seconds; a picture that costs more is drawn coarse while the hand moves


@contextmanager
def one_thread() -> Iterator[None]:
    """torch on one thread: for 40 000 points two OpenMP pools on few cores cost more than they gain."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(before)


class Explorer:
    """A live picture: `draw(values, fine)` returns a Scene for the controls' values.

    Args:
        draw: called with {parameter: value} and whether to draw fine (False: the hand is moving and the picture is dear).
        controls: {parameter: Slider | Choice | Arrow | Point | Mark}.
        main: the slider that the frozen picture moves (default: the first).
        alt: what the picture shows, for readers who do not see it.
        toggles: names of layers that can be switched off.
        probe: probe(values, panel, x, y) -> the text shown while the pointer is at (x, y) of that panel.
        stages: draw five stages of the main slider below the frozen picture, for print.

    Attributes: `sliders` {name: widget} (a vector u has "u_1" and "u_2"), `values`, `scene` (the last one drawn), `error` (the message
    shown in the picture's place, or None), `box` (the ipywidgets box), `canvas`.

    >>> from flowlib.viz import Explorer, Label, Panel, Scene, Slider
    >>> def draw(values, fine):
    ...     return Scene([Panel((-1, 1), (-1, 1), layers=[Label(values["a"], 0.0, "here")])])
    >>> Explorer(draw, {"a": Slider(0.0, -1.0, 1.0)}, alt="a word that moves")
    Explorer: a word that moves. Controls: a = 0 (−1 to 1).
    """

    def __init__(self, draw: Callable[[dict[str, Any], bool], Scene], controls: Mapping[str, Control], *, main: str | None = None,
                 alt: str = "a picture that follows its sliders", toggles: Sequence[str] = (),
                 probe: Callable[[dict[str, Any], int, float, float], str] | None = None, stages: bool = False) -> None:
        for name, control in controls.items():
            if not isinstance(control, Control):
                raise TypeError(f"the control of {name!r} is {control!r}; expected a Slider, Choice, Arrow, Point or Mark, e.g. Slider(0.0, -4, 4)")
        if not controls:
            raise ValueError("an Explorer needs at least one control, e.g. {'b': Slider(0.0, -4, 4)}")
        self.draw, self.controls, self.alt, self.probe, self.stages = draw, dict(controls), alt.rstrip("."), probe, stages
        self.sliders = {n: w for name, control in controls.items() for n, w in control.parts(name).items()}
        self.main = self._main(main)
        self._lock, self._quiet, self._count, self._hand, self._coarse, self._cost = threading.RLock(), False, 0, 0, False, 0.0
        self._frozen: tuple[Any, bytes] | None = None
        self.error: str | None = None
        self._start = self._read()
        self.scene = self._compute(self.values, True)  # a picture that cannot be drawn at the start is the author's error: it is raised
        self.canvas = Canvas(alt=self.alt)
        self.toggles = {name: ipywidgets.ToggleButton(value=True, description=name, layout={"width": "auto"}) for name in toggles}
        self.box = self._build_box()
        self._show()

    def _main(self, main: str | None) -> str | None:
        movable = [n for n, w in self.sliders.items() if hasattr(w, "min")]
        if main is None:
            plain = [n for n in movable if n in self.controls and not isinstance(self.controls[n], Mark)]
            return (plain or movable or [None])[0]
        if main not in movable:
            raise ValueError(f"main is {main!r}; expected one of the sliders {', '.join(movable)}")
        return main

    def _build_box(self) -> ipywidgets.Box:
        reset = ipywidgets.Button(description="reset", icon="undo", tooltip="all sliders back to the start", layout={"width": "auto"})
        reset.on_click(lambda _: self.set(**self._start))
        for widget in (*self.sliders.values(), *self.toggles.values()):
            widget.observe(lambda _: self._quiet or self._show(), names="value")
        self.canvas.observe(self._hand_moved, names="hand")
        self.canvas.observe(lambda _: self._show_readout(), names="pointer")
        self.canvas.observe(self._rested, names="rest")
        shown = [w for n, w in self.sliders.items() if not isinstance(self.controls.get(n), Mark)]
        wide = len(self.scene.panels) > 1  # the controls stand beside one panel, below several; in a narrow cell always below
        self.canvas.layout = {"width": "900px" if wide else "500px", "max_width": "100%", "flex": "0 0 auto"}
        buttons = ipywidgets.Box([reset, *self.toggles.values()], layout={"flex_flow": "row wrap"})
        side = ipywidgets.Box([*shown, buttons], layout={
            "flex_flow": "row wrap" if wide else "column", "padding": "4px 0 0 30px" if wide else "24px 0 0 8px",
            "flex": "1 1 300px", "max_width": "900px" if wide else "330px"})
        return ipywidgets.Box([self.canvas, side], layout={"flex_flow": "row wrap", "align_items": "flex-start"})

    # ---- values ------------------------------------------------------------------------------------------------------------------
    def _read(self) -> dict[str, Any]:
        return {name: widget.value for name, widget in self.sliders.items()}

    def _convert(self, read: dict[str, Any]) -> dict[str, Any]:
        return {name: control.gather(name, read) for name, control in self.controls.items()}

    @property
    def values(self) -> dict[str, Any]:
        """The parameters as the function gets them now; vectors are tensors."""
        return self._convert(self._read())

    def _merge(self, changes: Mapping[str, Any]) -> dict[str, Any]:
        """The widgets' values with some of them changed, by parameter ("u") or by slider ("u_1")."""
        read = self._read()
        for name, value in changes.items():
            if name in self.controls:
                read.update(self.controls[name].split(name, value))
            elif name in read:
                read[name] = value
            else:
                raise ValueError(f"no control is called {name!r}; there are {', '.join(dict.fromkeys([*self.controls, *self.sliders]))}")
        return read

    def set(self, **values: Any) -> None:
        """Set several controls at once and draw one frame."""
        read = self._merge(values)
        self._quiet = True
        try:
            for name, value in read.items():
                self.sliders[name].value = value
        finally:
            self._quiet = False
        self._show()

    # ---- drawing -----------------------------------------------------------------------------------------------------------------
    def _compute(self, values: dict[str, Any], fine: bool) -> Scene:
        with self._lock, one_thread(), torch.inference_mode():
            scene = self.draw(values, fine)
        if not isinstance(scene, Scene):
            raise TypeError(f"draw returned a {type(scene).__name__}; expected a Scene")
        return scene

    def _show(self, fine: bool | None = None) -> None:
        """Compute the picture of the present values and send it as one frame."""
        with self._lock:
            fine = self._cost < DEAR if fine is None else fine
            values, self._count, self._coarse = self.values, self._count + 1, not fine
            head = {"id": self._count, "hand": self._hand, "handles": self._handles(), "coarse": not fine}
            try:
                start = time.perf_counter()
                scene = self._compute(values, fine)
                if fine:
                    self._cost = time.perf_counter() - start
                hidden = {name for name, button in self.toggles.items() if not button.value}
                frame = pack(scene, hidden, error=None, **head)
                self.scene, self.error = scene, None
            except Exception as problem:
                self.error = f"{type(problem).__name__}: {problem}"
                message = [type(problem).__name__, str(problem), "at " + self._describe(spans=False)]
                frame = pack(blank(self.scene), error=message, **{**head, "coarse": False})
            with self.canvas.hold_sync():
                self.canvas.frame = frame
                self._show_readout()

    def _show_readout(self) -> None:
        at = self.canvas.pointer
        text = ""
        if self.probe and len(at) == 3 and not self.error:
            try:
                with self._lock, one_thread(), torch.inference_mode():
                    text = self.probe(self.values, int(at[0]), float(at[1]), float(at[2]))
            except Exception as problem:
                text = f"{type(problem).__name__}: {problem}"
        self.canvas.readout = text

    def _rested(self, change: dict) -> None:
        if self._coarse and change["new"] == self._count:
            self._show(fine=True)

    # ---- handles -----------------------------------------------------------------------------------------------------------------
    def _handles(self) -> list[dict]:
        """Each handle as the canvas needs it."""
        out = []
        for name, control in self.controls.items():
            if isinstance(control, Handle):
                at, widget, free = [self.sliders[f"{name}_{i}"].value for i in (1, 2)], self.sliders[f"{name}_1"], True
            elif isinstance(control, Mark):
                at, widget, free = [self.sliders[name].value, control.y], self.sliders[name], False
            else:
                continue
            out.append({"name": name, "label": control.symbol or symbol_of(name), "at": at, "free": free, "panel": control.panel,
                        "low": widget.min, "high": widget.max, "step": widget.step,
                        "origin": list(control.origin) if getattr(control, "arrow", False) else None})
        return out

    def _hand_moved(self, change: dict) -> None:
        """The hand put a handle somewhere: set its sliders, snapped to their steps, and draw one frame."""
        name, at, self._hand = change["new"]["name"], change["new"]["at"], change["new"]["count"]
        values = at if isinstance(self.controls[name], Handle) else at[0]
        read = {}
        for part, value in self.controls[name].split(name, values).items():
            w = self.sliders[part]
            read[part] = min(w.max, max(w.min, round(w.min + round((value - w.min) / w.step) * w.step, 10)))
        self.set(**read)

    # ---- without a browser -------------------------------------------------------------------------------------------------------
    def frame(self, **values: Any) -> np.ndarray:
        """The picture at some values (the others as they are now) on a white page: (H, W, 3) uint8. Errors are raised."""
        return to_rgb(paint(self.scene_at(**values)))

    def scene_at(self, **values: Any) -> Scene:
        """The Scene at some values (the others as they are now), with the handles drawn into it."""
        read = self._merge(values)
        scene = self._compute(self._convert(read), True)
        panels = list(scene.panels)
        for name, control in self.controls.items():
            if isinstance(control, (Handle, Mark)):
                panel = panels[control.panel]
                panels[control.panel] = Panel(**{**vars(panel), "layers": [*panel.layers, *control.layers(name, read)]})
        return Scene(panels, scene.numbers, scene.light, scene.keys)

    def scene_or_message(self, **values: Any) -> Scene:
        """As `scene_at`, but what a computation raises is written in the picture's place."""
        try:
            scene = self.scene_at(**values)
            for panel in scene.panels:
                for layer in panel.layers:
                    layer.parts()
            return scene
        except Exception as problem:  # noqa: BLE001  as in the live picture
            return blank(self.scene, f"{type(problem).__name__}: {problem}")

    def _describe(self, spans: bool = True) -> str:
        """The controls' values in words: b = 0.5 (−4 to 4), ..."""
        words = []
        for name, widget in self.sliders.items():
            value = widget.value
            text = f"{value:g}" if isinstance(value, (int, float)) else str(value)
            span = f" ({widget.min:g} to {widget.max:g})" if spans and hasattr(widget, "min") else ""
            words.append(f"{name} = {text}{span}".replace("-", "−"))
        return ", ".join(words)

    def __repr__(self) -> str:
        return f"Explorer: {self.alt}. Controls: {self._describe()}."

    def png(self) -> bytes:
        """The frozen picture: an animated PNG over the main slider. Drawn once for each set of values."""
        key = tuple(self._read().items())
        if self._frozen is None or self._frozen[0] != key:
            self._frozen = (key, frozen_png(self))
        return self._frozen[1]

    def _repr_mimebundle_(self, include: Any = None, exclude: Any = None) -> tuple[dict, dict]:
        view = {"version_major": 2, "version_minor": 0, "model_id": self.box.model_id}
        data = {"text/plain": repr(self), "application/vnd.jupyter.widget-view+json": view,
                "image/png": base64.b64encode(self.png()).decode()}
        return data, {"image/png": {"alt": self.alt}}


def blank(scene: Scene, text: str = "") -> Scene:
    """The panels of a scene without their layers, and a text in the first."""
    panels = [Panel(**{**vars(p), "layers": ()}) for p in scene.panels]
    (x0, x1), (y0, y1) = panels[0].xlim, panels[0].ylim
    panels[0].layers = [Label((x0 + x1) / 2, y1 - (y1 - y0) * (0.1 + 0.06 * i), line) for i, line in enumerate(textwrap.wrap(text, 42))]
    return Scene(panels, keys=scene.keys)
