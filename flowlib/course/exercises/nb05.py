"""The exercises of notebook 05: coupling layers."""

import math
from collections.abc import Callable

import torch
from torch import Tensor

from flowlib.course.exercises.exercise import Exercise

Net = Callable[[Tensor], Tensor]

Z = torch.tensor([[0.0, 0.5], [1.0, -0.5], [-1.5, 2.0], [0.3, 0.8]])  # (4, 2)
Z6 = torch.tensor([[0.2, -1.0, 0.5, 1.5, -0.3, 0.7], [1.0, 0.6, -2.0, 0.4, 0.9, -0.8]])  # (2, 6)
STRETCH, STRETCH6 = torch.tensor([0.4, -0.7]), torch.tensor([0.5, -0.3, 0.2, -0.6, 0.1, 0.8])


def bent(z1: Tensor) -> Tensor:
    """A network for m or t: (n, d) -> (n, d)."""
    return torch.sin(2.0 * z1) + 0.5 * z1.square()


def mixed(z1: Tensor) -> Tensor:
    """Another one."""
    return 1.0 - 0.8 * z1.flip(-1).abs()


def log_scale(z1: Tensor) -> Tensor:
    """A network for s: (n, d) -> (n, d)."""
    return 0.6 * torch.tanh(z1 + 0.5)


def halves(z: Tensor) -> tuple[Tensor, Tensor]:
    return z.chunk(2, dim=-1)


# --- 5.1: the inverse of an affine coupling


def affine_inverse(x, s, t):
    x1, x2 = halves(x)
    return torch.cat([x1, (x2 - t(x1)) * torch.exp(-s(x1))], -1)


def inverse_without_brackets(x, s, t):
    x1, x2 = halves(x)
    return torch.cat([x1, x2 - t(x1) * torch.exp(-s(x1))], -1)


def inverse_stretch_first(x, s, t):
    x1, x2 = halves(x)
    return torch.cat([x1, x2 * torch.exp(-s(x1)) - t(x1)], -1)


def inverse_stretched_again(x, s, t):
    x1, x2 = halves(x)
    return torch.cat([x1, (x2 - t(x1)) * torch.exp(s(x1))], -1)


def inverse_told_by_moved(x, s, t):
    x1, x2 = halves(x)
    return torch.cat([x1, (x2 - t(x2)) * torch.exp(-s(x2))], -1)


def inverse_forward(x, s, t):
    x1, x2 = halves(x)
    return torch.cat([x1, x2 * torch.exp(s(x1)) + t(x1)], -1)


def inverse_moved_alone(x, s, t):
    return halves(affine_inverse(x, s, t))[1]


# --- 5.2: the log-determinant of an affine coupling


def affine_log_det(z, s):
    return s(halves(z)[0]).sum(-1)


def log_det_told_by_moved(z, s):
    return s(halves(z)[1]).sum(-1)


def log_det_each(z, s):
    return s(halves(z)[0])


def log_det_as_det(z, s):
    return torch.exp(s(halves(z)[0])).prod(-1)


def log_det_sum_of_scales(z, s):
    return torch.exp(s(halves(z)[0])).sum(-1)


# --- 5.3: two couplings, so that everything moves


def two_couplings(z, m_a, m_b):
    z1, z2 = halves(z)
    z2 = z2 + m_a(z1)
    return torch.cat([z1 + m_b(z2), z2], -1)


def same_half_twice(z, m_a, m_b):
    z1, z2 = halves(z)
    return torch.cat([z1, z2 + m_a(z1) + m_b(z1)], -1)


def both_at_once(z, m_a, m_b):
    z1, z2 = halves(z)
    return torch.cat([z1 + m_b(z2), z2 + m_a(z1)], -1)


def halves_exchanged(z, m_a, m_b):
    return torch.cat(halves(two_couplings(z, m_a, m_b))[::-1], -1)


def first_half_first(z, m_a, m_b):
    z1, z2 = halves(z)
    z1 = z1 + m_b(z2)
    return torch.cat([z1, z2 + m_a(z1)], -1)


def networks_exchanged(z, m_a, m_b):
    return two_couplings(z, m_b, m_a)


# --- 5.4: the density of NICE with its stretch


def normal(z: Tensor) -> Tensor:
    """log N(z; 0, I): z (n, D) -> (n,)."""
    return -0.5 * z.square().sum(-1) - 0.5 * z.shape[-1] * math.log(2.0 * math.pi)


def shifted_back(h: Tensor, m: Net) -> Tensor:
    h1, h2 = halves(h)
    return torch.cat([h1, h2 - m(h1)], -1)


