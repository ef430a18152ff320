"""The exercises of notebook 11b: noise of a camera, bits and nats, and scores of outliers."""

import math

import torch
from torch import Tensor
from torch.special import log_ndtr

from flowlib.bases import LOG_2PI
from flowlib.course.exercises.exercise import Exercise
from flowlib.course.exercises.shared import SUMMED_LOG_PROB, drawn

# --- 11b.1: the noise level function as a density (Foi and others 2008)


def gaussian_terms(n: Tensor, variance: Tensor, log_part: float = 0.5, constant: float = 0.5 * LOG_2PI) -> Tensor:
    """−n² / (2 variance) − log_part · log variance − constant, for each pixel."""
    return -0.5 * n.square() / variance - log_part * variance.log() - constant


def noise_log_prob(n, s, shot, read):
    """Noise n, clean pixels s, both (patches, pixels); σ² = shot · s + read -> log p of each patch, (patches,)."""
    return gaussian_terms(n, shot * s + read).sum(-1)


def a_patch(patches: int, pixels: int, seed: int) -> tuple[Tensor, Tensor]:
    return drawn(patches, pixels, seed=seed), 0.4 + drawn(patches, pixels, seed=seed + 9).abs()


level = Exercise(
    "11b_noise_log_prob",
    noise_log_prob,
    inputs=[(*a_patch(3, 4, 0), 0.7, 0.3), (*a_patch(2, 5, 1), 1.9, 0.2), (*a_patch(4, 3, 2), 0.2, 1.4)],
)
level.mistake(
    "−log σ of each pixel is missing. Without it the best noise level would be an infinite one.",
    lambda n, s, shot, read: gaussian_terms(n, shot * s + read, 0.0).sum(-1),
)
level.mistake(
    "That is −log σ², which is −2 log σ: half of it belongs here.",
    lambda n, s, shot, read: gaussian_terms(n, shot * s + read, 1.0).sum(-1),
)
level.mistake(
    "shot · s + read is the variance σ², not the deviation.",
    lambda n, s, shot, read: gaussian_terms(n, (shot * s + read).square()).sum(-1),
)
level.mistake(
    "The light adds to the variance: σ² = shot · s + read. You added the deviations.",
    lambda n, s, shot, read: gaussian_terms(n, ((shot * s).sqrt() + read**0.5).square()).sum(-1),
)
level.mistake(
    "That is a mean over the pixels. The log-density of a patch is the sum over its pixels.",
    lambda n, s, shot, read: gaussian_terms(n, shot * s + read).mean(-1),
)
level.mistake(
    "The constant ½ log 2π of each pixel is missing: this is no log-density yet.",
    lambda n, s, shot, read: gaussian_terms(n, shot * s + read, constant=0.0).sum(-1),
)
level.mistake(SUMMED_LOG_PROB, lambda *a: noise_log_prob(*a).sum())


# --- 11b.2: pixels that are clipped (a density in the middle, a probability at the ends)


def by_place(y: Tensor, below: Tensor, between: Tensor, above: Tensor) -> Tensor:
    return torch.where(y <= 0, below, torch.where(y >= 255, above, between))


def clipped_log_prob(y, s, sigma):
    """Stored y = clip(s + σ e, 0, 255), e normal; y, s, sigma (n,) -> log-density where 0 < y < 255, log-probability
    of the clipped values elsewhere, (n,)."""
    inner = gaussian_terms(y - s, sigma.square())
    return by_place(y, log_ndtr((0 - s) / sigma), inner, log_ndtr((s - 255) / sigma))


clipped = Exercise(
    "11b_clipped_log_prob",
    clipped_log_prob,
    inputs=[
        (torch.tensor([0.0, 12.0, 255.0]), torch.tensor([4.0, 9.0, 250.0]), torch.tensor([3.0, 4.0, 6.0])),
        (
            torch.tensor([255.0, 0.0, 100.0, 255.0]),
            torch.tensor([240.0, 2.0, 90.0, 259.0]),
            torch.tensor([9.0, 5, 7, 8]),
        ),
        (torch.tensor([0.0, 255.0]), torch.tensor([1.0, 251.0]), torch.tensor([2.0, 5.0])),
    ],
)
clipped.mistake(
    "You took the density at 0 and at 255 too. There stands a probability: of everything beyond.",
    lambda y, s, sigma: gaussian_terms(y - s, sigma.square()),
)
clipped.mistake(
    "The wrong tails: a pixel is stored as 0 if s + σ e is *below* 0, as 255 if it is above 255.",
    lambda y, s, sigma: by_place(
        y, log_ndtr(s / sigma), gaussian_terms(y - s, sigma.square()), log_ndtr((255 - s) / sigma)
    ),
)
clipped.mistake(
    "At white you took the probability of being below 255; what is clipped there was above.",
    lambda y, s, sigma: by_place(
        y, log_ndtr(-s / sigma), gaussian_terms(y - s, sigma.square()), log_ndtr((255 - s) / sigma)
    ),
)
clipped.mistake(
    "The logarithm is missing at the ends.",
    lambda y, s, sigma: by_place(
        y, log_ndtr(-s / sigma).exp(), gaussian_terms(y - s, sigma.square()), log_ndtr((s - 255) / sigma).exp()
    ),
)
clipped.mistake(
    "In between, the density of y has a 1 / σ: −log σ is missing.",
    lambda y, s, sigma: by_place(
        y, log_ndtr(-s / sigma), gaussian_terms(y - s, sigma.square(), 0.0), log_ndtr((s - 255) / sigma)
    ),
)
clipped.mistake(SUMMED_LOG_PROB, lambda *a: clipped_log_prob(*a).sum())


