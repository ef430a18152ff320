"""Training: `fit` to samples, `fit_energy` to an energy, `fit_greedy` layer by layer, `fit_matching` without a
likelihood, and the image trainer behind `flowlib train`."""

from flowlib.training.detection import Interval, PixelTest, au_pro, auroc, interval, threshold
from flowlib.training.fit import fit
from flowlib.training.fit_energy import fit_energy
from flowlib.training.greedy import fit_greedy
from flowlib.training.history import History
from flowlib.training.matching import fit_matching

__all__ = [
    "History",
    "Interval",
    "PixelTest",
    "au_pro",
    "auroc",
    "fit",
    "fit_energy",
    "fit_greedy",
    "fit_matching",
    "interval",
    "threshold",
]
