"""Points of three dimensions and more: every column alone, and every two of them together."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

import matplotlib
import numpy as np
import torch
from torch import Tensor

from flowlib.core import Base, Flow
from flowlib.viz.engine.evaluate import evaluating
from flowlib.viz.engine.paint import ROW, Page, paint_panel
from flowlib.viz.engine.picture import Picture
from flowlib.viz.engine.scene import Area, Dots, Layer, Panel
from flowlib.viz.engine.theme import colour, style

MOST_COLUMNS, MOST_DOTS, BINS = 8, 500, 30
EDGE, GAP, FOOT = 22, 6, 54  # px left of the grid, between its panels, below it
COLOURS_OF = {"samples": "data", "data": "base"}  # as everywhere, what a flow makes is blue


def pairs(
    points: Flow | Base | Tensor,
    data: Tensor | None = None,
    *,
    columns: Sequence[int] | None = None,
    names: Sequence[str] | None = None,
    n: int = 1000,
    width: int = 660,
    seed: int = 0,
) -> Picture:
    """A grid: on the diagonal each column as a histogram, below it each two columns as points, blue; data in amber.

    Where blue and amber differ on the diagonal, a column is wrong; where they differ below it alone, columns depend on
    each other in a way that the flow has not learned. Windows hold 99% of each column of the data and a margin; below
    each stands its middle ± half of its width.

    Args:
        points: (N, D), or a flow or base of D columns, of which n samples are drawn (the global seed is left alone).
        data: (M, D), to be compared with.
        columns: which to show; the first eight if not given.
        names: of all D columns; x₁, x₂, ... if not given.

    >>> from flowlib.models import maf
    >>> pairs(maf(4), torch.randn(200, 4))
    Picture: 1000 points in blue beside 200 rows of data in amber: histograms and pairs of x₁, x₂, x₃, x₄
    """
    if isinstance(points, (Flow, Base)):
        with evaluating(), torch.random.fork_rng(devices=[]):
            torch.manual_seed(seed)
            points = points.sample(n)
    blue = columns_of(points, "points")
    dim = blue.shape[1]
    amber = None if data is None else columns_of(data, "data")
    if amber is not None and amber.shape[1] != dim:
        raise ValueError(f"pairs: the data have {amber.shape[1]} columns, the points {dim}. Give both the same.")
    shown = list(range(min(dim, MOST_COLUMNS)) if columns is None else columns)
    if not shown or not all(0 <= column < dim for column in shown):
        raise ValueError(f"pairs: columns must be numbers from 0 to {dim - 1}; got {shown}.")
    names = names or [f"x{str(k + 1).translate(str.maketrans('0123456789', '₀₁₂₃₄₅₆₇₈₉'))}" for k in range(dim)]
    if len(names) != dim:
        raise ValueError(f"pairs: names must hold one name for each of {dim} columns; got {len(names)}.")
    windows = [window(column) for column in (blue if amber is None else amber).T]
    low, high = np.array(windows).T
    sets = {"samples": blue} if amber is None else {"data": amber, "samples": blue}
    sets = {name: ((values - low) / (high - low)).T for name, values in sets.items()}  # (D, N), windows are (0, 1)
    side = (width - EDGE - GAP * (len(shown) - 1)) / len(shown)
    with matplotlib.rc_context(style()):
        page = Page(width, round(width - EDGE + FOOT))
        for row, down in enumerate(shown):
            for column, across in enumerate(shown[: row + 1]):
                layers = marginal(sets, across) if row == column else scatter(sets, across, down)
                labels = {"xlabel": f"{names[across]}\n{in_words(*windows[across])}"} if row == len(shown) - 1 else {}
                labels |= {"ylabel": names[down]} if column == 0 else {}
                panel = Panel((0.0, 1.0), (0.0, 1.0), "", layers, equal=False, xticks=False, yticks=False, **labels)
                at = EDGE + column * (side + GAP), row * (side + GAP)
                paint_panel(page.axes(*at, side, side), panel, font=8.0)
        if amber is not None and len(shown) > 1:
            for k, name in enumerate(sets):
                page.write(width, ROW * k, f"{name} ●", colour(COLOURS_OF[name]), ha="right", size=9.0)
    beside = "" if amber is None else f" beside {len(amber)} rows of data in amber"
    listed = ", ".join(names[column] for column in shown)
    return Picture(page.figure, f"{len(blue)} points in blue{beside}: histograms and pairs of {listed}")


def columns_of(values: Tensor, name: str) -> np.ndarray:
    """The rows (N, D) without nan or inf, in float64: a column may lie far from zero."""
    values = torch.as_tensor(values).detach().cpu().double().numpy()
    if values.ndim != 2 or 0 in values.shape:
        raise ValueError(f"pairs: {name} must have shape (N, D), one row or more; got {tuple(values.shape)}.")
    finite = values[np.isfinite(values).all(1)]
    if len(finite) == 0:
        raise ValueError(f"pairs: every row of {name} has nan or inf in it.")
    return finite


def window(values: np.ndarray) -> tuple[float, float]:
    """What holds 99% of the values, and a quarter of that on each side."""
    low, high = np.quantile(values, [0.005, 0.995])
    margin = 0.25 * (high - low) or max(1.0, abs(low)) * 1e-3
    return low - margin, high + margin


def in_words(low: float, high: float) -> str:
    """A window as its middle ± half of its width, which is short also far from zero."""
    half = (high - low) / 2
    middle = round((low + high) / 2, 1 - math.floor(math.log10(half))) + 0.0
    return f"{middle:.6g}\n± {half:.2g}".replace("-", "−")


def marginal(sets: Mapping[str, np.ndarray], column: int) -> list[Layer]:
    """Histograms of one column, shares of the points of each set; the highest bar of all nearly fills the panel."""
    edges = np.linspace(0.0, 1.0, BINS + 1)
    heights = {name: np.histogram(values[column], edges)[0] / values.shape[1] for name, values in sets.items()}
    highest = max(height.max() for height in heights.values()) or 1.0
    return [
        Area(np.repeat(edges, 2)[1:-1], 0.0, np.repeat(0.95 * height / highest, 2), COLOURS_OF[name], alpha=0.55)
        for name, height in heights.items()
    ]


def scatter(sets: Mapping[str, np.ndarray], across: int, down: int) -> list[Layer]:
    """Two columns against each other: at most so many points of each set."""
    return [
        Dots(values[[across, down], :MOST_DOTS].T, COLOURS_OF[name], size=1.3, alpha=0.6)
        for name, values in sets.items()
    ]
