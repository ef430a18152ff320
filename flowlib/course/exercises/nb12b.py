"""The exercises of notebook 12b: a bound in bits, a distance of Gaussians, precision and recall, and its bias."""

import math

import torch
from torch import Tensor

from flowlib.course.exercises.exercise import Exercise
from flowlib.course.exercises.shared import drawn

# --- 12b.1: an ELBO in bits a pixel (Kingma and Welling 2014, arXiv:1312.6114)


def elbo_bits(log_likelihood, kl):
    """log p(x_i | z) of each pixel, (n, pixels), and KL(q(z | x) ‖ p(z)) of each picture, (n,), in nats -> bits a pixel
    of each picture, (n,)."""
    return (kl - log_likelihood.sum(-1)) / (log_likelihood.shape[-1] * math.log(2.0))


def a_bound(n: int, pixels: int, seed: int) -> tuple[Tensor, Tensor]:
    return -drawn(n, pixels, seed=seed).abs() - 0.3, 2.0 * drawn(n, seed=seed + 9).abs() + 0.7


elbo = Exercise("12b_elbo_bits", elbo_bits, inputs=[a_bound(3, 7, 1), a_bound(5, 4, 2), a_bound(2, 9, 3)])
elbo.mistake(
    "The reconstruction was averaged over the pixels, the KL is of the whole picture: it weighs too much by the number "
    "of pixels. A model that is trained so forgets its code.",
    lambda like, kl: (kl - like.mean(-1)) / (like.shape[-1] * math.log(2.0)),
)
elbo.mistake(
    "Averaged, and then not divided: the reconstruction is of one pixel, the KL of a whole picture.",
    lambda like, kl: (kl - like.mean(-1)) / math.log(2.0),
)
elbo.mistake(
    "The KL is a cost: it adds to the bits.",
    lambda like, kl: (-kl - like.sum(-1)) / (like.shape[-1] * math.log(2.0)),
)
elbo.mistake(
    "The KL is missing: those are the bits of a picture whose code comes for free.",
    lambda like, kl: -like.sum(-1) / (like.shape[-1] * math.log(2.0)),
)
elbo.mistake(
    "Those are nats a pixel: divide by log 2 as well.",
    lambda like, kl: (kl - like.sum(-1)) / like.shape[-1],
)
elbo.mistake(
    "Those are bits of the whole picture: divide by its pixels.",
    lambda like, kl: (kl - like.sum(-1)) / math.log(2.0),
)
elbo.mistake("The sign is turned: the worse the bound, the more bits.", lambda *a: -elbo_bits(*a))
elbo.mistake("One number for each picture: the mean over them comes later.", lambda *a: elbo_bits(*a).mean())

# --- 12b.2: the Fréchet distance of two Gaussians (Heusel and others 2017, arXiv:1706.08500)


def root_trace(one: Tensor, other: Tensor) -> Tensor:
    """tr (Σ₁ Σ₂)^½ = Σ √λ over the eigenvalues λ of Σ₁ Σ₂, which are real and not below zero."""
    return torch.linalg.eigvals(one @ other).real.clamp_min(0.0).sqrt().sum()


def gaussian_distance(mean_1, cov_1, mean_2, cov_2):
    """Means (F,) and covariances (F, F) of two Gaussians -> |μ₁ − μ₂|² + tr(Σ₁ + Σ₂ − 2 (Σ₁ Σ₂)^½), ()."""
    mixed = root_trace(cov_1, cov_2)
    return (mean_1 - mean_2).square().sum() + cov_1.trace() + cov_2.trace() - 2.0 * mixed


def a_gaussian(dim: int, seed: int) -> tuple[Tensor, Tensor]:
    a = drawn(dim, dim, seed=seed)
    return drawn(dim, seed=seed + 5), a @ a.T + 0.3 * torch.eye(dim)


distance = Exercise(
    "12b_gaussian_distance",
    gaussian_distance,
    inputs=[(*a_gaussian(dim, dim), *a_gaussian(dim, dim + 20)) for dim in (3, 2, 4)],
)
distance.mistake(
    "Only the deviations on the diagonal were compared: Σ (σ₁ − σ₂)². How features go together is not seen.",
    lambda m, a, n, b: (m - n).square().sum() + (a.diagonal().sqrt() - b.diagonal().sqrt()).square().sum(),
)
distance.mistake(
    "The trace of the matrix root is missing: two equal Gaussians would be 2 tr Σ apart.",
    lambda m, a, n, b: (m - n).square().sum() + a.trace() + b.trace(),
)
distance.mistake(
    "The matrix root is taken once. It counts twice, so that two equal Gaussians have distance 0.",
    lambda m, a, n, b: (m - n).square().sum() + a.trace() + b.trace() - root_trace(a, b),
)
distance.mistake(
    "The root was taken of each number. A matrix root R has R @ R = Σ₁ Σ₂; its trace is the sum of the roots of the "
    "eigenvalues.",
    lambda m, a, n, b: (m - n).square().sum() + a.trace() + b.trace() - 2 * (a @ b).diagonal().abs().sqrt().sum(),
)
distance.mistake(
    "The product was not rooted: its unit is that of a variance squared.",
    lambda m, a, n, b: (m - n).square().sum() + a.trace() + b.trace() - 2 * (a @ b).trace(),
)
distance.mistake(
    "The means are compared by their distance; here it is squared, as variances are.",
    lambda m, a, n, b: (m - n).norm() + a.trace() + b.trace() - 2 * root_trace(a, b),
)
distance.mistake(
    "The means are missing.",
    lambda m, a, n, b: a.trace() + b.trace() - 2 * root_trace(a, b),
)
distance.mistake(
    "That is the root of it. What is called FID is the squared distance.",
    lambda *a: gaussian_distance(*a).sqrt(),
)

