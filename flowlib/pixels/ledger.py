"""The ledger of a pixel model: every term of log P(x) by name, and the sum that is printed as bits per dimension.

    −log₂ P(x) / D = −(base + layers + pixel logit + data scale + dequantization) / (D log 2)

A bit is log 2 nats, and D counts every number of an image, channels too. Each row is one term of the sum, the mean over
the images: in nats what it adds to log P(x), in bits per dimension what it adds to the bits, with the opposite sign.
"""

from collections.abc import Iterator
from dataclasses import dataclass

import torch
from torch import Tensor

from flowlib.core import Transform, bits
from flowlib.support.chunks import pieces
from flowlib.support.tables import Report, Table


@dataclass(frozen=True)
class Row:
    """One term: what it is, and what it adds to log P(x), in nats an image."""

    name: str
    nats: float


class Ledger(Report):
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

    def table(self) -> Table:
        return Table(self.title, list(self.lines()), right=[1, 2], head=("", "nats", "bits per dimension"), total=True)


def signed(value: float, digits: int) -> str:
    """Rounded, with its sign; zero has none."""
    text = f"{value:+.{digits}f}"
    return text if float(text) else text[1:]


def itemise(transform: Transform, x: Tensor, context: Tensor | None = None) -> list[tuple[str, int, float]]:
    """The share of each kind of layer in the log_det of `transform.inverse(x)`, summed over the points.

    The shares, (kind, number of layers, nats), are in order from noise to data, a kind where it comes first.
    """
    layers = transform.layers()
    nats = [0.0] * len(layers)
    for points, own in pieces(x, context, transform.data_shape):
        for k in reversed(range(len(layers))):
            layer = layers[k]
            batch = points.shape[: points.dim() - layer.data_dims]
            points, log_det = layer.inverse(points, own)
            nats[k] += float(log_det.detach().expand(batch).sum(dtype=torch.float64))
    kinds = [layer.kind for layer in layers]
    return [
        (kind, kinds.count(kind), sum(share for name, share in zip(kinds, nats, strict=True) if name == kind))
        for kind in dict.fromkeys(kinds)
    ]
