"""Live pictures of notebook 09: the fixed point of a contraction; a series that is cut off, or left to chance."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import Tensor
from torch.func import grad, vmap

from flowlib.support.checks import check_above_zero, check_count
from flowlib.viz.engine.controls import Point, Slider
from flowlib.viz.engine.explorer import Explorer
from flowlib.viz.engine.scene import Dots, Label, Lines, Panel, Scene, det_key

POWERS = "⁰¹²³⁴⁵⁶⁷⁸⁹"
SMALLEST = -14  # the power of ten where a step is lost in rounding
TAIL = 600  # terms that stand for all


def cobweb(
    g: Callable[[Tensor, float], Tensor],
    *,
    start: tuple[float, float] = (2.6, 0.3),
    lipschitz: float = 0.8,
    most: float = 1.5,
    steps: int = 40,
    view: float = 3.2,
    alt: str | None = None,
) -> Explorer:
    """The search for z with z + g(z) = x on the line, z ← x − g(z): where it starts and x are dragged in the picture.

    Left the map, with the search as steps whose length is the gap that is left; in the middle the same as a cobweb;
    right the length of each step beside Lᵏ |z₁ − z₀|, which it cannot exceed while g stretches by at most L.

    Args:
        g: g(z, L) for z (n,), a function whose slope lies between −L and L.
        start: (z₀, x) at the start.
        lipschitz, most: L at the start, and the largest.
        steps: the largest number of steps.
        view: half the side of the pictures.
        alt: what they show, in words.

    >>> cobweb(lambda z, L: L * torch.sin(z)).scene.numbers[-1]
    ('solutions of z + g(z) = x', '1')
    """
    check_count("cobweb", "steps", steps, 1)
    z = torch.linspace(-view, view, 241, dtype=torch.float64)
    window, diagonal = (-check_above_zero("cobweb", "view", view), view), torch.stack([z, z], -1)[[0, -1]]

    def path(at: Tensor, L: float) -> Tensor:
        """z₀, z₁, ... (steps + 2,); what runs away stays finite."""
        found = [at[0]]
        for _ in range(steps + 1):
            found.append((at[1] - g(found[-1][None], L)[0]).clamp(-1e6, 1e6))
        return torch.stack(found)

    def draw(values: dict[str, Any], fine: bool) -> Scene:
        L, k, at = values["L"], values["k"], values["at"].double()
        x, way, step = at[1], path(at, L), g(z, L)
        rise = vmap(grad(lambda one: one + g(one[None], L)[0]))(z)
        f = z + step
        here, there = way[: k + 1], way[1 : k + 2]
        on_line, on_curve = torch.stack([here, x.expand(k + 1)], -1), torch.stack([here, here + g(here, L)], -1)
        web = torch.stack([torch.stack([here, here], -1), torch.stack([here, there], -1)], 1).flatten(0, 1)[:-1]
        panels = [
            Panel(
                window,
                window,
                "x = z + g(z)",
                [
                    Lines(torch.stack([z, f], -1)[None], log_det=rise.abs().log()[None], width=2.4),
                    Lines([[[-view, x], [view, x]]], color="data", width=1.4, dash=True),
                    Lines(torch.stack([on_line, on_curve], 1).flatten(0, 1)[None, :-1], width=1.0, alpha=0.8),
                    Dots(on_line[-1:], "base", size=4.5, alpha=1.0),
                ],
                xlabel="z",
                ylabel="x",
            ),
            Panel(
                window,
                window,
                "z ← x − g(z)",
                [
                    Lines(diagonal[None], color="muted", width=1.2, dash=True),
                    Lines(torch.stack([z, x - step], -1)[None], color="data", width=2.0),
                    Lines(web[None], width=1.0, alpha=0.8),
                    Dots(web[-1:], "base", size=4.5, alpha=1.0),
                ],
                xlabel="z",
                ylabel="the next z",
            ),
            lengths(way, L, k, steps),
        ]
        solutions = int(((f[1:] - x) * (f[:-1] - x) <= 0).sum())
        numbers = [
            (f"z after {k} steps", f"{here[-1]:.6f}".replace("-", "−")),
            ("|x − z − g(z)|", scientific(float((there[-1] - here[-1]).abs()))),
            ("solutions of z + g(z) = x", str(solutions)),
        ]
        light = (L < 1, "L < 1 holds" if L < 1 else "L < 1 is violated")
        return Scene(panels, numbers, light=light, keys=[det_key("dx/dz")])

    controls = {
        "L": Slider(lipschitz, 0.0, most, step=0.05),
        "k": Slider(8, 0, steps),
        "at": Point(start, -3.0, 3.0, symbol="x", step=0.05, panel=0, names=("z₀", "x")),
    }
    return Explorer(
        draw,
        controls,
        alt=alt or "the map x = z + g(z), the search for its inverse as a cobweb, and the length of each of its steps",
    )


def lengths(way: Tensor, L: float, k: int, steps: int) -> Panel:
    """The length of each step on a logarithmic scale, beside the bound."""
    size = torch.diff(way).abs().clamp(min=10.0**SMALLEST).log10()  # (steps + 1,)
    number = torch.arange(len(size), dtype=size.dtype)
    bound = torch.stack([number, size[0] + number * (math.log10(L) if L > 0 else -99.0)], -1)
    return Panel(
        (0.0, float(steps)),
        (SMALLEST - 0.5, 3.5),
        "length of the next step",
        [
            Lines(bound[None], color="grow", width=1.4, dash=True),
            Dots(torch.stack([number, size], -1)[: k + 1], "base", size=2.4, alpha=1.0),
            Label(0.96 * steps, 2.3, "dashed: Lᵏ |z₁ − z₀|", "grow", align="right"),
        ],
        equal=False,
        xlabel="k",
        yticks=[(p, power_of_ten(p)) for p in (0, -4, -8, -12)],
        height=264,  # about that of the square panels beside it
    )


def power_of_ten(p: int) -> str:
    return "1" if p == 0 else "10" + "⁻" * (p < 0) + "".join(POWERS[int(digit)] for digit in str(abs(p)))


def scientific(value: float) -> str:
    """0.034 as it stands, smaller numbers as a power of ten."""
    if value >= 1e-3 or value == 0:
        return f"{value:.3f}"
    digit, exponent = f"{value:.0e}".split("e")
    return "below 10⁻¹²" if value < 1e-12 else f"{digit} · {power_of_ten(int(exponent))}"


class Series:
    """log det (I + J) of a symmetric J with eigenvalues L bᵢ, as its power series: cut off, or cut by chance."""

    def __init__(self, b: Tensor, L: float):
        k = torch.arange(1, TAIL + 1, dtype=torch.float64)
        self.L, self.exact = L * float(b.abs().max()), float((L * b).log1p().sum())
        self.terms = -((-L * b[:, None]) ** k).sum(0) / k  # (TAIL,)

    def bias(self, m: int) -> float:
        """What the first m terms are too much."""
        return float(self.terms[:m].sum()) - self.exact

    def roulette(self, m: int) -> tuple[Tensor, Tensor]:
        """What a roulette of m terms on average can say, and how often it does: the first term always, and each more
        with probability 1 − 1/m; a term counts one over the probability that it is reached."""
        reach = (1.0 - 1.0 / m) ** torch.arange(TAIL, dtype=torch.float64)
        return (self.terms / reach).cumsum(0), reach / m

    def spread(self, m: int) -> float:
        """The standard deviation of one roulette."""
        reached = 1.0 - 1.0 / m  # with this probability a term is followed by another
        if reached <= self.L**2:
            return math.inf
        said, often = self.roulette(m)
        return math.sqrt(float((often * (said - self.exact) ** 2).sum()))


def cut_or_chance(
    b: Sequence[float] = (1.0, 0.5, -0.4, -0.8), *, lipschitz: float = 0.8, alt: str | None = None
) -> Explorer:
    """log det (I + J) from m terms of its series: always the first m, or m on average by Russian roulette.

    Left the bias of the one and the standard deviation of the other over the price m; right all that the roulette can
    say, each answer as high as it is frequent. Traces are exact, so that nothing else is random.

    Args:
        b: the eigenvalues of J where L = 1, the largest of them 1 or −1.
        lipschitz: L at the start.
        alt: what the picture shows, in words.

    >>> cut_or_chance().scene.numbers[0]
    ('exact', '−0.483 nats')
    """
    eigenvalues = torch.tensor(b, dtype=torch.float64)
    prices = list(range(2, 13))

    def draw(values: dict[str, Any], fine: bool) -> Scene:
        m, series = values["m"], Series(eigenvalues, values["L"])
        biases = [abs(series.bias(price)) for price in prices]
        spreads = [series.spread(price) for price in prices]
        bias, spread = series.bias(m), series.spread(m)
        numbers = [
            ("exact", f"{series.exact:.3f} nats".replace("-", "−")),
            (f"bias of the first {m} terms", f"{bias:+.4f}".replace("-", "−")),
            ("roulette: bias", "0"),
            ("its standard deviation", f"{spread:.4f}" if math.isfinite(spread) else "∞"),
        ]
        if math.isfinite(spread) and bias:
            numbers.append(("its mean is nearer from", f"{math.ceil((spread / bias) ** 2):,} draws on"))
        return Scene([price_panel(prices, biases, spreads, m), answers_panel(series, m)], numbers)

    controls = {"m": Slider(4, prices[0], prices[-1]), "L": Slider(lipschitz, 0.3, 0.95, step=0.05)}
    return Explorer(
        draw,
        controls,
        alt=alt or "the bias of a truncated series and the spread of a Russian roulette, over the terms that they take",
    )


def price_panel(prices: list[int], biases: list[float], spreads: list[float], m: int) -> Panel:
    """Both errors on a logarithmic scale; an infinite one leaves a gap."""
    low, high = -4.5, 1.0

    def curve(errors: list[float]) -> Tensor:
        y = [math.log10(e) if 0 < e < math.inf else math.nan for e in errors]
        return torch.tensor([prices, y], dtype=torch.float64).T.clamp(min=low)

    cut, chance = curve(biases), curve(spreads)
    return Panel(
        (1.5, 12.5),
        (low, high),
        "error in nats",
        [
            Lines([[[m, low], [m, high]]], color="light", width=1.2, alpha=0.7),
            Lines(cut[None], color="data", width=1.8),
            Dots(cut, "data", size=3.0, alpha=1.0),
            Lines(chance[None], color="base", width=1.8),
            Dots(chance[chance[:, 1].isfinite()], "base", size=3.0, alpha=1.0),
            Label(12.2, 0.72, "cut: |bias|", "data", align="right"),
            Label(12.2, 0.36, "chance: standard deviation", "base", align="right"),
        ],
        equal=False,
        xlabel="terms m, on average",
        yticks=[(p, power_of_ten(p)) for p in (0, -1, -2, -3, -4)],
        height=320,
    )


def answers_panel(series: Series, m: int) -> Panel:
    """What one roulette says, each answer as high as it is frequent, and where the exact value and the cut one lie."""
    said, often = series.roulette(m)
    near = (said - series.exact).abs() < 1.0
    tips = torch.stack([said, often], -1)[near]
    stems = torch.stack([tips * torch.tensor([1.0, 0.0]), tips], 1)
    cut, top = series.exact + series.bias(m), 0.6
    return Panel(
        (series.exact - 1.0, series.exact + 1.0),
        (0.0, top),
        "one roulette: what it says, how often",
        [
            Lines([[[series.exact, 0.0], [series.exact, top]]], color="grow", width=1.6),
            Lines([[[cut, 0.0], [cut, top]]], color="data", width=1.6, dash=True),
            Lines(stems, color="base", width=2.0),
            Dots(tips, "base", size=3.5, alpha=1.0),
            Label(series.exact + 0.97, 0.56, "exact", "grow", align="right"),
            Label(series.exact + 0.97, 0.525, "cut, dashed", "data", align="right"),
            Label(series.exact + 0.97, 0.49, "roulette", "base", align="right"),
        ],
        equal=False,
        xlabel="log det (I + J) in nats",
        height=320,
    )
