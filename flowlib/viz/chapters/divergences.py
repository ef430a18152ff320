"""What a fit minimises: between the two directions of KL, and as a game against the best critic. On the line."""

from __future__ import annotations

import math
from typing import Any

import torch
from torch import Tensor
from torch.nn.functional import max_pool2d
from torch.special import xlogy

from flowlib.viz.engine.controls import Slider
from flowlib.viz.engine.explorer import Explorer
from flowlib.viz.engine.scene import Area, Dots, Heat, Label, Lines, Panel, Scene

REACH, POINTS = 10.0, 401  # the line on which integrals are summed
MEANS, LOG_WIDTHS = (-4.0, 4.0), (math.log(0.3), math.log(3.2))  # where a Gaussian is looked for
FINE, COARSE, ZOOMS = (96, 72), (48, 36), 3  # Gaussians that are tried; times that the best is looked for closer by
HUMPS = (0.55, 0.75)  # deviations of the two humps
X = torch.linspace(-REACH, REACH, POINTS)
STEP = float(X[1] - X[0])


def normal(mean: Tensor | float, width: Tensor | float, x: Tensor = X) -> Tensor:
    """log N(x; mean, width²), of the shape that the three have together."""
    width = torch.as_tensor(width)
    return -0.5 * ((x - mean) / width).square() - width.log() - 0.5 * math.log(2 * math.pi)


def divergence(log_p: Tensor, log_q: Tensor, a: float) -> Tensor:
    """(1 − ∫ p^(1−a) q^a) / (a (1 − a)): KL(p ‖ q) as a goes to 0, KL(q ‖ p) as it goes to 1; log q (..., POINTS).

    Paper: Minka (2005), Divergence measures and message passing, section 2.
    """
    if a == 0.0:
        return (log_p.exp() * (log_p - log_q)).sum(-1) * STEP
    if a == 1.0:
        return (log_q.exp() * (log_q - log_p)).sum(-1) * STEP
    return (1.0 - ((1.0 - a) * log_p + a * log_q).exp().sum(-1) * STEP) / (a * (1.0 - a))


def lattice(means: tuple[float, float], log_widths: tuple[float, float], n: int, m: int) -> tuple[Tensor, Tensor]:
    """n means and m widths, evenly spread (the widths in their logarithm): (n,), (m,)."""
    return torch.linspace(*means, n), torch.linspace(*log_widths, m).exp()


def search(log_p: Tensor, a: float, n: int, m: int) -> tuple[Tensor, tuple[float, float]]:
    """The divergence of n x m Gaussians, (m, n), and mean and width of the best, looked for closer and closer."""
    means, log_widths, first = MEANS, LOG_WIDTHS, None
    for zoom in range(ZOOMS + 1):
        mean, width = lattice(means, log_widths, *((n, m) if zoom == 0 else (15, 15)))
        values = divergence(log_p, normal(mean[None, :, None], width[:, None, None]), a)  # (m, n)
        row, column = divmod(int(values.argmin()), len(mean))
        best = float(mean[column]), float(width[row])
        first = values if first is None else first
        near, close = float(mean[1] - mean[0]), float((width[1] / width[0]).log())
        means, log_widths = (best[0] - near, best[0] + near), (math.log(best[1]) - close, math.log(best[1]) + close)
    return first, best


def valleys(values: Tensor) -> Tensor:
    """Row and column of what is lower than all eight neighbours, not at the border: (k, 2)."""
    lowest = -max_pool2d(-values[None], 3, 1, 1)[0]
    return (values[1:-1, 1:-1] == lowest[1:-1, 1:-1]).nonzero() + 1


