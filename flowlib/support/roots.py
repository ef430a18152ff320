"""The one root finder: solve f(t) = y for t, elementwise, where f is increasing.

Planar and Sylvester flows, like every layer whose inverse has no formula, reduce their inverse to this problem.
The numbers of steps are fixed and no branch looks at a value, so it runs under torch.compile and vmap.

Two phases. Without a gradient: bisection narrows the bracket, then Newton's method finishes inside it. With a
gradient: two more Newton steps. At the root a Newton step t − (f(t) − y) / f'(t) does not move t, but autograd
through it yields the implicit function theorem, dt/dy = 1 / f'(t); a second step makes second derivatives exact.
"""

from collections.abc import Callable

import torch
from torch import Tensor

GROWTH_STEPS = 64  # the bracket doubles, up to ±2^64
BISECTION_STEPS = 40
NEWTON_STEPS = 8

ScalarMap = Callable[[Tensor], tuple[Tensor, Tensor]]


def monotone_root(
    f: ScalarMap, y: Tensor, lower: Tensor | None = None, upper: Tensor | None = None, start: Tensor | None = None
) -> Tensor:
    """t with f(t) = y, to the precision of the dtype, differentiable in y and in whatever f closes over.

    Args:
        f: t -> (f(t), f'(t)), elementwise, increasing.
        y: targets, any shape.
        lower, upper: a bracket, f(lower) ≤ y ≤ f(upper), in the shape of y. Grown from ±1 if not given; where none
            up to ±2^64 holds the answer, there is no root and the result is nan.
        start: a point from which Newton's method is known to approach the root from one side. Spares the bisection.

    >>> y = torch.tensor([0.0, 30.0], dtype=torch.float64)
    >>> monotone_root(lambda t: (t**3 + t, 3 * t**2 + 1), y)
    tensor([0., 3.], dtype=torch.float64)
    """
    with torch.no_grad():
        if lower is None or upper is None:
            lower, upper = grow_bracket(f, y)
        t = bisect(f, y, lower, upper) if start is None else start
        for _ in range(NEWTON_STEPS):
            value, slope = f(t)
            t = torch.minimum(torch.maximum(t - (value - y) / slope, lower), upper)
    t = t.detach()
    for _ in range(2):
        value, slope = f(t)
        t = t - (value - y) / slope
    return t


def bisect(f: ScalarMap, y: Tensor, lower: Tensor, upper: Tensor) -> Tensor:
    """The middle of a bracket 2^-40 times as wide, which still holds the root."""
    for _ in range(BISECTION_STEPS):
        middle = 0.5 * (lower + upper)
        below = f(middle)[0] < y
        lower, upper = torch.where(below, middle, lower), torch.where(below, upper, middle)
    return 0.5 * (lower + upper)


def grow_bracket(f: ScalarMap, y: Tensor) -> tuple[Tensor, Tensor]:
    """lower and upper with f(lower) ≤ y ≤ f(upper); nan where doubling ±1 up to ±2^64 finds none."""
    lower, upper = -torch.ones_like(y), torch.ones_like(y)
    for _ in range(GROWTH_STEPS):
        lower = torch.where(f(lower)[0] > y, 2 * lower, lower)
        upper = torch.where(f(upper)[0] < y, 2 * upper, upper)
    found = (f(lower)[0] <= y) & (y <= f(upper)[0])
    return lower.where(found, torch.nan), upper.where(found, torch.nan)
