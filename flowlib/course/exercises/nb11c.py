"""The exercises of notebook 11c: posteriors, those of codes and of parameters, and whether to believe them."""

import math

import torch
from torch import Tensor

from flowlib.course.exercises.exercise import Exercise
from flowlib.course.exercises.shared import drawn, normal_log_prob

# --- 11c.1: one draw of the ELBO (Rezende and Mohamed 2015, arXiv:1505.05770, equation 15)


def log_q_of(noise: Tensor, log_scale: Tensor, log_det: Tensor) -> Tensor:
    """log q(z | x) of z = f(μ + σ ε), in nats, (n,)."""
    return normal_log_prob(noise) - log_scale.sum(-1) - log_det


def log_weight(log_likelihood, log_prior, noise, log_scale, log_det):
    """log p(x | z) and log p(z), (n,); ε and log σ, (n, D); log |det ∂f|, (n,) -> log w, (n,)."""
    return log_likelihood + log_prior - log_q_of(noise, log_scale, log_det)


def a_draw(n: int, dim: int, seed: int) -> tuple[Tensor, ...]:
    own = [drawn(n, seed=seed) - 20.0, drawn(n, seed=seed + 1) - 3.0]
    return (*own, drawn(n, dim, seed=seed + 2), 0.3 * drawn(n, dim, seed=seed + 3), drawn(n, seed=seed + 4))


elbo = Exercise("11c_log_weight", log_weight, inputs=[a_draw(4, 2, 1), a_draw(3, 5, 2), a_draw(6, 1, 3)])
elbo.mistake(
    "The log-determinant of the flow is missing. Without it there is no bound: a flow may shrink q for free.",
    lambda like, prior, e, s, d: like + prior - log_q_of(e, s, 0.0 * d),
)
elbo.mistake(
    "The log-determinant has the wrong sign. From noise to code it is subtracted from log q, as in any flow.",
    lambda like, prior, e, s, d: like + prior - log_q_of(e, s, -d),
)
elbo.mistake(
    "Σ log σ is missing: the stretch by σ changes volumes too.",
    lambda like, prior, e, s, d: like + prior - log_q_of(e, 0.0 * s, d),
)
elbo.mistake(
    "Σ log σ has the wrong sign: a wider q is less dense.",
    lambda like, prior, e, s, d: like + prior - log_q_of(e, -s, d),
)
elbo.mistake(
    "q is added. It is subtracted: w = p(x | z) p(z) / q(z | x).",
    lambda like, prior, e, s, d: like + prior + log_q_of(e, s, d),
)
elbo.mistake("The prior is missing.", lambda like, prior, e, s, d: like - log_q_of(e, s, d))
elbo.mistake("One number for each picture: the mean comes later.", lambda *a: log_weight(*a).mean())

# --- 11c.2: a posterior on a grid


def grid_posterior(log_likelihood, cell):
    """log p(x | θ) on a grid, (n, m), under a uniform prior; cell: the area of one -> the posterior density, (n, m)."""
    return (log_likelihood - log_likelihood.flatten().logsumexp(0) - math.log(cell)).exp()


def a_table(n: int, m: int, offset: float, seed: int) -> Tensor:
    return 3.0 * drawn(n, m, seed=seed) + offset


grid = Exercise(
    "11c_grid_posterior",
    grid_posterior,
    inputs=[(a_table(3, 4, 0.5, 1), 0.25), (a_table(5, 2, -900.0, 2), 0.01), (a_table(2, 6, 3.0, 3), 1.5)],
)
grid.mistake(
    "It underflows: exp(−900) is 0 in floating point, and 0 / 0 is nan. Subtract the log of the sum before `exp`.",
    lambda table, cell: table.exp() / (table.exp().sum() * cell),
)
grid.mistake(
    "These are probabilities of cells, whose sum is 1. A density is a probability divided by the area of its cell.",
    lambda table, cell: table.flatten().softmax(0).reshape(table.shape),
)
grid.mistake(
    "The area multiplies where it should divide: the mass is Σ density · cell.",
    lambda table, cell: table.flatten().softmax(0).reshape(table.shape) * cell,
)
grid.mistake(
    "Each row has mass one, the table has not: sum over both parameters.",
    lambda table, cell: table.softmax(-1) / cell,
)
grid.mistake(
    "Only the highest value was taken off. It keeps the numbers finite, but the mass is not one.",
    lambda table, cell: (table - table.max()).exp(),
)
grid.mistake("That is the log of the density.", lambda *a: grid_posterior(*a).log())

# --- 11c.3: the rank of the truth (Talts and others 2018, arXiv:1804.06788)