def nice_log_prob(x, m, log_stretch):
    return normal(shifted_back(x * torch.exp(-log_stretch), m)) - log_stretch.sum()


def nice_log_det_added(x, m, log_stretch):
    return normal(shifted_back(x * torch.exp(-log_stretch), m)) + log_stretch.sum()


def nice_log_det_missing(x, m, log_stretch):
    return normal(shifted_back(x * torch.exp(-log_stretch), m))


def nice_wrong_order(x, m, log_stretch):
    return normal(shifted_back(x, m) * torch.exp(-log_stretch)) - log_stretch.sum()


def nice_stretched_again(x, m, log_stretch):
    return normal(shifted_back(x * torch.exp(log_stretch), m)) - log_stretch.sum()


def nice_shifted_again(x, m, log_stretch):
    return nice_log_prob(x, lambda h1: -m(h1), log_stretch)


def nice_base_at_x(x, m, log_stretch):
    return normal(x) - log_stretch.sum()


EXERCISES = [
    Exercise(
        name="05_affine_inverse",
        answer=affine_inverse,
        inputs=[(Z, log_scale, bent), (Z6, log_scale, mixed)],
        mistakes=[
            (
                "The brackets are missing: forward stretched first and shifted last, so the shift is undone first and "
                "the stretch acts on all that is left. (Lecture 17 prints it as you did.)",
                inverse_without_brackets,
            ),
            (
                "The order is wrong: what was done last, the shift, must be undone first.",
                inverse_stretch_first,
            ),
            ("You stretched once more: going back takes exp(−s).", inverse_stretched_again),
            (
                "You asked s and t about the half that moved. They were told by the half that stayed, and only that "
                "one is the same now as it was then.",
                inverse_told_by_moved,
            ),
            ("This is the forward direction.", inverse_forward),
            ("You returned the moved half alone: join both halves again.", inverse_moved_alone),
        ],
    ),
    Exercise(
        name="05_affine_log_det",
        answer=affine_log_det,
        inputs=[(Z, log_scale), (Z6, log_scale)],
        mistakes=[
            (
                "This is the log-determinant of the inverse: forward multiplies by exp(s), so s counts positive.",
                lambda *a: -affine_log_det(*a),
            ),
            (
                "You summed over the batch: a log-determinant is one number for each point, shape (n,).",
                lambda *a: affine_log_det(*a).sum(),
            ),
            (
                "You asked s about the half that moves. Its input is the half that stays.",
                log_det_told_by_moved,
            ),
            (
                "You took the mean: the diagonal's factors multiply, so their logarithms add.",
                lambda *a: log_det_each(*a).mean(-1),
            ),
            (
                "These are the logarithms of the diagonal: their sum is asked for, one number for each point.",
                log_det_each,
            ),
            ("This is the determinant itself; its logarithm is asked for.", log_det_as_det),
            (
                "You added the factors exp(s). They multiply, and the logarithm of their product needs no exp.",
                log_det_sum_of_scales,
            ),
        ],
    ),
    Exercise(
        name="05_two_couplings",
        answer=two_couplings,
        inputs=[(Z, bent, mixed), (Z6, bent, mixed)],
        mistakes=[
            (
                "You forgot to swap: both couplings moved the second half, and the first one leaves as it came.",
                same_half_twice,
            ),
            (
                "Both halves moved at once, each told by the old value of the other. That is not invertible in "
                "general: the second coupling must listen to the half that has already moved.",
                both_at_once,
            ),
            (
                "The halves came back in exchanged places: the first half of z belongs first.",
                halves_exchanged,
            ),
            ("You moved the first half first; the exercise begins with the second one.", first_half_first),
            ("The networks changed places: m_a speaks first, about the second half.", networks_exchanged),
        ],
    ),
    Exercise(
        name="05_nice_log_prob",
        answer=nice_log_prob,
        inputs=[(Z, bent, STRETCH), (Z6, mixed, STRETCH6)],
        mistakes=[
            (
                "The log-determinant has the wrong sign. Where the stretch is above 1 the density gets thinner.",
                nice_log_det_added,
            ),
            (
                "The stretch has a log-determinant too: the coupling alone has none.",
                nice_log_det_missing,
            ),
            (
                "You undid the coupling first. The stretch came last, so it is undone first.",
                nice_wrong_order,
            ),
            ("You stretched once more: going back takes exp(−log_stretch).", nice_stretched_again),
            ("You added m once more: going back takes it away.", nice_shifted_again),
            ("You evaluated the base density at x: it belongs to z.", nice_base_at_x),
            (
                "You summed over the batch: each point has its own log-density.",
                lambda *a: nice_log_prob(*a).sum(),
            ),
        ],
    ),
]
