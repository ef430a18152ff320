"""A finished figure as a notebook shows it: a small PNG, and beside it a text that is the same on every machine."""

from __future__ import annotations

import io
from collections.abc import Sequence
from typing import Any

import numpy as np
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

from flowlib.viz.engine.frozen import encode_still, fits_palette
from flowlib.viz.engine.paint import to_rgb, to_rgba
from flowlib.viz.engine.theme import INK


def written(lines: Sequence[str], alt: str) -> Picture:
    """A few lines of text as a picture, for what has nothing to draw."""
    figure = Figure(figsize=(7.2, 0.2 * len(lines) + 0.2), facecolor="none")
    for row, line in enumerate(lines):
        figure.text(0.02, 1 - (row + 1) / (len(lines) + 1), line, color=INK, fontsize=10, va="center")
    return Picture(figure, alt)


class Picture:
    """A finished matplotlib figure with a stable text; notebooks show it, `save(path)` and `array()` pass it on."""

    def __init__(self, figure: Figure, text: str) -> None:
        self.figure, self.text = figure, text
        FigureCanvasAgg(figure)  # a bare matplotlib Figure has no pixels until it has this canvas

    def __repr__(self) -> str:
        return f"Picture: {self.text}"

    def png(self, dpi: int = 160) -> bytes:
        """The figure as a PNG; with a palette, a third of the size, where it is opaque panels and grey text alone."""
        own = self.figure.dpi
        self.figure.set_dpi(dpi)
        pixels = to_rgba(self.figure)
        self.figure.set_dpi(own)
        if fits_palette(pixels):
            return encode_still(pixels)
        out = io.BytesIO()
        self.figure.savefig(out, format="png", dpi=dpi, metadata={"Software": None})
        return out.getvalue()

    def save(self, path: Any, dpi: int = 160) -> None:
        """Write the figure to a file; its ending decides the format."""
        self.figure.savefig(path, dpi=dpi)

    def array(self) -> np.ndarray:
        """The picture on a white page, (H, W, 3) uint8."""
        return to_rgb(self.figure)

    def _repr_mimebundle_(self, include: Any = None, exclude: Any = None) -> tuple[dict, dict]:
        width = round(self.figure.get_figwidth() * self.figure.dpi)
        return {"text/plain": repr(self), "image/png": self.png()}, {"image/png": {"width": width, "alt": self.text}}
