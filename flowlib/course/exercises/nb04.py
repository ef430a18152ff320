"""The exercises of notebook 04: training a flow."""

import math

import torch

from flowlib.course.exercises.exercise import Exercise
from flowlib.course.exercises.shared import Z, drawn, normal_log_prob

Z3 = torch.tensor([[0.2, -1.0, 0.5], [1.0, 0.4, -2.0]])  # (2, 3)
LOG_DET, LOG_DET3 = torch.tensor([0.4, -0.7, 1.2, 0.3]), torch.tensor([-0.6, 0.9])
LOG_P = torch.tensor([-1.2, -0.4, -2.5, -0.9, -3.1])
LOG_Q = torch.tensor([-1.9, -0.1, -2.8, -2.2, -3.0])
SUMMED = "You summed over the points. Take the mean: a loss must not depend on how many points a batch has."


# --- 4.1: the loss of maximum likelihood


def nll(z, log_det):
    """z (n, D), log_det of the inverse (n,) -> the mean negative log-likelihood, one number."""
    return -(normal_log_prob(z) + log_det).mean()


likelihood = Exercise("04_nll", nll, inputs=[(Z, LOG_DET), (Z3, LOG_DET3), (Z, -LOG_DET), (drawn(6, 5), drawn(6))])
likelihood.mistake(
    "The log-determinant has the wrong sign. It is that of the inverse, x to z, and belongs with a plus to log p(x); "
    "the loss is minus log p(x).",
    lambda z, log_det: nll(z, -log_det),
)
likelihood.mistake("This is the mean of log p(x): to minimize it would make the data improbable.", lambda *a: -nll(*a))
likelihood.mistake(SUMMED, lambda *a: nll(*a) * len(a[0]))
likelihood.mistake(
    "The log-determinant is missing: this loss is least when every point is sent to z = 0.",
    lambda z, log_det: -normal_log_prob(z).mean(),
)
likelihood.mistake(
    "The base density is missing: this loss has no least value, z flies off to infinity.",
    lambda z, log_det: -log_det.mean(),
)
likelihood.mistake(
    "The constant ½ D log 2π is missing. The gradient does not feel it, the distance from the floor does.",
    lambda z, log_det: (0.5 * z.square().sum(-1) - log_det).mean(),
)
likelihood.mistake(
    "You took the mean over the coordinates as well. The log-densities of the D coordinates add up.",
    lambda z, log_det: -(normal_log_prob(z) / z.shape[-1] + log_det).mean(),
)
likelihood.mistake(
    "These are bits. The loss is asked for in nats, without dividing by log 2.", lambda *a: nll(*a) / math.log(2)
)
likelihood.mistake(
    "One number for each point: take the mean over the batch.", lambda z, log_det: -(normal_log_prob(z) + log_det)
)


# --- 4.2: KL from samples


def kl_from_samples(log_p, log_q):
    """log p and log q at n points drawn from p, (n,) and (n,) -> an estimate of KL(p ‖ q), one number."""
    return (log_p - log_q).mean()


distance = Exercise(
    "04_kl_from_samples", kl_from_samples, inputs=[(LOG_P, LOG_Q), (LOG_Q[:3], LOG_P[:3]), (LOG_P[1:], LOG_P[1:] - 0.7)]
)
distance.mistake(
    "The sign is wrong: where p is larger than q, the sample must add to the distance.",
    lambda log_p, log_q: (log_q - log_p).mean(),
)
distance.mistake(SUMMED, lambda log_p, log_q: (log_p - log_q).sum())
distance.mistake(
    "You weighted each sample by p. The samples were drawn from p already: a plain mean is right.",
    lambda log_p, log_q: (log_p.exp() * (log_p - log_q)).mean(),
)
distance.mistake(
    "You weighted each sample by p and summed: that is a sum over a grid, not over samples.",
    lambda log_p, log_q: (log_p.exp() * (log_p - log_q)).sum(),
)
distance.mistake(
    "No absolute value: single samples may count negative, and only their mean is never negative.",
    lambda log_p, log_q: (log_p - log_q).abs().mean(),
)
distance.mistake(
    "No square: KL is the mean of log p − log q itself.", lambda log_p, log_q: (log_p - log_q).square().mean()
)
distance.mistake(
    "You divided the logarithms. The logarithm of p / q is a difference.", lambda log_p, log_q: (log_p / log_q).mean()
)
distance.mistake(
    "This is the mean of −log q, the loss: it is the KL plus the entropy of p. Use log p too.",
    lambda log_p, log_q: -log_q.mean(),
)
distance.mistake("These are bits. The distance is asked for in nats.", lambda *a: kl_from_samples(*a) / math.log(2.0))


# --- 4.3: a loss with its error bar


def mean_and_error(losses):
    """losses (n,) -> the mean and its standard error, two numbers."""
    return losses.mean(), losses.std() / math.sqrt(len(losses))


