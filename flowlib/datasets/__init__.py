"""What the course's flows are fitted to: toy densities, energies, real tables, small images."""

from flowlib.datasets import energies, images, simulators, strokes, tables, toy
from flowlib.datasets.density import Density
from flowlib.datasets.energies import Energy
from flowlib.datasets.files import find
from flowlib.datasets.images import ImageSet
from flowlib.datasets.inspection import Inspection, magnetic_tiles, mvtec, split_by_group
from flowlib.datasets.physics import Pendulum, Simulator, TwoMoons
from flowlib.datasets.simulators import Camera
from flowlib.datasets.tables import Table
from flowlib.datasets.textures import scratch, textures

__all__ = [
    "Camera",
    "Density",
    "Energy",
    "ImageSet",
    "Inspection",
    "Pendulum",
    "Simulator",
    "Table",
    "TwoMoons",
    "energies",
    "find",
    "images",
    "magnetic_tiles",
    "mvtec",
    "scratch",
    "simulators",
    "split_by_group",
    "strokes",
    "tables",
    "textures",
    "toy",
]
