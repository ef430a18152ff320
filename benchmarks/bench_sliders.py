"""How fast a picture follows its slider in a real JupyterLab: the explorer, the usual idiom and the floor, in one run.

    make bench-sliders

Three notebooks with one slider b each, measured in turns so that noise meets all alike:

- explorer: a planar flow in `explore(...)`: density on 200 x 200 pixels, warped grid, 500 samples, and the mass;
- idiom: `ipywidgets.interact` and a fresh matplotlib figure of the same, as it is usually written;
- floor: a callback that changes two pixels of a bare canvas, which is what the way there and back costs.

A step is one press of an arrow key; it takes from the event to the last new picture. A drag takes 3 s; its lag is the
time from the last movement to the last picture. Exit status 0 if every goal that compares the three holds.
"""

import json
import math
import os
import statistics
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path

import psutil
from playwright.sync_api import Page

from tools.lab import SERVER_CONFIG, Server, find_browser, open_notebook, open_page, run_all

ROUNDS, STEPS, DRAG = 3, 14, 3.0  # rounds; key steps in each; seconds of a drag
RECORDER = Path(__file__).with_name("recorder.js")
NOTEBOOKS = ("explorer", "idiom", "floor")  # the one cell of each is a file of that name in cells/


@dataclass
class Figures:
    """What was measured of one notebook: ms a step, frames a second and ms of lag a drag, last picture right or not."""

    steps: list[float] = field(default_factory=list)
    frames: list[float] = field(default_factory=list)
    lags: list[float] = field(default_factory=list)
    right: list[bool] = field(default_factory=list)

    @property
    def p95(self) -> float:
        return statistics.quantiles(self.steps, n=20, method="inclusive")[-1]


class Hand:
    """The hand on slider b of an open notebook."""

    def __init__(self, page: Page, name: str):
        self.page, self.name, self.figures = page, name, Figures()
        page.wait_for_selector(".jp-OutputArea-output :is(img, canvas)")
        slider = page.locator(".widget-hslider").last
        slider.scroll_into_view_if_needed()
        self.bar, self.handle = slider.locator(".noUi-base"), slider.locator(".noUi-handle")
        self.press("ArrowRight"), self.press("ArrowLeft")  # the first picture of all is slower

    def begin(self) -> None:
        self.page.evaluate("recorder.begin()")

    def rest(self, quiet: int) -> tuple[list[dict], list[dict]]:
        noted = self.page.evaluate("quiet => recorder.rest(quiet, 15000)", quiet)
        if noted is None:
            raise RuntimeError(f"{self.name}: the slider moved, but no new picture came within 15 s")
        return noted["inputs"], noted["pictures"]

    def press(self, key: str) -> tuple[float, int]:
        """One step: ms from the key to the last new picture, and the fingerprint of that picture."""
        self.handle.focus()
        self.begin()
        self.page.keyboard.press(key)
        inputs, pictures = self.rest(150)
        return pictures[-1]["time"] - inputs[0]["time"], pictures[-1]["print"]

    def steps(self) -> None:
        for i in range(STEPS):
            key = "ArrowRight" if i < STEPS // 2 else "ArrowLeft"
            self.figures.steps.append(self.press(key)[0])

    def drag(self) -> None:
        """To and fro for some seconds, a last jump, and then a step away and back: is it the same picture?"""
        bar, mouse = self.bar.bounding_box(), self.page.mouse
        knob = self.handle.bounding_box()
        y = knob["y"] + knob["height"] / 2
        mouse.move(knob["x"] + knob["width"] / 2, y)
        mouse.down()
        self.begin()
        start = time.perf_counter()
        while (seconds := time.perf_counter() - start) < DRAG:
            swing = math.sin(math.pi * seconds)  # a period of 2 s
            mouse.move(bar["x"] + bar["width"] * (0.5 + 0.45 * swing), y)
            time.sleep(1 / 120)
        mouse.move(bar["x"] + bar["width"] * (0.77 if swing < 0 else 0.23), y)
        mouse.up()
        inputs, pictures = self.rest(1000)
        moved = max(i["time"] for i in inputs if i["type"] == "pointermove")
        released = next(i["time"] for i in inputs if i["type"] == "pointerup")
        self.figures.frames.append(sum(p["time"] <= released for p in pictures) / DRAG)
        self.figures.lags.append(pictures[-1]["time"] - moved)
        away, back = self.press("ArrowRight")[1], self.press("ArrowLeft")[1]
        self.figures.right.append(pictures[-1]["print"] == back != away)


