"""Explorer: a picture with controls beside it, live in a notebook and frozen everywhere else.

A control's `observe` callback is plain and synchronous: compute, send one frame. ipywidgets itself keeps only the
newest value while the kernel is busy, so the last frame always belongs to the last value and a fast drag leaves no
queue behind.
"""

from __future__ import annotations

import textwrap
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import Any

import ipywidgets
import numpy as np

from flowlib.viz.engine.board import Board
from flowlib.viz.engine.canvas import Canvas, pack
from flowlib.viz.engine.controls import Control
from flowlib.viz.engine.evaluate import evaluating
from flowlib.viz.engine.frozen import COUNT, frozen_png
from flowlib.viz.engine.live import Live
from flowlib.viz.engine.paint import paint, to_rgb
from flowlib.viz.engine.scene import Label, Scene

DEAR = 0.025  # seconds of this thread's CPU time; a dearer picture is drawn coarse while the hand moves


class Explorer(Live):
    """A live picture: `draw(values, fine)` returns a Scene for the controls' values.

    Args:
        draw: called with {parameter: value} and whether to draw fine (False: the hand moves and the picture is dear).
        controls: {parameter: Slider | Choice | Arrow | Point | Mark | Pen}.
        main: the slider that the frozen picture moves (default: the first).
        alt: what the picture shows, for readers who do not see it.
        toggles: names of layers that can be switched off.
        probe: probe(values, panel, x, y) -> the text shown while the pointer is at (x, y) of that panel.
        stages: draw five stages of the main slider below the frozen picture, for print.

    Attributes: `sliders` {name: widget} (a vector u has "u_1" and "u_2"), `toggles` {name: button}, `values`, `scene`
    (the last one drawn), `error` (the message in the picture's place, or None), `canvas`, `box` (all widgets).

    >>> from flowlib.viz import Explorer, Label, Panel, Scene, Slider
    >>> def draw(values, fine):
    ...     return Scene([Panel((-1, 1), (-1, 1), layers=[Label(values["a"], 0.0, "here")])])
    >>> Explorer(draw, {"a": Slider(0.0, -1.0, 1.0)}, alt="a word that moves")
    Explorer: a word that moves. Controls: a = 0 (−1 to 1).
    """

    def __init__(
        self,
        draw: Callable[[dict[str, Any], bool], Scene],
        controls: Mapping[str, Control],
        *,
        main: str | None = None,
        alt: str = "a picture that follows its sliders",
        toggles: Sequence[str] = (),
        probe: Callable[[dict[str, Any], int, float, float], str] | None = None,
        stages: bool = False,
    ) -> None:
        if not callable(draw):
            raise TypeError(f"draw is {draw!r}; expected a function draw(values, fine) that returns a Scene")
        self.board = Board(controls)
        self.draw, self.alt, self.probe, self.stages = draw, alt.rstrip("."), probe, stages
        self.main = self.board.main(main)
        self._lock, self._quiet, self._hand = threading.RLock(), False, 0
        self._count, self._coarse, self._cost = 0, False, 0.0
        self._frozen: tuple[Any, bytes] = (None, b"")
        self.error: str | None = None
        self._start = self.board.read()
        self.scene = self._compute(self.values, True)  # what fails at the start is the author's error: it is raised
        self.canvas = Canvas(alt=self.alt)
        self.toggles = {n: ipywidgets.ToggleButton(True, description=n, layout={"width": "auto"}) for n in toggles}
        self.box = self._build_box()
        self._show()

    @property
    def sliders(self) -> dict[str, ipywidgets.Widget]:
        return self.board.widgets

    @property
    def values(self) -> dict[str, Any]:
        """The parameters as `draw` gets them now; vectors are tensors."""
        return self.board.values(self.board.read())

    def set(self, **values: Any) -> None:
        """Set several controls at once and draw one frame."""
        with self._lock:
            self._put(self.board.merge(values))
            self._show()

    def _put(self, read: dict[str, Any]) -> None:
        """Move sliders without drawing."""
        self._quiet = True
        try:
            self.board.put(read)
        finally:
            self._quiet = False

    # ---- the live picture -------------------------------------------------------------------------------------------
    def _build_box(self) -> ipywidgets.Box:
        reset = ipywidgets.Button(description="reset", icon="undo", layout={"width": "auto"})
        reset.tooltip = "all sliders back to the start"
        reset.on_click(lambda _: self.set(**self._start))
        for name, widget in self.sliders.items():
            widget.observe(lambda _, name=name: self._quiet or self._slider_moved(name), names="value")
        for button in self.toggles.values():
            button.observe(lambda _: self._show(), names="value")
        self.canvas.observe(self._hand_moved, names="hand")
        self.canvas.observe(lambda _: self._show_readout(), names="pointer")
        self.canvas.observe(self._rested, names="rest")
        wide = len(self.scene.panels) > 1  # beside one panel, below several; in a narrow cell always below
        self.canvas.layout = {"width": "900px" if wide else "500px", "max_width": "100%", "flex": "0 0 auto"}
        buttons = ipywidgets.Box([reset, *self.toggles.values()], layout={"flex_flow": "row wrap"})
        side = ipywidgets.Box([*self.board.shown(), buttons])
        side.layout = {
            "flex_flow": "row wrap" if wide else "column",
            "padding": "4px 0 0 30px" if wide else "24px 0 0 8px",
            "flex": "1 1 300px",
            "max_width": "900px" if wide else "330px",
        }
        return ipywidgets.Box([self.canvas, side], layout={"flex_flow": "row wrap", "align_items": "flex-start"})

    def _compute(self, values: dict[str, Any], fine: bool) -> Scene:
        with self._lock, evaluating():
            scene = self.draw(values, fine)
        if not isinstance(scene, Scene):
            raise TypeError(f"draw returned a {type(scene).__name__}; expected a Scene")
        return scene

    def _show(self, fine: bool | None = None) -> None:
        """Compute the picture of the present values and send it as one frame."""
        with self._lock:
            fine = self._cost < DEAR if fine is None else fine
            self._count, self._coarse = self._count + 1, not fine
            head = {"id": self._count, "hand": self._hand, "handles": self.board.handles(), "pen": self.board.pen()}
            try:
                start = time.thread_time()
                scene = self._compute(self.values, fine)
                if fine:
                    self._cost = time.thread_time() - start
                hidden = {name for name, button in self.toggles.items() if not button.value}
                frame = pack(scene, hidden, error=None, coarse=not fine, **head)
                self.scene, self.error = scene, None
            except Exception as problem:  # whatever a reader's function raises is shown in the picture's place
                self.error = f"{type(problem).__name__}: {problem}"
                words = [type(problem).__name__, str(problem), "at " + self.board.describe(spans=False)]
                frame = pack(blank(self.scene), error=words, coarse=False, **head)
            with self.canvas.hold_sync():  # one message
                self.canvas.frame = frame
                self._show_readout()

    def _show_readout(self) -> None:
        """Answer the pointer: a text about the place where it is."""
        at, text = self.canvas.pointer, ""
        if self.probe and len(at) == 3 and not self.error:
            try:
                with self._lock, evaluating():
                    text = self.probe(self.values, int(at[0]), float(at[1]), float(at[2]))
            except Exception as problem:  # said where the text would stand
                text = f"{type(problem).__name__}: {problem}"
        self.canvas.readout = text

    def _rested(self, change: dict) -> None:
        """The hand has stopped at the frame of this number: draw it fine, unless a newer one is there."""
        if self._coarse and change["new"] == self._count:
            self._show(fine=True)

    def _slider_moved(self, name: str) -> None:
        with self._lock:
            self._put(self.board.confine(name))
            self._show()

    def _hand_moved(self, change: dict) -> None:
        """The hand has put a handle somewhere, or drawn: set what it moved and draw one frame."""
        self._hand = change["new"]["count"]
        self.set(**self.board.snap(change["new"]["name"], change["new"]["at"]))

    # ---- without a browser ------------------------------------------------------------------------------------------
    def frame(self, **values: Any) -> np.ndarray:
        """The picture at some values (the others as now) on a white page: (H, W, 3) uint8. Errors are raised."""
        return to_rgb(paint(self.scene_at(**values)))

    def scene_at(self, **values: Any) -> Scene:
        """The Scene at some values (the others as now), with the handles drawn into it."""
        read = self.board.merge(values)
        scene = self._compute(self.board.values(read), True)
        panels = list(scene.panels)
        for at, layers in self.board.handle_layers(read):
            panels[at] = replace(panels[at], layers=[*panels[at].layers, *layers])
        return replace(scene, panels=panels)

    def scene_or_message(self, **values: Any) -> Scene:
        """As `scene_at`, but what a computation raises is written in the picture's place."""
        try:
            scene = self.scene_at(**values)
            for layer in (layer for panel in scene.panels for layer in panel.layers):
                layer.parts()
            return scene
        except Exception as problem:  # as in the live picture
            return blank(self.scene, f"{type(problem).__name__}: {problem}")

    def png(self) -> bytes:
        """The frozen picture: an animated PNG over the main slider. Made once for each set of values."""
        key = tuple(self.board.read().items())
        if self._frozen[0] != key:
            self._frozen = (key, self._freeze())
        return self._frozen[1]

    def _freeze(self) -> bytes:
        """The scenes over the main slider, encoded; without a slider, the one scene that there is."""
        if self.main is None:
            return frozen_png([self.scene_or_message()])
        widget, stops = self.sliders[self.main], self.board.stops(self.main, COUNT)
        scenes = [self.scene_or_message(**{self.main: stop}) for stop in stops]
        span = widget.max - widget.min
        sliders = [(widget.description, (stop - widget.min) / span, words_of(stop)) for stop in stops]
        return frozen_png(scenes, sliders, stops.index(widget.value), self.stages)

    def __repr__(self) -> str:
        return f"Explorer: {self.alt}. Controls: {self.board.describe()}."


def words_of(value: float) -> str:
    return f"{value:g}".replace("-", "−")


def blank(scene: Scene, text: str = "") -> Scene:
    """The panels of a scene without their layers, and a text in the first."""
    panels = [replace(panel, layers=()) for panel in scene.panels]
    (x0, x1), (y0, y1) = panels[0].xlim, panels[0].ylim
    rows = enumerate(textwrap.wrap(text, 42))
    panels[0].layers = [Label((x0 + x1) / 2, y1 - (y1 - y0) * (0.1 + 0.06 * i), line) for i, line in rows]
    return Scene(panels, keys=scene.keys)
