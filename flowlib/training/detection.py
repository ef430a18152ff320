"""How well a score tells outliers from the rest: the AUROC; and intervals, of it and of any measure, by one bootstrap.

    AUROC = P(score of an outlier > score of an inlier) + ½ P(equal)

0.5 is chance, 1 is perfect, and below 0.5 the score has its sign turned: outliers get the *lower* ones.

Papers: Hanley and McNeil (1982), The meaning and use of the area under a ROC curve, Radiology 143; Efron and Tibshirani
(1993), An introduction to the bootstrap, chapter 13 (percentile intervals).
"""

from collections.abc import Callable
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
    both, n = np.concatenate([inside, outside]), len(inside)
    rows = np.arange(len(both))
    return interval(lambda rows: area(both[rows[:n]], both[rows[n:]]), rows, draws, seed, parts=rows >= n)


def interval(
    measure: Callable[[np.ndarray], float], groups: np.ndarray, draws: int = 200, seed: int = 0,
    parts: np.ndarray | None = None,
) -> Interval:  # fmt: skip
    """A measure with its 95 % interval: groups are drawn with replacement, all images of a group together.

    Args:
        measure: indices of images (some more than once) -> a number; ValueError where a draw has one class alone, and
            such a draw is left out.
        groups: (n,), which object each image shows.
        draws: how many resamples.
        seed: of the resamples.
        parts: (n,), drawn one after the other, so that each keeps its number of groups; None: all are one part.
    """
    groups, generator = np.asarray(groups), np.random.default_rng(seed)
    parts = np.zeros(len(groups), int) if parts is None else np.asarray(parts)
    sources = [Groups(groups, np.flatnonzero(parts == part)) for part in np.unique(parts)]
    found = []
    for _ in range(draws):
        try:
            found.append(measure(np.concatenate([source.draw(generator) for source in sources])))
        except ValueError:
            continue
    value = measure(np.arange(len(groups)))
    if not found:
        raise ValueError("interval: no resample of the groups holds both classes; there are too few groups.")
    low, high = np.quantile(found, [0.025, 0.975])
    return Interval(value, float(low), float(high))


class Groups:
    """Some of the rows, by the object that each shows; `draw` takes objects with replacement."""

    def __init__(self, groups: np.ndarray, rows: np.ndarray):
        order = np.argsort(groups[rows], kind="stable")
        _, self.starts, self.counts = np.unique(groups[rows][order], return_index=True, return_counts=True)
        self.rows = rows[order]

    def draw(self, generator: np.random.Generator) -> np.ndarray:
        """The rows of as many objects as there are."""
        drawn = generator.integers(len(self.starts), size=len(self.starts))
        counts = self.counts[drawn]
        within = np.arange(counts.sum()) - np.repeat(counts.cumsum() - counts, counts)  # 0, 1, ... in each object
        return self.rows[np.repeat(self.starts[drawn], counts) + within]


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