# --- 12b.3: precision and recall of samples (Kynkäänniemi and others 2019, arXiv:1904.06991)


def two_shares(apart, data_radius, sample_radius):
    """Distances of n samples to m data points, (n, m); radius of the ball of each data point, (m,), and of each sample,
    (n,) -> precision and recall, (2,)."""
    precision = (apart <= data_radius).any(1).double().mean()
    recall = (apart <= sample_radius[:, None]).any(0).double().mean()
    return torch.stack([precision, recall])


def balls(n: int, m: int, seed: int) -> tuple[Tensor, Tensor, Tensor]:
    x, y = drawn(n, 2, seed=seed), 1.5 * drawn(m, 2, seed=seed + 1) + 0.4
    return torch.cdist(x, y), 0.5 + 0.4 * drawn(m, seed=seed + 2).abs(), 0.2 + 0.4 * drawn(n, seed=seed + 3).abs()


shares = Exercise("12b_two_shares", two_shares, inputs=[balls(5, 9, 1), balls(11, 6, 2), balls(7, 8, 3)])
shares.mistake(
    "Precision and recall changed places. Precision asks of each *sample* whether it looks like data.",
    lambda apart, data, sample: two_shares(apart, data, sample).flip(0),
)
shares.mistake(
    "You used the balls of the other set: a sample is precise if it lies in the ball of a *data point*.",
    lambda apart, data, sample: torch.stack([
        (apart <= sample[:, None]).any(1).double().mean(), (apart <= data).any(0).double().mean()
    ]),
)  # fmt: skip
shares.mistake(
    "One ball is enough: `any`, not `all`.",
    lambda apart, data, sample: torch.stack([
        (apart <= data).all(1).double().mean(), (apart <= sample[:, None]).all(0).double().mean()
    ]),
)  # fmt: skip
shares.mistake(
    "That is the share of pairs. Asked is the share of points that lie in at least one ball.",
    lambda apart, data, sample: torch.stack([
        (apart <= data).double().mean(), (apart <= sample[:, None]).double().mean()
    ]),
)  # fmt: skip
shares.mistake(
    "Those are counts, not shares.",
    lambda apart, data, sample: torch.stack([
        (apart <= data).any(1).double().sum(), (apart <= sample[:, None]).any(0).double().sum()
    ]),
)  # fmt: skip

# --- 12b.4: Fréchet distances of two sizes (Chong and Forsyth 2020, arXiv:1911.07023)


def without_bias(small, n_small, large, n_large):
    """Distances of sets of two sizes of one model, (K,) each; F_n = F_∞ + c / n -> F_∞, (K,)."""
    c = (small - large) / (1.0 / n_small - 1.0 / n_large)
    return large - c / n_large


fair = Exercise(
    "12b_without_bias",
    without_bias,
    inputs=[
        (torch.tensor([9.0, 7.5, 8.1]), 50, torch.tensor([6.0, 6.6, 5.0]), 400),
        (torch.tensor([3.0, 4.0]), 200, torch.tensor([2.5, 3.9]), 700),
        (torch.tensor([12.0, 10.0, 30.0, 11.0]), 30, torch.tensor([11.0, 4.0, 19.0, 7.0]), 90),
    ],
)
fair.mistake(
    "The bias falls as 1 / n: the distance is a line over 1 / n, not over n.",
    lambda small, n, large, m: large - (small - large) / (n - m) * m,
)
fair.mistake(
    "The bias falls as 1 / n, not as 1 / √n: it is one of variances, no standard error.",
    lambda small, n, large, m: large - (small - large) / (n**-0.5 - m**-0.5) * m**-0.5,
)
fair.mistake(
    "The mean of the two is as biased as they are. The bias has one sign: extrapolate.",
    lambda small, n, large, m: (small + large) / 2.0,
)
fair.mistake(
    "The larger set has the smaller bias, but not none.",
    lambda small, n, large, m: large + torch.zeros_like(small),
)
fair.mistake(
    "That is c, the slope of the bias.",
    lambda small, n, large, m: (small - large) / (1.0 / n - 1.0 / m),
)
fair.mistake(
    "You went the wrong way: the limit lies below both distances.",
    lambda small, n, large, m: large + (small - large) / (1.0 / n - 1.0 / m) / m,
)
fair.mistake(
    "The bias of the small set was taken off the large one. Each has its own, c / n.",
    lambda small, n, large, m: large - (small - large) / (1.0 / n - 1.0 / m) / n,
)

EXERCISES = [elbo, distance, shares, fair]
