"""What the course's flows are fitted to: toy densities, energies, real tables."""

from flowlib.datasets import energies, tables, toy
from flowlib.datasets.density import Density
from flowlib.datasets.energies import Energy
from flowlib.datasets.tables import Table

__all__ = ["Density", "Energy", "Table", "energies", "tables", "toy"]
