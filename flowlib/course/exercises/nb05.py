"""The exercises of notebook 05: coupling layers."""

from collections.abc import Callable

import torch
from torch import Tensor

from flowlib.course.exercises.exercise import Exercise
from flowlib.course.exercises.shared import SUMMED_LOG_DET, SUMMED_LOG_PROB, Z, drawn, normal_log_prob

Net = Callable[[Tensor], Tensor]

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


# --- 5.1: back through an affine coupling (Dinh and others 2016, arXiv:1605.08803)


def affine_inverse(x, s, t):
    """x (n, D), s and t: (n, D/2) -> (n, D/2). Returns z (n, D)."""
    x1, x2 = halves(x)
    return torch.cat([x1, (x2 - t(x1)) * torch.exp(-s(x1))], -1)


inverse = Exercise(
    "05_affine_inverse",
    affine_inverse,
    inputs=[(Z, log_scale, bent), (Z6, log_scale, mixed), (drawn(5, 8), log_scale, bent)],
)


@inverse.mistake(
    "The brackets are missing: forward stretched first and shifted last, so the shift is undone first and the stretch "
    "acts on all that is left. (Lecture 17 prints it as you did.)"
)
def inverse_without_brackets(x, s, t):
    x1, x2 = halves(x)
    return torch.cat([x1, x2 - t(x1) * torch.exp(-s(x1))], -1)


@inverse.mistake("The order is wrong: what was done last, the shift, must be undone first.")
def inverse_stretch_first(x, s, t):
    x1, x2 = halves(x)
    return torch.cat([x1, x2 * torch.exp(-s(x1)) - t(x1)], -1)


@inverse.mistake("You stretched once more: going back takes exp(−s).")
def inverse_stretched_again(x, s, t):
    x1, x2 = halves(x)
    return torch.cat([x1, (x2 - t(x1)) * torch.exp(s(x1))], -1)


@inverse.mistake(
    "You asked s and t about the half that moved. They were told by the half that stayed, and only that one is the "
    "same now as it was then."
)
def inverse_asks_moved_half(x, s, t):
    x1, x2 = halves(x)
    return torch.cat([x1, (x2 - t(x2)) * torch.exp(-s(x2))], -1)


@inverse.mistake("This is the forward direction.")
def inverse_forward(x, s, t):
    x1, x2 = halves(x)
    return torch.cat([x1, x2 * torch.exp(s(x1)) + t(x1)], -1)


inverse.mistake(
    "You returned the moved half alone: join both halves again.", lambda x, s, t: halves(affine_inverse(x, s, t))[1]
)


# --- 5.2: its log-determinant


def affine_log_det(z, s):
    """z (n, D), s: (n, D/2) -> (n, D/2). Returns log |det J| at each point (n,)."""
    return s(halves(z)[0]).sum(-1)


log_det = Exercise(
    "05_affine_log_det", affine_log_det, inputs=[(Z, log_scale), (Z6, log_scale), (drawn(5, 8), log_scale)]
)
log_det.mistake(
    "This is the log-determinant of the inverse: forward multiplies by exp(s), so s counts positive.",
    lambda *a: -affine_log_det(*a),
)
log_det.mistake(SUMMED_LOG_DET, lambda *a: affine_log_det(*a).sum())
log_det.mistake(
    "You asked s about the half that moves. Its input is the half that stays.", lambda z, s: s(halves(z)[1]).sum(-1)
)
log_det.mistake(
    "You took the mean: the diagonal's factors multiply, so their logarithms add.",
    lambda z, s: s(halves(z)[0]).mean(-1),
)
log_det.mistake(
    "These are the logarithms of the diagonal: their sum is asked for, one number for each point.",
    lambda z, s: s(halves(z)[0]),
)
log_det.mistake(
    "This is the determinant itself; its logarithm is asked for.", lambda z, s: torch.exp(s(halves(z)[0])).prod(-1)
)
log_det.mistake(
    "You added the factors exp(s). They multiply, and the logarithm of their product needs no exp.",
    lambda z, s: torch.exp(s(halves(z)[0])).sum(-1),
)


