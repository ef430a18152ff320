"""What the course's flows are fitted to: toy densities, energies, real tables, small images."""

from flowlib.datasets import energies, images, strokes, tables, toy
from flowlib.datasets.density import Density
from flowlib.datasets.energies import Energy
from flowlib.datasets.files import find
from flowlib.datasets.images import ImageSet
from flowlib.datasets.inspection import Inspection, magnetic_tiles, mvtec, split_by_group
from flowlib.datasets.tables import Table
from flowlib.datasets.textures import scratch, textures

__all__ = [
    "Density",
    "Energy",
    "ImageSet",
    "Inspection",
    "Table",
    "energies",
    "find",
    "images",
    "magnetic_tiles",
    "mvtec",
    "scratch",
    "split_by_group",
    "strokes",
    "tables",
    "textures",
    "toy",
]
