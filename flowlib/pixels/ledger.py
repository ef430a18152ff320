"""The ledger of a pixel model: every term of log P(x) by name, and the sum that is printed as bits per dimension.

    −log₂ P(x) / D = −(base + layers + logit squeeze + data scale + dequantization) / (D log 2)

A bit is log 2 nats, and D counts every number of an image, channels too. Each row is one term of the sum, the mean over
the images: in nats what it adds to log P(x), in bits per dimension what it adds to the bits, with the opposite sign.
"""

import html
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import torch
from torch import Tensor

from flowlib.core import Transform, bits, in_chunks

ROUNDING = 1e-5  # relative: what a container differs from the sum of its parts by, without a term of its own


@dataclass(frozen=True)
class Row:
    """One term: what it is, and what it adds to log P(x), in nats an image."""

    name: str
    nats: float


class Ledger:
    """The terms of a number of bits: prints as a short table, shows as one in a notebook.

    Args:
        rows: the terms, from the noise end to the pixels.
        total: their sum, log P(x) in nats an image, as the model itself computes it.
        dim: D.
        images: how many images the means are over.
        levels: values of a pixel.
    """

    def __init__(self, rows: list[Row], total: float, dim: int, images: int, levels: int):
        if images == 0:
            raise ValueError("ledger: a mean over no images; give at least one.")
        self.rows, self.total, self.dim, self.images, self.levels = rows, total, dim, images, levels

    @property
    def bits_per_dim(self) -> float:
        """The number at the foot of the table."""
        return bits(self.total, self.dim)

    def lines(self) -> Iterator[tuple[str, str, str]]:
        """Name, nats and bits of each row and of the total, as they are printed."""
        for row in [*self.rows, Row("all: log P(x), a lower bound", self.total)]:
            yield row.name, signed(row.nats, 2), signed(bits(row.nats, self.dim), 4)

    @property
    def title(self) -> str:
        images = "1 image" if self.images == 1 else f"mean of {self.images} images"
        return f"Ledger, {images} of D = {self.dim} pixel values with {self.levels} levels"

    def __repr__(self) -> str:
        rows = [("", "nats", "bits per dimension"), *self.lines()]
        wide = [max(map(len, column)) for column in zip(*rows, strict=True)]
        return "\n".join([self.title, *(f"  {a:<{wide[0]}}  {b:>{wide[1]}}  {c:>{wide[2]}}" for a, b, c in rows)])

    def _repr_html_(self) -> str:
        left = 'style="text-align:left"'
        head = f"<tr><th {left}>term</th><th>nats</th><th>bits per dimension</th></tr>"
        *rows, last = (
            f"<tr><td {left}>{html.escape(name)}</td><td>{nats}</td><td>{bits}</td></tr>"
            for name, nats, bits in self.lines()
        )
        last = last.replace("<td", "<th").replace("</td", "</th")
        return f"<table><caption>{html.escape(self.title)}</caption>{head}{''.join(rows)}{last}</table>"


def signed(value: float, digits: int) -> str:
    """Rounded, with its sign; zero has none."""
    text = f"{value:+.{digits}f}"
    return text if float(text) else text[1:]


def itemise(
    transform: Transform, x: Tensor, context: Tensor | None = None
) -> tuple[Tensor, Tensor, list[tuple[str, int, float]]]:
    """transform.inverse(x, context), and the share of each kind of layer in the sum of log_det over all points.

    The shares, (kind, number of layers, nats), are in order from noise to data, a kind where it comes first.
    Whatever a transform is made of, its own share is what it returned less what the transforms that it called returned;
    so shares always add up. `Compose`, `Inverse` and other containers have none and are left out; a transform that
    calls no other is one layer. What has `layers()`, as a `CouplingStack` or a `GlowLevel`, is taken layer by layer.
    """
    shares: list[tuple[Transform, float]] = []
    with heard(transform, shares):
        z, log_det = in_chunks(transform.inverse, x, context, transform.data_dims)
    layers: dict[str, set[int]] = {}
    nats: dict[str, float] = {}
    for layer, share in reversed(shares):  # they were called from data to noise
        kind = type(layer).__name__
        layers.setdefault(kind, set()).add(id(layer))
        nats[kind] = nats.get(kind, 0.0) + share
    return z, log_det, [(kind, len(layers[kind]), nats[kind]) for kind in layers]


@contextmanager
def heard(transform: Transform, shares: list[tuple[Transform, float]]) -> Iterator[None]:
    """While this lasts, each call of a transform inside `transform` appends itself and its share to `shares`."""
    parts: list[list[float]] = [[]]  # for each call that is not yet done, what the calls inside it returned

    def listening(layer: Transform, call: Callable, dims: int) -> Callable:
        def listened(value: Tensor, context: Tensor | None = None) -> tuple[Tensor, Tensor]:
            parts.append([])
            try:
                moved, log_det = call(value, context)
            finally:
                inside = parts.pop()
            total = float(log_det.detach().expand(value.shape[: value.dim() - dims]).sum(dtype=torch.float64))
            parts[-1].append(total)
            own = total - sum(inside)
            if not inside or abs(own) > ROUNDING * (1.0 + abs(total) + sum(map(abs, inside))):
                shares.append((layer, own))
            return moved, log_det

        return listened

    layers = [module for module in transform.modules() if isinstance(module, Transform)]
    try:
        for layer in layers:  # an attribute of the object stands before the method of its class
            run = layer.layers() if hasattr(layer, "layers") else layer
            vars(layer)["forward"] = listening(layer, run.forward, layer.event_dims)
            vars(layer)["inverse"] = listening(layer, run.inverse, layer.data_dims)
        yield
    finally:
        for layer in layers:
            vars(layer).pop("forward", None)
            vars(layer).pop("inverse", None)
