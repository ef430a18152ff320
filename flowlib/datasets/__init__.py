"""What the course's flows are fitted to: toy densities, energies, real tables, small images."""

from flowlib.datasets import energies, images, strokes, tables, toy
from flowlib.datasets.density import Density
from flowlib.datasets.energies import Energy
from flowlib.datasets.files import find
from flowlib.datasets.images import ImageSet
from flowlib.datasets.physics import Pendulum, Simulator, TwoMoons
from flowlib.datasets.tables import Table

__all__ = [
    "Density",
    "Energy",
    "ImageSet",
    "Pendulum",
    "Simulator",
    "Table",
    "TwoMoons",
    "energies",
    "find",
    "images",
    "strokes",
    "tables",
    "toy",
]
