"""Training: `fit` to samples, `fit_energy` to an energy, `fit_greedy` layer by layer, `fit_matching` without a
likelihood, `fit_vae` by a bound, and the image trainer behind `flowlib train`; and `c2st`, `ranks`, `coverage`, which
judge posteriors."""

from flowlib.training.calibration import c2st, coverage, ranks
from flowlib.training.defects import PixelTest, au_pro, threshold
from flowlib.training.detection import Interval, auroc, auroc_interval, interval
from flowlib.training.detector import read_detector
from flowlib.training.fit import fit
from flowlib.training.fit_energy import fit_energy
from flowlib.training.fit_vae import fit_vae
from flowlib.training.greedy import fit_greedy
from flowlib.training.history import History
from flowlib.training.matching import fit_matching

__all__ = [
    "History",
    "Interval",
    "PixelTest",
    "au_pro",
    "auroc",
    "auroc_interval",
    "c2st",
    "coverage",
    "fit",
    "fit_energy",
    "fit_greedy",
    "fit_matching",
    "fit_vae",
    "interval",
    "ranks",
    "read_detector",
    "threshold",
]
