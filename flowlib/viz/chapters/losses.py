"""The loss of a fit over its steps."""

from __future__ import annotations

import textwrap

import matplotlib
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from flowlib.training.history import History
from flowlib.viz.engine.picture import Picture
from flowlib.viz.engine.theme import INK, colour, style


def losses(history: History, ax: Axes | None = None, *, title: str = "") -> Picture | None:
    """Each step's loss, pale, and smoothed; the held-out loss as dots, the best one ringed; the floor dashed.

    A triangle at the upper edge stands for a held-out loss above it. The verdict, if there is one, stands below.
    """
    if ax is not None:
        draw(history, ax, title)
        return None
    with matplotlib.rc_context(style()):
        figure = Figure(figsize=(6.6, 3.2), layout="constrained")
        draw(history, figure.add_subplot(), title)
    return Picture(figure, f"the loss over {len(history.losses)} steps")


def draw(history: History, ax: Axes, title: str) -> None:
    loss, held_out = np.asarray(history.losses, dtype=float), history.held_out
    steps, width = np.arange(1, len(loss) + 1), max(1, len(loss) // 50)
    blue, amber = colour("data"), colour("base")
    ax.plot(steps, loss, color=blue, alpha=0.25, linewidth=0.8)
    if len(loss) >= 2 * width:
        ax.plot(steps[width - 1 :], smooth(loss, width), color=blue, label="training")
    ax.plot(list(held_out), list(held_out.values()), "o", color=amber, markersize=3.5, label="held out")
    ring = {"color": "none", "markeredgecolor": amber, "markersize": 9}
    ax.plot([history.best_step], [history.best], "o", label="best, kept", **ring)
    if history.floor is not None:
        ax.axhline(history.floor, color=INK, linestyle="--", linewidth=1.2, label=f"floor {history.floor:.3f}")
    shown = np.concatenate([smooth(loss, width) if len(loss) >= width else loss, list(held_out.values())])
    low = min(np.nanmin(shown), history.floor if history.floor is not None else np.inf)
    high = max(np.nanquantile(shown, 0.97), history.best)
    worst = max(value for step, value in held_out.items() if step >= history.best_step)
    high = max(high, min(worst, low + 3 * (high - low)))  # overfitting is shown, a loss that explodes is cut off
    margin = 0.08 * max(high - low, 1e-3)
    top = high + 2 * margin
    ax.set_ylim(low - margin, top)
    above = [step for step, value in held_out.items() if value > top]
    edge = {"transform": ax.get_xaxis_transform(), "clip_on": False}
    ax.plot(above, [1.0] * len(above), "^", color=amber, markersize=5, **edge)
    verdict = textwrap.fill(f"Verdict: {history.verdict}", 72) if history.verdict else ""
    ax.set_xlabel(f"step\n{verdict}".strip())
    ax.set_ylabel("loss (nats)")
    ax.set_title(title, pad=24)
    ax.legend(loc="lower right", bbox_to_anchor=(1.0, 1.0), ncols=4, fontsize=9)  # above, where no curve can be


def smooth(values: np.ndarray, width: int) -> np.ndarray:
    """The mean of the last `width` values, from the first place where there are so many."""
    sums = np.cumsum(np.concatenate([[0.0], values]))
    return (sums[width:] - sums[:-width]) / width