class Neighbours:
    """The share of the machine's CPU that processes outside this benchmark took while it measured."""

    def __init__(self):
        self.others = self.stolen = self.wall = 0.0

    @staticmethod
    def _read() -> tuple[float, float, float]:
        """CPU seconds of others and seconds stolen by other virtual machines, and the time."""
        own, me, machine = 0.0, psutil.Process(), psutil.cpu_times()
        for process in [me, *me.children(recursive=True)]:
            with suppress(psutil.Error):
                own += sum(process.cpu_times()[:2])
        busy = sum(getattr(machine, kind, 0.0) for kind in ("user", "nice", "system", "irq", "softirq"))
        return busy - own, getattr(machine, "steal", 0.0), time.monotonic()

    @contextmanager
    def watched(self) -> Iterator[None]:
        before = self._read()
        yield
        others, stolen, wall = (b - a for a, b in zip(before, self._read(), strict=True))
        self.others, self.stolen, self.wall = self.others + others, self.stolen + stolen, self.wall + wall

    def __str__(self) -> str:
        cores = os.cpu_count()
        others, stolen = (max(0.0, seconds) / self.wall / cores for seconds in (self.others, self.stolen))
        verdict = "quiet" if others + stolen < 0.05 else "noisy: the times below are too long"
        return f"Other processes took {others:.0%} of {cores} cores, {stolen:.0%} was stolen ({verdict})."


def write_notebook(path: Path) -> None:
    """A notebook of one cell, called as the file in cells/ that holds it."""
    source = Path(__file__).with_name("cells").joinpath(f"{path.stem}.py").read_text(encoding="utf-8")
    cell = {"cell_type": "code", "id": "cell", "metadata": {}, "source": source, "outputs": [], "execution_count": None}
    kernel = {"name": "python3", "display_name": "Python 3", "language": "python"}
    notebook = {"cells": [cell], "metadata": {"kernelspec": kernel}, "nbformat": 4, "nbformat_minor": 5}
    path.write_text(json.dumps(notebook))


def measure(names: Sequence[str], config: Path | None, neighbours: Neighbours, steps: bool) -> dict[str, Figures]:
    """Opens the notebooks on one server, each in a page of its own, and measures them in turns."""
    with tempfile.TemporaryDirectory() as folder, Server(Path(folder), config=config) as server, open_page() as first:
        hands = []
        for name in names:
            write_notebook(Path(folder, f"{name}.ipynb"))
            page = first.context.browser.new_page(viewport={"width": 1280, "height": 1000})
            page.add_init_script(path=RECORDER)
            open_notebook(page, server, f"{name}.ipynb")
            run_all(page)
            hands.append(Hand(page, name))
        with neighbours.watched():
            for hand in hands * ROUNDS:
                hand.page.bring_to_front()
                if steps:
                    hand.steps()
                hand.drag()
        return {hand.name: hand.figures for hand in hands}