# --- 5.3: everything moves


def two_couplings(z, m_a, m_b):
    """z (n, D), m_a and m_b: (n, D/2) -> (n, D/2). Returns x (n, D)."""
    z1, z2 = halves(z)
    z2 = z2 + m_a(z1)
    return torch.cat([z1 + m_b(z2), z2], -1)


two_turns = Exercise(
    "05_two_couplings", two_couplings, inputs=[(Z, bent, mixed), (Z6, bent, mixed), (drawn(5, 8), mixed, bent)]
)


@two_turns.mistake("You forgot to swap: both couplings moved the second half, and the first one leaves as it came.")
def same_half_twice(z, m_a, m_b):
    z1, z2 = halves(z)
    return torch.cat([z1, z2 + m_a(z1) + m_b(z1)], -1)


@two_turns.mistake(
    "Both halves moved at once, each told by the old value of the other. That is not invertible in general: the "
    "second coupling must listen to the half that has already moved."
)
def both_at_once(z, m_a, m_b):
    z1, z2 = halves(z)
    return torch.cat([z1 + m_b(z2), z2 + m_a(z1)], -1)


two_turns.mistake(
    "The halves came back in exchanged places: the first half of z belongs first.",
    lambda z, m_a, m_b: torch.cat(halves(two_couplings(z, m_a, m_b))[::-1], -1),
)


@two_turns.mistake("You moved the first half first; the exercise begins with the second one.")
def first_half_first(z, m_a, m_b):
    z1, z2 = halves(z)
    z1 = z1 + m_b(z2)
    return torch.cat([z1, z2 + m_a(z1)], -1)


two_turns.mistake(
    "The networks changed places: m_a speaks first, about the second half.",
    lambda z, m_a, m_b: two_couplings(z, m_b, m_a),
)


# --- 5.4: the density of NICE (Dinh and others 2014, arXiv:1410.8516)


def shifted_back(h: Tensor, m: Net) -> Tensor:
    h1, h2 = halves(h)
    return torch.cat([h1, h2 - m(h1)], -1)


def nice_log_prob(x, m, log_stretch):
    """x (n, D), m: (n, D/2) -> (n, D/2), log_stretch (D,) the a_i. Returns log p_X(x) (n,)."""
    return normal_log_prob(shifted_back(x * torch.exp(-log_stretch), m)) - log_stretch.sum()


nice = Exercise(
    "05_nice_log_prob",
    nice_log_prob,
    inputs=[(Z, bent, STRETCH), (Z6, mixed, STRETCH6), (drawn(5, 8), bent, drawn(8, seed=1))],
)
nice.mistake(
    "The log-determinant has the wrong sign. Where the stretch is above 1 the density gets thinner.",
    lambda x, m, log_stretch: normal_log_prob(shifted_back(x * torch.exp(-log_stretch), m)) + log_stretch.sum(),
)
nice.mistake(
    "The stretch has a log-determinant too: the coupling alone has none.",
    lambda x, m, log_stretch: normal_log_prob(shifted_back(x * torch.exp(-log_stretch), m)),
)
nice.mistake(
    "You undid the coupling first. The stretch came last, so it is undone first.",
    lambda x, m, log_stretch: normal_log_prob(shifted_back(x, m) * torch.exp(-log_stretch)) - log_stretch.sum(),
)
nice.mistake(
    "You stretched once more: going back takes exp(−log_stretch).",
    lambda x, m, log_stretch: normal_log_prob(shifted_back(x * torch.exp(log_stretch), m)) - log_stretch.sum(),
)
nice.mistake(
    "You added m once more: going back takes it away.",
    lambda x, m, log_stretch: nice_log_prob(x, lambda h1: -m(h1), log_stretch),
)
nice.mistake(
    "You evaluated the base density at x: it belongs to z.",
    lambda x, m, log_stretch: normal_log_prob(x) - log_stretch.sum(),
)
nice.mistake(SUMMED_LOG_PROB, lambda *a: nice_log_prob(*a).sum())


EXERCISES = [inverse, log_det, two_turns, nice]
