"""Training: `fit` to samples, `fit_energy` to an energy, `fit_greedy` layer by layer, and the image trainer behind
`flowlib train`."""

from flowlib.training.fit import fit
from flowlib.training.fit_energy import fit_energy
from flowlib.training.greedy import fit_greedy
from flowlib.training.history import History

__all__ = ["History", "fit", "fit_energy", "fit_greedy"]