def rank(samples, theta):
    """samples (n, m, D) of q(θ | x), n for each of m observations; theta (m, D), which made them -> ranks (m, D)."""
    return (samples < theta).sum(0)


def cases(n: int, m: int, dim: int, seed: int) -> tuple[Tensor, Tensor]:
    return drawn(n, m, dim, seed=seed), drawn(m, dim, seed=seed + 9) + 0.05


ranking = Exercise("11c_rank", rank, inputs=[cases(6, 3, 2, 1), cases(9, 4, 1, 2), cases(5, 2, 3, 3)])
ranking.mistake(
    "You counted the samples above the truth: the histogram is the mirror image, and a shift seems turned round.",
    lambda samples, theta: (samples > theta).sum(0),
)
ranking.mistake(
    "The sum runs over the observations. Each observation has its own rank: sum over the samples, dimension 0.",
    lambda samples, theta: (samples < theta).sum(1),
)
ranking.mistake(
    "These are shares. A rank is a count, 0 to n; what is uniform are its n + 1 values.",
    lambda samples, theta: (samples < theta).double().mean(0),
)
ranking.mistake(
    "All parameters were counted together. Each has its own rank, and its own histogram.",
    lambda samples, theta: (samples < theta).sum((0, 2)),
)
ranking.mistake(
    "A sample was counted only if all of its parameters are below. Each parameter has its own rank.",
    lambda samples, theta: (samples < theta).all(-1).sum(0),
)

# --- 11c.4: how often the densest region holds the truth (Hermans and others 2022, arXiv:2110.06581)


def covered(log_q_samples, log_q_truth, level):
    """log q of n samples for each of m observations, (n, m), and of the truth, (m,) -> the share of observations whose
    densest region of this level holds the truth."""
    denser = (log_q_samples > log_q_truth).double().mean(0)
    return (denser < level).double().mean()


def densities(n: int, m: int, seed: int) -> tuple[Tensor, Tensor]:
    return drawn(n, m, seed=seed), 1.4 * drawn(m, seed=seed + 9) + 0.05


coverage = Exercise(
    "11c_covered",
    covered,
    inputs=[(*densities(12, 10, 1), 0.5), (*densities(15, 8, 2), 0.81), (*densities(8, 14, 3), 0.3)],
)
coverage.mistake(
    "That is the share outside of the region.",
    lambda samples, truth, level: 1.0 - covered(samples, truth, level),
)
coverage.mistake(
    "The region was built from the least dense end: it holds what is least probable.",
    lambda samples, truth, level: ((samples < truth).double().mean(0) < level).double().mean(),
)
coverage.mistake(
    "All observations were thrown together. Each one's truth is compared with its own samples: mean over dimension 0.",
    lambda samples, truth, level: ((samples.reshape(-1, 1) > truth).double().mean(0) < level).double().mean(),
)
coverage.mistake(
    "That is the mean share that is denser. The question is how often this share is below the level.",
    lambda samples, truth, level: (samples > truth).double().mean(),
)
coverage.mistake(
    "One answer for each observation: how often is the mean of them.",
    lambda samples, truth, level: (samples > truth).double().mean(0) < level,
)

# --- 11c.5: the density of an ensemble


def ensemble_log_prob(log_probs):
    """log p_k(x) of K flows at n points, (K, n) -> log of their equal mixture, (n,)."""
    return log_probs.logsumexp(0) - math.log(len(log_probs))


ensemble = Exercise(
    "11c_ensemble",
    ensemble_log_prob,
    inputs=[
        (2.0 * drawn(3, 5, seed=1),),
        (drawn(4, 2, seed=2) - torch.tensor([900.0, 0.0]),),
        (drawn(2, 6, seed=3),),
    ],
)
ensemble.mistake(
    "The mean of the logs is the log of a geometric mean: where one flow says impossible, all do, and its mass is not "
    "one. A mixture averages densities.",
    lambda logs: logs.mean(0),
)
ensemble.mistake(
    "The sum of K densities has mass K: take off log K.",
    lambda logs: logs.logsumexp(0),
)
ensemble.mistake(
    "It underflows where all densities are tiny: exp(−900) is 0. `logsumexp` shifts before it sums.",
    lambda logs: logs.exp().mean(0).log(),
)
ensemble.mistake(
    "The mean runs over the points. Each point has its own density: over the flows, dimension 0.",
    lambda logs: logs.logsumexp(1) - math.log(logs.shape[1]),
)
ensemble.mistake("That is the density itself, not its log.", lambda logs: ensemble_log_prob(logs).exp())
ensemble.mistake("That is the best of the flows at each point, no density.", lambda logs: logs.max(0).values)

EXERCISES = [elbo, grid, ranking, coverage, ensemble]
