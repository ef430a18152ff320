"""How well a score tells outliers from the rest: the AUROC, and an interval for it by bootstrap.

    AUROC = P(score of an outlier > score of an inlier) + ½ P(equal)

0.5 is chance, 1 is perfect, and below 0.5 the score has its sign turned: outliers get the *lower* ones.

Papers: Hanley and McNeil (1982), The meaning and use of the area under a ROC curve, Radiology 143; Efron and Tibshirani
(1993), An introduction to the bootstrap, chapter 13 (percentile intervals).
"""

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from flowlib.support.checks import check_count


@dataclass(frozen=True)
class Interval:
    """An estimate and the ends of its 95 % interval."""

    value: float
    low: float
    high: float

    def __str__(self) -> str:
        return f"{self.value:.3f} ({self.low:.3f} to {self.high:.3f})"


def auroc(inliers: Tensor, outliers: Tensor) -> float:
    """The share of pairs in which the outlier has the higher score, ties counted half: (n,), (m,) -> a number.

    >>> auroc(torch.tensor([0.0, 1.0]), torch.tensor([2.0, 1.0]))
    0.875
    """
    return area(*(scores_of(scores, name) for scores, name in ((inliers, "inliers"), (outliers, "outliers"))))


def auroc_interval(inliers: Tensor, outliers: Tensor, draws: int = 1000, seed: int = 0) -> Interval:
    """The AUROC with its 95 % interval: both groups are drawn again, each with replacement, `draws` times.

    It says what other images of the same two kinds would give; other kinds, or another model, it cannot know.

    >>> print(auroc_interval(torch.arange(50.0), 20 + torch.arange(50.0)))
    0.820 (0.735 to 0.888)
    """
    check_count("auroc_interval", "draws", draws, 2)
    inside, outside = scores_of(inliers, "inliers"), scores_of(outliers, "outliers")
    draw = np.random.default_rng(seed)
    again = [area(draw.choice(inside, len(inside)), draw.choice(outside, len(outside))) for _ in range(draws)]
    low, high = np.quantile(again, [0.025, 0.975])
    return Interval(area(inside, outside), float(low), float(high))


def area(inside: np.ndarray, outside: np.ndarray) -> float:
    """By ranks: for each outlier the inliers below it, and half of those level with it."""
    inside = np.sort(inside)
    below, up_to = (np.searchsorted(inside, outside, side) for side in ("left", "right"))
    return float((below + up_to).mean() / (2 * len(inside)))


def scores_of(scores: Tensor, name: str) -> np.ndarray:
    """The scores as float64; an error that names what is wrong with them."""
    scores = torch.as_tensor(scores).detach().double().cpu()
    if scores.dim() != 1 or len(scores) == 0 or not scores.isfinite().all():
        what = f"shape {tuple(scores.shape)}" if scores.dim() != 1 or len(scores) == 0 else "nan or inf among them"
        raise ValueError(f"auroc: {name} must be one finite score for each row, (n,) with n above 0; got {what}.")
    return scores.numpy()
