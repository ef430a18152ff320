"""A small drawing under a verdict: the learner's density over the true one, as SVG that a page shows as it is."""

import html
import math
from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor

from flowlib.course.exercises.attempt import outcome

WIDTH, HEIGHT = 420, 150  # of the frame, in pixels
TALLEST = 7.0  # a density that rises higher than so many times the true one leaves the frame


@dataclass(frozen=True)
class Picture:
    """Where to draw a density whose logarithm an exercise asks for.

    Args:
        x: the places (n,), in order, at which it is drawn.
        arguments: those of the function, with n points first: the places, or points of a line through the plane.
        axis: the name of the horizontal axis, with what was held fast.
    """

    x: Tensor
    arguments: tuple
    axis: str

    def svg(self, attempt: Callable, answer: Callable, colour: str) -> str:
        """Both densities as one drawing; "" where the attempt has no curve, not one finite number for each place."""
        mine, true = self.density(attempt), self.density(answer)
        if mine is None:
            return ""
        highest = float(mine.nan_to_num(nan=0.0, posinf=torch.inf).max())
        top = 1.1 * min(max(highest, float(true.max())), TALLEST * float(true.max()))
        yours = "your density" if highest <= top else "your density, beyond the frame"
        places = self.places(self.x)
        curves = [line(places, mine / top, f'stroke="{colour}" stroke-width="2.5"')]
        curves += [line(places, true / top, 'stroke="currentColor" stroke-width="1.5" stroke-dasharray="5 4"')]
        label = f"Two curves over {self.axis}: the density of your function, and dashed the true one."
        return (
            f'<svg role="img" aria-label="{html.escape(label)}" width="{WIDTH + 40}" height="{HEIGHT + 64}" '
            f'viewBox="-20 -24 {WIDTH + 40} {HEIGHT + 64}" style="display:block;max-width:100%;height:auto" '
            f'fill="currentColor" font-size="12" font-family="sans-serif"><title>{html.escape(label)}</title>'
            f"{legend(yours, colour)}{self.ticks()}"
            f'<svg width="{WIDTH}" height="{HEIGHT}" overflow="hidden">{"".join(curves)}</svg></svg>'
        )

    def density(self, function: Callable) -> Tensor | None:
        """exp of what a function gives at each place, (n,), in float64; None if that is no curve."""
        value = outcome(function, self.arguments).value
        if not isinstance(value, Tensor) or value.shape != self.x.shape or value.is_complex():
            return None
        density = value.detach().double().exp()
        return density if density.isfinite().any() else None

    def places(self, x: Tensor) -> Tensor:
        """Numbers of the axis as pixels from the left."""
        return (x.double() - self.x[0]) / (self.x[-1] - self.x[0]) * WIDTH

    def ticks(self) -> str:
        """The horizontal axis: a line, multiples of a power of two, and the name."""
        low, high = float(self.x[0]), float(self.x[-1])
        step = 2.0 ** math.floor(math.log2((high - low) / 4.0))
        numbers = step * torch.arange(math.ceil(low / step), math.floor(high / step) + 1)
        words = [f"{number:g}".replace("-", "−") for number in numbers.tolist()]
        texts = [
            f'<text x="{place:.0f}" y="{HEIGHT + 16}" text-anchor="middle">{word}</text>'
            for place, word in zip(self.places(numbers).tolist(), words, strict=True)
        ]
        name = f'<text x="{WIDTH / 2:.0f}" y="{HEIGHT + 34}" text-anchor="middle">{html.escape(self.axis)}</text>'
        return f'<path d="M0 {HEIGHT}H{WIDTH}" stroke="currentColor"/>{"".join(texts)}{name}'


def legend(yours: str, colour: str) -> str:
    """Which line is whose, above the frame: the true one first, since the words for the other differ."""
    return (
        '<path d="M0 -12h28" stroke="currentColor" stroke-width="1.5" stroke-dasharray="5 4"/>'
        f'<text x="34" y="-8">the true one</text><path d="M130 -12h28" stroke="{colour}" stroke-width="2.5"/>'
        f'<text x="164" y="-8">{yours}</text>'
    )


def line(places: Tensor, heights: Tensor, style: str) -> str:
    """Polylines through (place, height), heights from 0 at the bottom to 1 at the top, cut where one is not finite."""
    runs: list[list[str]] = [[]]
    for place, height in zip(places.tolist(), heights.tolist(), strict=True):
        if math.isfinite(height):
            runs[-1].append(f"{place:.1f},{HEIGHT * (1.0 - min(height, 9.0)):.1f}")
        elif runs[-1]:
            runs.append([])
    return "".join(f'<polyline points="{" ".join(run)}" fill="none" {style}/>' for run in runs if run)