def table(default: dict[str, Figures], prompt: dict[str, Figures]) -> str:
    """All figures and the ratios that the goals are about."""
    median = statistics.median
    rows = [
        ("ms from key to picture, median", default, lambda f: median(f.steps)),
        ("ms from key to picture, p95", default, lambda f: f.p95),
        ("pictures a second in a drag", default, lambda f: median(f.frames)),
        ("ms of lag after a drag", default, lambda f: median(f.lags)),
        ("drags with the last picture right", default, lambda f: f"{sum(f.right)}/{len(f.right)}"),
        ("with the course's server config:", {}, None),
        ("pictures a second in a drag", prompt, lambda f: median(f.frames)),
        ("ms of lag after a drag", prompt, lambda f: median(f.lags)),
        ("drags with the last picture right", prompt, lambda f: f"{sum(f.right)}/{len(f.right)}"),
    ]
    lines = [f"{'':34}" + "".join(f"{name:>10}" for name in [*NOTEBOOKS, "to idiom", "to floor"])]
    for title, figures, get in rows:
        values = [get(figures[name]) if name in figures else "" for name in NOTEBOOKS]
        ratios = ["" if isinstance(v, str) else values[0] / v for v in values[1:]]
        cells = [f"{v:>10}" if isinstance(v, str) else f"{v:10.1f}" for v in values]
        cells += [f"{v:>10}" if isinstance(v, str) else f"{v:10.2f}" for v in ratios]
        lines.append((f"{title:34}" + "".join(cells)).rstrip())
    return "\n".join(lines)


def goals(default: dict[str, Figures], prompt: dict[str, Figures]) -> list[tuple[bool, str]]:
    """(holds, goal and figure) for each goal that compares the three notebooks."""
    median, (explorer, idiom, floor) = statistics.median, default.values()
    to_idiom, to_floor = (median(explorer.steps) / median(other.steps) for other in (idiom, floor))
    frames, lag = (median(getattr(explorer, kind)) / median(getattr(idiom, kind)) for kind in ("frames", "lags"))
    right = all(explorer.right + prompt["explorer"].right)
    return [
        (to_idiom <= 1 / 4, f"a step takes at most 1/4 of the idiom's time: {to_idiom:.3f}"),
        (to_floor <= 1.7, f"a step takes at most 1.7 times the floor's time: {to_floor:.2f}"),
        (frames >= 4, f"at least 4 times the idiom's pictures in a drag: {frames:.1f}"),
        (lag <= 1 / 3, f"the lag is at most 1/3 of the idiom's: {lag:.2f}"),
        (right, "the last picture is that of the last value in every drag"),
    ]


def on_a_quiet_machine(default: dict[str, Figures], prompt: dict[str, Figures]) -> list[tuple[bool, str]]:
    """The goals in absolute figures: they depend on the machine and its load, so they are told and not judged."""
    usual, quick = (statistics.median(figures["explorer"].frames) for figures in (default, prompt))
    p95 = default["explorer"].p95
    return [
        (p95 <= 60, f"p95 of a step at most 60 ms: {p95:.0f}"),
        (usual >= 15, f"at least 15 pictures a second: {usual:.1f}"),
        (quick >= 22, f"at least 22 with the course's server config: {quick:.1f}"),
    ]


def main() -> int:
    if find_browser() is None:
        print("bench-sliders needs Chromium or Chrome; none was found on this machine.", file=sys.stderr)
        return 1
    neighbours = Neighbours()
    default = measure(NOTEBOOKS, None, neighbours, steps=True)
    prompt = measure(("explorer", "floor"), SERVER_CONFIG, neighbours, steps=False)
    judged = goals(default, prompt)
    print(f"{ROUNDS * STEPS} key steps and {ROUNDS} drags of {DRAG:.0f} s each, in turns. {neighbours}\n")
    print(table(default, prompt), end="\n\n")
    for holds, text in judged:
        print("holds " if holds else "MISSED", text)
    print("\nFor information, on a quiet machine:")
    for holds, text in on_a_quiet_machine(default, prompt):
        print("yes   " if holds else "no    ", text)
    return 0 if all(holds for holds, _ in judged) else 1


if __name__ == "__main__":
    sys.exit(main())