def explore_divergence() -> Explorer:
    """The Gaussian nearest to two humps, as the direction of KL turns round: beside it how near each Gaussian is.

    >>> len(explore_divergence().scene.panels)
    2
    """

    def draw(values: dict[str, Any], fine: bool) -> Scene:
        a, d, w = values["a"], values["apart"], values["weight"]
        humps = torch.stack([normal(-d, HUMPS[0]) + math.log(w), normal(d, HUMPS[1]) + math.log(1.0 - w)])
        log_p = humps.logsumexp(0)
        n, m = FINE if fine else COARSE
        landscape, (mean, width) = search(log_p, a, n, m)
        log_q, p = normal(mean, width), log_p.exp()
        centre = float((p * X).sum() * STEP)
        spread = float((p * (X - centre).square()).sum() * STEP) ** 0.5
        line = Panel(
            (-5.0, 5.0), (0.0, 0.8), "p, and the Gaussian q nearest to it",
            [
                Area(X, 0.0, p, "data", 0.35),
                Lines(torch.stack([X, log_q.exp()], -1)[None], color="base", width=2.4),
                Label(-4.7, 0.73, "p", "data", align="left"),
                Label(-4.7, 0.66, "q", "base", align="left"),
            ],
            equal=False, xlabel="x", height=280,
        )  # fmt: skip
        means, widths = lattice(MEANS, LOG_WIDTHS, n, m)
        others = valleys(landscape)
        places = torch.stack([means[others[:, 1]], widths[others[:, 0]].log()], -1)
        shown = (-(landscape - landscape.min())).exp()
        plane = Panel(
            MEANS, LOG_WIDTHS, "bright: near to p", [
                Heat(shown, "base", scale=0.5),
                Dots(places, "light", size=3.0, alpha=0.9),
                Dots([[mean, math.log(width)]], "data", size=6.0, alpha=1.0),
            ],
            equal=False, xlabel="mean of q", ylabel="width of q", height=280,
            yticks=[(math.log(each), f"{each:g}") for each in (0.3, 0.5, 1, 2, 3)],
        )  # fmt: skip
        numbers = [
            ("KL(p ‖ q)", f"{float(divergence(log_p, log_q, 0.0)):.2f}"),
            ("KL(q ‖ p)", f"{float(divergence(log_p, log_q, 1.0)):.2f}"),
            ("q", f"{mean:.2f} ± {width:.2f}".replace("-", "−")),
            ("mean and deviation of p", f"{centre:.2f} ± {spread:.2f}".replace("-", "−")),
        ]
        return Scene([line, plane], numbers)

    controls = {
        "a": Slider(0.0, 0.0, 1.0, 0.05, symbol="a"),
        "apart": Slider(2.0, 0.0, 3.0, 0.1, symbol="d"),
        "weight": Slider(0.4, 0.1, 0.9, 0.05, symbol="w"),
    }
    alt = "left two humps and the Gaussian nearest to them, right how near each Gaussian is, by its mean and width"
    return Explorer(draw, controls, alt=alt)


def explore_game(width: float = 0.6) -> Explorer:
    """Data at 0 and a generator that is moved: the best critic, the value of the game, and who is pulled how.

    Args:
        width: the deviation of the data.

    >>> len(explore_game().scene.panels)
    3
    """
    log_p = normal(0.0, width)
    shifts = torch.linspace(-4.0, 4.0, 81)

    def draw(values: dict[str, Any], fine: bool) -> Scene:
        s, v = values["shift"], values["width"]
        log_q = normal(s, v)
        d = log_p - log_q  # the best critic, D*
        share = d.sigmoid()  # p / (p + q)
        curves = jensen_shannon(log_p, normal(shifts[:, None], v))
        js = float(jensen_shannon(log_p, log_q))
        slope = (X - s) / v**2 - X / width**2  # of D*
        q = log_q.exp()
        pulls = [abs(float((q * each * slope).sum() * STEP)) for each in (share, 1.0 - share)]
        moved = (s**2 + (v - width) ** 2) ** 0.5  # of two Gaussians, W₂
        left = Panel(
            (-5.0, 5.0), (0.0, 1.0), "data p and generator q",
            [
                Area(X, 0.0, log_p.exp(), "data", 0.35),
                Area(X, 0.0, q, "base", 0.35),
                Label(-4.7, 0.92, "p", "data", align="left"),
                Label(-4.7, 0.84, "q", "base", align="left"),
            ],
            equal=False, xlabel="x",
        )  # fmt: skip
        middle = Panel(
            (-5.0, 5.0), (-0.03, 1.03), "the best critic, p / (p + q)",
            [Lines(torch.stack([X, share], -1)[None], width=2.2)], equal=False, xlabel="x",
        )  # fmt: skip
        right = Panel(
            (-4.0, 4.0), (0.0, 0.8), "JS over the shift: flat far away",
            [
                Lines([[[-4.0, math.log(2)], [4.0, math.log(2)]]], color="muted", dash=True),
                Lines(torch.stack([shifts, curves], -1)[None], color="light", width=2.2),
                Dots([[s, js]], "base", size=6.0, alpha=1.0),
                Label(0.0, 0.73, "log 2", "muted"),
            ],
            equal=False, xlabel="shift",
        )  # fmt: skip
        numbers = [
            ("JS(p, q)", f"{js:.3f}"),
            ("value of the game", f"{2.0 * js - math.log(4.0):.3f}".replace("-", "−")),
            ("W₂", f"{moved:.2f}"),
            ("pull, saturating", f"{pulls[0]:.3f}"),
            ("pull, non-saturating", f"{pulls[1]:.2f}"),
        ]
        return Scene([left, middle, right], numbers)

    controls = {
        "shift": Slider(2.0, -4.0, 4.0, 0.1, symbol="s"),
        "width": Slider(0.8, 0.4, 1.6, 0.1, symbol="v"),
    }
    return Explorer(draw, controls, alt="data and generator on the line, the best critic between them, and JS")


def jensen_shannon(log_p: Tensor, log_q: Tensor) -> Tensor:
    """JS(p, q) in nats, log q (..., POINTS) -> (...)."""
    p, q = log_p.exp(), log_q.exp()
    middle = 0.5 * (p + q)
    return (0.5 * (xlogy(p, p) + xlogy(q, q)) - xlogy(middle, middle)).sum(-1) * STEP
