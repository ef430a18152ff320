"""The exercises of notebook 11a: anomalies, thresholds, and splits that do not leak."""

import math

import torch
from torch import Tensor

from flowlib.course.exercises.exercise import Exercise
from flowlib.course.exercises.shared import drawn

# --- 11a.1: the score of a pixel (Yu and others 2021, arXiv 2111.07677)


def pixel_score(z, log_slopes):
    """z and log |slopes| (n, C, H, W) -> −log p of each pixel (n, H, W)."""
    log_p = -0.5 * z.square() - 0.5 * math.log(2 * math.pi) + log_slopes
    return -log_p.sum(1)


score = Exercise(
    "11a_pixel_score",
    pixel_score,
    inputs=[
        (drawn(2, 3, 4, 5, seed=0), drawn(2, 3, 4, 5, seed=1)),
        (drawn(3, 2, 1, 4, seed=2), drawn(3, 2, 1, 4, seed=3)),
    ],
)
score.mistake(
    "That is z² alone: the log-determinant is missing, so it is no density of the features any more.",
    lambda z, log_slopes: 0.5 * z.square().sum(1),
)
score.mistake(
    "The log-determinant is missing: the density of z is not that of the features.",
    lambda z, log_slopes: pixel_score(z, torch.zeros_like(z)),
)
score.mistake("The sign is turned: a score is high where the density is low.", lambda *a: -pixel_score(*a))
score.mistake(
    "The log-determinant has the wrong sign: log p(x) = log p(z) + the log-slopes of x -> z.",
    lambda z, log_slopes: pixel_score(z, -log_slopes),
)
score.mistake(
    "You took the mean over the channels. Channels are coordinates of one point: their log-densities add.",
    lambda z, log_slopes: pixel_score(z, log_slopes) / z.shape[1],
)
score.mistake(
    "The constant ½ log 2π of each channel is missing.",
    lambda z, log_slopes: (0.5 * z.square() - log_slopes).sum(1),
)


# --- 11a.2: the threshold


def choose_threshold(held_out, test, rate):
    """Scores of held-out normal images and of test images, the rate of false alarms -> a number, ()."""
    return held_out.quantile(1.0 - rate)


threshold = Exercise(
    "11a_threshold",
    choose_threshold,
    inputs=[
        (drawn(11, seed=4), 1.0 + drawn(7, seed=5), 0.1),
        (drawn(6, seed=6), 1.0 + drawn(9, seed=7), 0.3),
    ],
)
threshold.mistake(
    "This threshold was chosen on the test set: its rates there are no estimate for new images.",
    lambda held_out, test, rate: test.quantile(1.0 - rate),
)
threshold.mistake(
    "The test images are in it too. They may be judged by the threshold, and must not choose it.",
    lambda held_out, test, rate: torch.cat([held_out, test]).quantile(1.0 - rate),
)
threshold.mistake(
    "That is the other tail: so all but that part of the normal images would raise an alarm.",
    lambda held_out, test, rate: held_out.quantile(rate),
)


# --- 11a.3: the area under the ROC curve


def pairs(scores: Tensor, anomalous: Tensor) -> Tensor:
    """The difference of each anomalous score to each normal one, (bad, good)."""
    return scores[anomalous][:, None] - scores[~anomalous][None]


def auroc(scores, anomalous):
    """scores (n,), anomalous (n,) bool -> the share of pairs in the right order, a tie counting half, ()."""
    difference = pairs(scores, anomalous)
    return ((difference > 0).float() + 0.5 * (difference == 0).float()).mean()


area = Exercise(
    "11a_auroc",
    auroc,
    inputs=[
        (torch.tensor([0.1, 0.9, 0.4, 0.4, 0.8, 0.4]), torch.tensor([False, True, False, True, False, False])),
        (torch.tensor([3.0, 1.0, 2.0, 2.0, 5.0]), torch.tensor([True, False, True, False, True])),
        (torch.tensor([0.5, 0.5, 0.7, 0.1, 0.9, 0.6, 0.2]), torch.tensor([True, False] * 3 + [False])),
    ],
)
area.mistake(
    "Its sign is turned: you counted the pairs in which the normal one scores higher. More must mean worse.",
    lambda scores, anomalous: auroc(-scores, anomalous),
)
area.mistake("A tie counts half, not nothing.", lambda *a: (pairs(*a) > 0).float().mean())
area.mistake("A tie counts half, not as a pair in the right order.", lambda *a: (pairs(*a) >= 0).float().mean())


# --- 11a.4: a split that does not leak


def training_rows(tile, anomalous, chosen):
    """tile (n,), anomalous (n,) bool, chosen tiles (k,) -> rows for training (n,) bool."""
    return torch.isin(tile, chosen) & ~torch.isin(tile, tile[anomalous])


def first_shots(tile: Tensor, anomalous: Tensor, chosen: Tensor) -> Tensor:
    """As many normal photographs as that, from the top, whosever they are."""
    normal = ~anomalous
    return normal & (normal.cumsum(0) <= training_rows(tile, anomalous, chosen).sum())


def marked(n: int, *rows: int) -> Tensor:
    return torch.isin(torch.arange(n), torch.tensor(rows))


split = Exercise(
    "11a_split",
    training_rows,
    inputs=[
        (torch.tensor([4, 7, 4, 9, 7, 2, 9, 2]), marked(8, 3), torch.tensor([7, 9])),
        (torch.tensor([1, 1, 3, 5, 3, 5, 6, 1, 6, 8]), marked(10, 1, 9), torch.tensor([5, 6, 1])),
    ],
)
split.mistake(
    "Photographs of one tile are on both sides now: you chose by photograph. Choose whole tiles.", first_shots
)
split.mistake(
    "A tile with a defect on one photograph is in: its other photographs show the same tile, and belong to the test.",
    lambda tile, anomalous, chosen: torch.isin(tile, chosen) & ~anomalous,
)
split.mistake(
    "Photographs with a defect are in the training part.", lambda tile, anomalous, chosen: torch.isin(tile, chosen)
)

EXERCISES = [score, threshold, area, split]