# --- 11b.3: nats to bits a pixel


def bits_per_pixel(log_p, pixels):
    """log p of each image in nats, (n,), and how many pixels an image has -> bits a pixel, (n,)."""
    return -log_p / (pixels * math.log(2.0))


unit = Exercise(
    "11b_bits_per_pixel",
    bits_per_pixel,
    inputs=[
        (torch.tensor([-1500.0, -1100.0, -2000.0]), 784),
        (torch.tensor([-90.0, -120.0]), 64),
        (torch.tensor([-30.0, 10.0, -7.0, -3.0]), 25),
    ],
)
unit.mistake("Those are nats a pixel. A nat is 1 / log 2 = 1.44 bits.", lambda log_p, pixels: -log_p / pixels)
unit.mistake(
    "Times log 2 instead of divided by it: one nat is *more* than one bit.",
    lambda log_p, pixels: -log_p * math.log(2.0) / pixels,
)
unit.mistake("The sign is turned: what is improbable needs more bits.", lambda *a: -bits_per_pixel(*a))
unit.mistake("Those are bits of the whole image.", lambda log_p, pixels: -log_p / math.log(2.0))
unit.mistake("One number for all images: an outlier score is wanted for each.", lambda *a: bits_per_pixel(*a).mean())


# --- 11b.4: input complexity (Serrà and others 2020, arXiv:1909.11480)


def complexity_score(log_p, file_bytes, pixels):
    """log p in nats (n,), sizes of the compressed files in bytes (n,), pixels of an image -> bits a pixel, (n,)."""
    return (-log_p / math.log(2.0) - 8 * file_bytes) / pixels


complexity = Exercise(
    "11b_complexity_score",
    complexity_score,
    inputs=[
        (torch.tensor([-1500.0, -1100.0, -2000.0]), torch.tensor([310.0, 140.0, 420.0]), 784),
        (torch.tensor([-90.0, -120.0]), torch.tensor([40.0, 22.0]), 64),
        (torch.tensor([-30.0, -17.0, -9.0, -44.0]), torch.tensor([9.0, 12.0, 5.0, 2.0]), 25),
    ],
)
complexity.mistake(
    "Nats less bits: the model's half weighs too little by a factor of log 2. Convert log p first.",
    lambda log_p, file_bytes, pixels: (-log_p - 8 * file_bytes) / pixels,
)
complexity.mistake(
    "Bits less bytes: a byte has 8 bits.",
    lambda log_p, file_bytes, pixels: (-log_p / math.log(2.0) - file_bytes) / pixels,
)
complexity.mistake(
    "Bits a pixel less bits a whole image: the file wins by far, and the order of the images is that of their files, "
    "turned round.",
    lambda log_p, file_bytes, pixels: -log_p / math.log(2.0) / pixels - 8 * file_bytes,
)
complexity.mistake("The sign is turned: an outlier should have the higher score.", lambda *a: -complexity_score(*a))
complexity.mistake(
    "The file is added, not subtracted: simple images would look even more normal.",
    lambda log_p, file_bytes, pixels: (-log_p / math.log(2.0) + 8 * file_bytes) / pixels,
)
complexity.mistake(
    "Those are bits of the whole image; bits a pixel are wanted.",
    lambda log_p, file_bytes, pixels: -log_p / math.log(2.0) - 8 * file_bytes,
)


# --- 11b.5: typicality has two sides (Nalisnick and others 2020, arXiv:1906.02994)


def typicality_score(log_p, log_p_known):
    """log p of the images in question (n,) and of known images (m,) -> how untypical each is, in nats, (n,)."""
    return (log_p - log_p_known.mean()).abs()


typical = Exercise(
    "11b_typicality_score",
    typicality_score,
    inputs=[
        (torch.tensor([-5.0, -9.0, -14.0]), torch.tensor([-8.0, -10.0, -13.0, -8.0])),
        (torch.tensor([-2.0, -30.0]), torch.tensor([-12.0, -10.0, -5.0])),
        (torch.tensor([-7.0, -3.0, -11.0, -1.0]), torch.tensor([-4.0, -9.0])),
    ],
)
typical.mistake(
    "One side only: an image with too high a likelihood would count as perfectly normal. That is the paradox itself.",
    lambda log_p, known: known.mean() - log_p,
)
typical.mistake(
    "One side only: what is too probable gets 0 here, and is as odd as what is too improbable.",
    lambda log_p, known: (known.mean() - log_p).clamp_min(0.0),
)
typical.mistake(
    "You compared with the mean of the images in question: a batch of outliers is typical of itself.",
    lambda log_p, known: (log_p - log_p.mean()).abs(),
)
typical.mistake("Squared: the order is right, but the unit is nats².", lambda *a: typicality_score(*a).square())
typical.mistake("The sign is turned: an outlier should have the higher score.", lambda *a: -typicality_score(*a))
typical.mistake(
    "One number for the whole batch: that is the test for a group of images. Each image has its own.",
    lambda log_p, known: (log_p.mean() - known.mean()).abs(),
)

EXERCISES = [level, clipped, unit, complexity, typical]
