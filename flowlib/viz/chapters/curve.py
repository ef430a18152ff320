"""The curve of a training run as one PNG, as `flowlib train` writes it."""

import io

import matplotlib
import numpy as np
from matplotlib.figure import Figure

from flowlib.viz.chapters.losses import smooth
from flowlib.viz.engine.theme import colour, style


def curve_png(losses: list[float], looks: list[dict[str, float]]) -> bytes:
    """The loss of every step, smoothed, and the validation bits with their errors, over the steps.

    >>> curve_png([3.0, 2.0], [{"step": 2, "validation": 2.1, "error": 0.1}])[1:4]
    b'PNG'
    """
    with matplotlib.rc_context(style()):
        figure = Figure(figsize=(6.6, 3.2), layout="constrained", facecolor="white")
        ax, width = figure.add_subplot(), max(1, len(losses) // 50)
        ax.plot(
            np.arange(width, len(losses) + 1), smooth(np.asarray(losses), width), color=colour("data"), label="training"
        )
        found = [[look[name] for look in looks] for name in ("step", "validation", "error")]
        ax.errorbar(found[0], found[1], found[2], fmt="o", color=colour("base"), markersize=3.5, label="validation")
        ax.set_xlabel("step")
        ax.set_ylabel("bits per dimension")
        values = np.concatenate([smooth(np.asarray(losses), width), found[1]])
        low, high = values.min(), np.quantile(values, 0.95)  # the first steps are far above
        ax.set_ylim(low - 0.05 * (high - low + 1e-3), high + 0.2 * (high - low + 1e-3))
        ax.legend(loc="upper right", fontsize=9)
        file = io.BytesIO()
        figure.savefig(file, format="png", dpi=150)
    return file.getvalue()