error_bar = Exercise(
    "04_mean_and_error",
    mean_and_error,
    inputs=[(-LOG_P,), (-LOG_Q[:4],), (torch.tensor([0.5, 1.5, 2.5, 0.0, 1.0, 3.0]),)],
)
error_bar.mistake(
    "You divided by n. The error of a mean falls with √n only: four times the points, half the error.",
    lambda losses: (losses.mean(), losses.std() / len(losses)),
)
error_bar.mistake(
    "This is how far single losses scatter. The mean of n of them scatters less, by a factor √n.",
    lambda losses: (losses.mean(), losses.std()),
)
error_bar.mistake(
    "This is the square of the error, a variance. Take the root, so that it has the unit of the loss.",
    lambda losses: (losses.mean(), losses.var() / len(losses)),
)
error_bar.mistake(
    "You divided the variance by √n: take the standard deviation.",
    lambda losses: (losses.mean(), losses.var() / math.sqrt(len(losses))),
)
error_bar.mistake(
    "Nearly. Inside the standard deviation divide by n − 1, because the mean was taken from the same points (torch's "
    "std does so by default).",
    lambda losses: (losses.mean(), losses.std(correction=0) / math.sqrt(len(losses))),
)
error_bar.mistake(
    "The error is right; the first number must be the mean, not the sum.",
    lambda losses: (losses.sum(), mean_and_error(losses)[1]),
)
error_bar.mistake("Return two numbers: the mean and its standard error.", lambda losses: mean_and_error(losses)[1])


# --- 4.4: the distance of a reverse-KL fit


def reverse_kl(z, log_det, u, log_z):
    """z (n, D), log_det of forward (n,), energies u (n,), log_z a number -> an estimate of KL(q ‖ p)."""
    return (normal_log_prob(z) - log_det + u).mean() + log_z


reverse = Exercise(
    "04_reverse_kl",
    reverse_kl,
    inputs=[
        (Z, LOG_DET, torch.tensor([0.5, 2.0, 1.1, 0.2]), 1.8),
        (Z3, LOG_DET3, torch.tensor([1.5, -0.3]), -0.4),
        (Z, -LOG_DET, torch.tensor([3.0, 0.1, 0.7, 1.0]), 2.1),
    ],
)
reverse.mistake(
    "The entropy term is missing: without log q nothing keeps the samples apart, and they all end up in the deepest "
    "point of U.",
    lambda z, log_det, u, log_z: u.mean() + log_z,
)
reverse.mistake(
    "The log-determinant has the wrong sign. Here it is that of forward, z to x: where the flow stretches, its "
    "density q gets thinner.",
    lambda z, log_det, u, log_z: reverse_kl(z, -log_det, u, log_z),
)
reverse.mistake(
    "The energy has the wrong sign: log p = −U − log Z, and log p is subtracted.",
    lambda z, log_det, u, log_z: reverse_kl(z, log_det, -u, log_z),
)
reverse.mistake(
    "log Z has the wrong sign: log p = −U − log Z, and log p is subtracted.",
    lambda z, log_det, u, log_z: reverse_kl(z, log_det, u, -log_z),
)
reverse.mistake(
    "This is the loss. Its floor is −log Z; add log Z to get the distance from it.",
    lambda z, log_det, u, log_z: reverse_kl(z, log_det, u, 0.0),
)
reverse.mistake("The sign of the whole is wrong: KL is the mean of log q − log p.", lambda *a: -reverse_kl(*a))
reverse.mistake(
    "The log-determinant is missing: log q(x) is not log p_Z(z) alone.",
    lambda z, log_det, u, log_z: reverse_kl(z, 0.0 * log_det, u, log_z),
)
reverse.mistake(SUMMED, lambda z, log_det, u, log_z: (normal_log_prob(z) - log_det + u).sum() + log_z)
reverse.mistake(SUMMED, lambda z, log_det, u, log_z: (normal_log_prob(z) - log_det + u + log_z).sum())
reverse.mistake(
    "The constant ½ D log 2π of the base is missing: then the distance is wrong by just that much.",
    lambda z, log_det, u, log_z: (-0.5 * z.square().sum(-1) - log_det + u).mean() + log_z,
)


# --- 4.5: nats, bits and dimensions


def bits_per_dim(nats, dim):
    """A loss in nats a point, and D -> the same loss in bits per dimension."""
    return nats / (dim * math.log(2.0))


bits = Exercise("04_bits_per_dim", bits_per_dim, inputs=[(1.0076, 2), (2174.0, 784), (-3.5, 3)])
bits.mistake(
    "You multiplied by log 2. A bit is the smaller unit, 0.69 nats, so there are more bits than nats.",
    lambda nats, dim: nats * math.log(2.0) / dim,
)
bits.mistake("These are bits for the whole point. Divide by D as well.", lambda nats, dim: nats / math.log(2.0))
bits.mistake("These are nats per dimension. Divide by log 2 to get bits.", lambda nats, dim: nats / dim)
bits.mistake(
    "You took the base-2 logarithm of the loss. The loss is a logarithm already: change only its unit.",
    lambda nats, dim: math.log2(abs(nats)) / dim,
)
bits.mistake(
    "You divided by log 10: those are decimal digits. Two belongs to bits.",
    lambda nats, dim: nats / (dim * math.log(10.0)),
)
bits.mistake("The sign changed: −log p goes in, so no further minus is needed.", lambda *a: -bits_per_dim(*a))


EXERCISES = [likelihood, distance, error_bar, reverse, bits]
