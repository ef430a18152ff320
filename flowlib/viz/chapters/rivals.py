"""Explorers of notebook 12a: four models at each moment of their training, on rings, and as judges of a point.

What they draw was stored by `python -m tools.rivals_plane`; `flowlib.models.rivals_plane` loads it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from torch import Tensor

from flowlib.datasets import toy
from flowlib.viz.engine.controls import Choice, Point, Slider
from flowlib.viz.engine.explorer import Explorer
from flowlib.viz.engine.scene import Dots, Heat, Panel, Scene, density_key
from flowlib.viz.flows.plane import FROM_BASE, FROM_DATA

LIMITS = (-4.0, 4.0)
HALF = 0.6  # the density that is drawn at half brightness
FOUR = ("flow", "VAE", "GAN", "diffusion")
GAMES = {"non-saturating": "GAN", "saturating": "GAN, saturating", "Wasserstein": "GAN, Wasserstein"}
DATA, FRESH = 300, 2000  # points that are drawn; that a point is compared with
LOWEST = 15.0  # nats under the best place that are drawn as black


def scrub_rivals(record: Mapping[str, Tensor], curves: Mapping[str, Sequence[float]]) -> Explorer:
    """One slider over the training of four models that had the same data and the same seconds.

    Args:
        record: what `rivals_plane()` loads.
        curves: name of a model -> its misplaced mass at each moment.

    >>> from flowlib.models import rivals_plane
    >>> record = rivals_plane()
    >>> curves = {name: [0.0] * 13 for name in ("flow", "VAE", "GAN", "diffusion")}
    >>> len(scrub_rivals(record, curves).scene.panels)
    4
    """
    data = toy.ring_of_gaussians(8).sample(DATA, seed=5)
    last = len(record["training/flow/samples"]) - 1

    def panel(name: str, state: int) -> Panel:
        layers: list = []
        levels = record.get(f"training/{name}/levels")
        if levels is not None:
            part = levels[state].float()
            layers.append(Heat(HALF * part / (255.5 - part), "data", scale=HALF, toggle="density"))
        layers += [
            Dots(data, FROM_DATA, size=1.0, alpha=0.5, toggle="data"),
            Dots(record[f"training/{name}/samples"][state].float(), FROM_BASE, size=1.3, toggle="samples"),
        ]
        return Panel(LIMITS, LIMITS, name.split(",")[0], layers, xticks=False, yticks=False)

    def draw(values: dict[str, Any], fine: bool) -> Scene:
        names = ["flow", "VAE", GAMES[values["game"]], "diffusion"]
        state = values["moment"]
        numbers = [("of the seconds", f"{(state / last) ** 2:.0%}")]
        numbers += [(f"{name.split(',')[0]}, misplaced", f"{curves[name][state]:.0%}") for name in names]
        key = density_key("data", HALF, "p(x)")
        return Scene([panel(name, state) for name in names], numbers, keys=[key])

    controls = {
        "moment": Slider(last, 0, last, 1, symbol="t"),
        "game": Choice("non-saturating", list(GAMES), symbol="game"),
    }
    alt = "samples of a flow, a VAE, a GAN and a diffusion model at one moment of their training, over the data"
    return Explorer(draw, controls, alt=alt, toggles=("density", "samples", "data"))


def explore_rings(record: Mapping[str, Tensor], least: Mapping[str, Sequence[float]]) -> Explorer:
    """Samples of four models that were trained on rings of 1 to 10 Gaussians.

    Args:
        record: what `rivals_plane()` loads.
        least: name of a model -> for each ring the share of its least mode, as a part of what it should have.

    >>> from flowlib.models import rivals_plane
    >>> least = {name: [1.0] * 10 for name in ("flow", "VAE", "GAN", "diffusion")}
    >>> len(explore_rings(rivals_plane(), least).scene.panels)
    4
    """
    most = len(record["modes/flow"])

    def draw(values: dict[str, Any], fine: bool) -> Scene:
        modes = values["modes"]
        data = toy.ring_of_gaussians(modes).sample(DATA, seed=5)
        panels = [
            Panel(
                LIMITS, LIMITS, name,
                [
                    Dots(data, FROM_DATA, size=1.0, alpha=0.5, toggle="data"),
                    Dots(record[f"modes/{name}"][modes - 1].float(), FROM_BASE, size=1.3, toggle="samples"),
                ],
                xticks=False, yticks=False,
            )
            for name in FOUR
        ]  # fmt: skip
        return Scene(panels, [(f"{name}, least mode", f"{least[name][modes - 1]:.0%}") for name in FOUR])

    return Explorer(
        draw,
        {"modes": Slider(min(8, most), 1, most, 1, symbol="k")},
        alt="samples of a flow, a VAE, a GAN and a diffusion model that were trained on a ring of k Gaussians",
        toggles=("samples", "data"),
    )


def explore_judges(record: Mapping[str, Tensor]) -> Explorer:
    """Drag a point: how many of 2,000 points of the data each model takes for stranger than it.

    Args:
        record: what `rivals_plane()` loads.

    >>> from flowlib.models import rivals_plane
    >>> len(explore_judges(rivals_plane()).scene.panels)
    4
    """
    fresh = toy.ring_of_gaussians(8).sample(FRESH, seed=2)
    words = {"flow": "flow, log p", "VAE": "VAE, a bound", "diffusion": "diffusion, log p"}

    def at(scores: Tensor, x: Tensor) -> Tensor:
        """What stands in the map at these points, (n, 2) -> (n,)."""
        n = len(scores)
        column, row = ((x - LIMITS[0]) / (LIMITS[1] - LIMITS[0]) * n).long().clamp(0, n - 1).unbind(-1)
        return scores[row, column]

    def draw(values: dict[str, Any], fine: bool) -> Scene:
        names = ["flow", "VAE", GAMES[values["game"]], "diffusion"]
        x, panels, numbers = values["x"], [], []
        for name in names:
            scores = record[f"judge/{name}"].float()
            low = scores.min() if name.startswith("GAN") else scores.max() - LOWEST
            shown = (scores - low).clamp_min(0.0) / (scores.max() - low)
            dot = Dots(x[None], "light", size=5.0, alpha=1.0)
            title = words.get(name, "GAN, its critic")
            panels.append(
                Panel(LIMITS, LIMITS, title, [Heat(shown, "data", scale=0.5), dot], xticks=False, yticks=False)
            )
            below = float((at(scores, fresh) < at(scores, x[None])).double().mean())
            numbers.append((name.split(",")[0], f"{below:.1%} are stranger"))
        return Scene(panels, numbers)

    return Explorer(
        draw,
        {
            "x": Point((0.0, 0.0), *LIMITS, panel=0, symbol="x"),
            "game": Choice("non-saturating", list(GAMES), symbol="game"),
        },
        alt="what a flow, a VAE, a critic and a diffusion model take for data, and one point that is dragged",
    )
