"""Training: `fit` to samples, `fit_energy` to an energy, `fit_greedy` layer by layer, `fit_matching` without a
likelihood, `fit_vae` by a bound, `fit_gan` by a game, `fit_diffusion` by denoising, and the image trainer behind
`flowlib train`; `read_detector`, which reads a detector of defects that it has trained; `c2st`, `ranks`, `coverage`,
which judge posteriors, `ais`, which judges bounds; `nearest_neighbour_test`, `sliced_wasserstein`, `precision_recall`,
`frechet`, `mode_shares`, which judge samples."""

from flowlib.training.annealing import ais
from flowlib.training.calibration import c2st, coverage, ranks
from flowlib.training.defects import PixelTest, au_pro, threshold
from flowlib.training.detection import Interval, auroc, auroc_interval, interval
from flowlib.training.detector import Detector, read_detector
from flowlib.training.fit import fit
from flowlib.training.fit_diffusion import fit_diffusion
from flowlib.training.fit_energy import fit_energy
from flowlib.training.fit_gan import fit_gan
from flowlib.training.fit_vae import fit_vae
from flowlib.training.greedy import fit_greedy
from flowlib.training.history import History
from flowlib.training.matching import fit_matching
from flowlib.training.modes import mode_shares
from flowlib.training.samples import (
    PrecisionRecall,
    frechet,
    kernel_log_prob,
    nearest_neighbour_test,
    precision_recall,
    sliced_wasserstein,
)

__all__ = [
    "Detector",
    "History",
    "Interval",
    "PixelTest",
    "PrecisionRecall",
    "ais",
    "au_pro",
    "auroc",
    "auroc_interval",
    "c2st",
    "coverage",
    "fit",
    "fit_diffusion",
    "fit_energy",
    "fit_gan",
    "fit_greedy",
    "fit_matching",
    "fit_vae",
    "frechet",
    "interval",
    "kernel_log_prob",
    "mode_shares",
    "nearest_neighbour_test",
    "precision_recall",
    "ranks",
    "read_detector",
    "sliced_wasserstein",
    "threshold",
]
