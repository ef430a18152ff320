"""Posteriors that follow their observation: two moons, whose observation is dragged, and a pendulum that is let go."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from flowlib.core import Flow
from flowlib.datasets import Pendulum, Simulator, TwoMoons
from flowlib.models import Ensemble
from flowlib.viz.engine.controls import Point, Slider
from flowlib.viz.engine.explorer import Explorer
from flowlib.viz.engine.scene import Dots, Heat, Lines, Panel, Scene
from flowlib.viz.flows.plane import pixels

FINE, COARSE = 130, 65  # pixels a side of a density, at rest and while the hand moves
EXACT, SWINGS = 250, 30  # exact samples of a posterior; swings that are drawn from one


def posterior_panel(q: Flow | Ensemble, task: Simulator, x: Tensor, fine: bool, dots: list, title: str) -> Panel:
    """q(θ | x) on the box of a prior with two parameters."""
    xlim, ylim = zip(task.low, task.high, strict=True)
    theta = pixels(xlim, ylim, FINE if fine else COARSE)[0]  # (H, W, 2)
    density = q.log_prob(theta, x.float()).exp()
    equal = xlim[1] - xlim[0] == ylim[1] - ylim[0]
    return Panel(
        xlim, ylim, title, [Heat(density, "data"), *dots], equal=equal, xlabel=task.names[0], ylabel=task.names[1]
    )


def explore_two_moons(q: Flow | Ensemble) -> Explorer:
    """Drag an observation of two moons; beside it q(θ | x), with exact samples of the posterior as dots.

    >>> from flowlib.models import posteriors
    >>> len(explore_two_moons(posteriors()["two moons"]).scene.panels)
    2
    """
    task = TwoMoons()
    _, seen = task.pairs(700, seed=5)

    def draw(values: dict[str, Any], fine: bool) -> Scene:
        x, dots = values["x"], []
        try:
            dots = [Dots(task.posterior(x, EXACT), size=1.2, alpha=0.9, toggle="exact")]
            words = (True, "some θ in the box explains x")
        except ValueError:
            words = (False, "no θ in the box explains x: q has never seen such an x, and answers all the same")
        observed = Panel((-1.4, 0.6), (-1.5, 1.5), "observations; drag x", [Dots(seen, size=1.0, alpha=0.6)])
        return Scene([observed, posterior_panel(q, task, x, fine, dots, "q(θ | x), and exact samples")], light=words)

    return Explorer(
        draw,
        {"x": Point((0.0, 0.2), -1.4, 1.4, panel=0)},
        alt="Left 700 observations of two moons and the one that is dragged, right the posterior of its parameters",
        toggles=("exact",),
    )


def explore_pendulum(q: Flow | Ensemble) -> Explorer:
    """Choose a length and a friction; eight readings with errors; q(θ | readings), and swings of its samples.

    >>> from flowlib.models import posteriors
    >>> len(explore_pendulum(posteriors()["pendulum"]).scene.panels)
    2
    """
    task = Pendulum()
    noise = task.NOISE * torch.randn(8, generator=torch.Generator().manual_seed(4))
    seconds = torch.arange(task.STEPS + 1) * (8 * task.EVERY / task.STEPS)
    read_at = torch.arange(1, 9) * task.EVERY

    def curves(theta: Tensor) -> Tensor:
        """(n, 2) -> lines (n, STEPS + 1, 2) of angle over seconds."""
        angles = torch.cat([torch.full((len(theta), 1), 1.5), task.swing(theta)], -1)
        return torch.stack([seconds.expand_as(angles), angles], -1)

    def draw(values: dict[str, Any], fine: bool) -> Scene:
        truth = torch.tensor([[values["length"], values["friction"]]])
        x = task.angles(truth)[0] + noise
        torch.manual_seed(0)
        samples = q.sample(400, x)
        layers = [
            Lines(curves(samples[:SWINGS]), alpha=0.35, color="data"),
            Lines(curves(truth), width=2.0),
            Dots(torch.stack([read_at, x], -1), size=4, alpha=1.0),
        ]
        swing = Panel((0.0, 4.0), (-2.0, 2.0), "angle (rad): the truth and 30 guesses", layers, equal=False,
                      xlabel="seconds")  # fmt: skip
        numbers = [
            (name, f"{mean:.2f} ± {spread:.2f}")
            for name, mean, spread in zip(task.names, samples.mean(0), samples.std(0), strict=True)
        ]
        density = posterior_panel(q, task, x, fine, [Dots(truth, size=5, alpha=1.0)], "q(θ | readings); dot: truth")
        return Scene([swing, density], numbers)

    return Explorer(
        draw,
        {"length": Slider(1.0, 0.4, 2.9, 0.05, symbol="L"), "friction": Slider(0.3, 0.05, 0.95, 0.05, symbol="c")},
        alt="Left eight readings of a pendulum and swings that fit them, right the posterior of length and friction",
    )
