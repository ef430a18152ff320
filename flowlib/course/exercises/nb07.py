"""The exercises of notebook 07: image flows."""

import math

import torch
from torch import Tensor

from flowlib.course.exercises.exercise import Exercise
from flowlib.course.exercises.shared import COUNT, drawn

TWO = torch.arange(2 * 2 * 2 * 4.0).reshape(2, 2, 2, 4)  # two images of two channels
Y = torch.tensor([[0.0, 0.5, 1.0], [0.1, 0.9, 0.25]])  # (2, 3)
LOG_P = torch.tensor([[-3.0, 1.0], [-1.0, -2.5], [0.5, -4.0]])  # (k, n): a density at k draws of noise
LOG_Q = torch.tensor([[0.2, -0.3], [0.0, 0.9], [-0.6, 0.4]])
FAR = drawn(5, 4) - torch.tensor([2000.0, 2500.0, 1500.0, 3000.0])  # four images, one far less likely than another


# --- 7.1: from nats to bits per dimension


def bits_per_dim(log_p_y, dim, levels):
    """log_p_y (n,) in nats, dim D, levels L -> bits per dimension (n,)."""
    return -(log_p_y - dim * math.log(levels)) / (dim * math.log(2.0))


bits = Exercise(
    "07_bits_per_dim",
    bits_per_dim,
    inputs=[(torch.tensor([100.0, -20.0]), 64, 17), (torch.tensor([2500.0, -3.0, 70.0]), 784, 256)],
)
bits.mistake(
    "The data scale is missing: y is v / L, so the density of y is L^D times that of v, and D log L must be taken "
    "away. For 8-bit pixels that is 8 bits, on every pixel.",
    lambda log_p_y, dim, levels: -log_p_y / (dim * math.log(2.0)),
)
bits.mistake(
    "You took log L away once: each of the D pixels was divided by L, so it counts D times.",
    lambda log_p_y, dim, levels: -(log_p_y - math.log(levels)) / (dim * math.log(2.0)),
)
bits.mistake(
    "The data scale has the wrong sign: dividing by L makes the box smaller and the density larger, so the density of "
    "y is too large by D log L.",
    lambda log_p_y, dim, levels: -(log_p_y + dim * math.log(levels)) / (dim * math.log(2.0)),
)
bits.mistake(
    "These are nats per dimension: divide by log 2 to get bits.",
    lambda log_p_y, dim, levels: -(log_p_y - dim * math.log(levels)) / dim,
)
bits.mistake(
    "You divided by log 2 twice.", lambda log_p_y, dim, levels: bits_per_dim(log_p_y, dim, levels) / math.log(2.0)
)
bits.mistake(
    "You added log L in nats to a number in bits: everything must be divided by log 2, once.",
    lambda log_p_y, dim, levels: -log_p_y / (dim * math.log(2.0)) + math.log(levels),
)
bits.mistake(
    "These are the bits of a whole image: divide by D.",
    lambda log_p_y, dim, levels: bits_per_dim(log_p_y, dim, levels) * dim,
)
bits.mistake(
    "The sign is wrong: an improbable image costs many bits, so bits are −log₂ P.",
    lambda log_p_y, dim, levels: -bits_per_dim(log_p_y, dim, levels),
)


# --- 7.2: squeeze


def squeeze(x):
    """x (n, C, H, W), H and W even -> (n, 4 C, H/2, W/2)."""
    n, c, h, w = x.shape
    return x.reshape(n, c, h // 2, 2, w // 2, 2).permute(0, 1, 3, 5, 2, 4).reshape(n, 4 * c, h // 2, w // 2)


squeezing = Exercise("07_squeeze", squeeze, inputs=[(COUNT,), (TWO,), (drawn(3, 5, 6, 10),)])


@squeezing.mistake(
    "A reshape alone keeps the numbers in the order of memory: your four channels are strips of rows, not the corners "
    "of 2 × 2 blocks. Split both sides first, then permute."
)
def squeeze_reshaped(x):
    n, c, h, w = x.shape
    return x.reshape(n, 4 * c, h // 2, w // 2)


@squeezing.mistake(
    "Your order is upper left, lower left, upper right, lower right. Ours runs along the row first: upper left, upper "
    "right, lower left, lower right."
)
def squeeze_columns_first(x):
    n, c, h, w = x.shape
    return x.reshape(n, c, h // 2, 2, w // 2, 2).permute(0, 1, 5, 3, 2, 4).reshape(n, 4 * c, h // 2, w // 2)


@squeezing.mistake(
    "With one channel this is right; with more, you put all upper left corners first. The four corners of channel c "
    "belong together, as channels 4c to 4c + 3."
)
def squeeze_places_first(x):
    n, c, h, w = x.shape
    return x.reshape(n, c, h // 2, 2, w // 2, 2).permute(0, 3, 5, 1, 2, 4).reshape(n, 4 * c, h // 2, w // 2)


@squeezing.mistake(
    "You cut the image into its four quarters. Each channel should be a small copy of the whole image: every second "
    "pixel in both directions."
)
def squeeze_quadrants(x):
    n, c, h, w = x.shape
    return x.reshape(n, c, 2, h // 2, 2, w // 2).permute(0, 1, 2, 4, 3, 5).reshape(n, 4 * c, h // 2, w // 2)


# --- 7.3: the chessboard


def checkerboard(height, width):
    """-> a tensor (height, width) of 0. and 1."""
    return ((torch.arange(height)[:, None] + torch.arange(width)) % 2 == 0).float()


board = Exercise("07_checkerboard", checkerboard, inputs=[(4, 4), (3, 5), (2, 6)])
board.mistake(
    "The colours are exchanged: the upper left pixel stays, so it must be 1. (As a flow it would do, with the two "
    "turns swapped; a checkpoint trained the other way round would not load as itself.)",
    lambda height, width: 1.0 - checkerboard(height, width),
)
board.mistake(
    "Columns alternate, rows do not: the colour depends on i + j, not on j alone.",
    lambda height, width: ((torch.arange(width) % 2 == 0) & torch.ones(height, 1, dtype=torch.bool)).float(),
)
board.mistake(
    "Rows alternate, columns do not: the colour depends on i + j, not on i alone.",
    lambda height, width: ((torch.arange(height)[:, None] % 2 == 0) & torch.ones(width, dtype=torch.bool)).float(),
)
board.mistake(
    "You took the parity of the place in memory, i · W + j. Where W is even, all rows are alike: stripes.",
    lambda height, width: (torch.arange(height * width) % 2 == 0).float().reshape(height, width),
)


# --- 7.4: open the box (RealNVP: Dinh and others 2016, arXiv:1605.08803)


def terms(y: Tensor, alpha: float) -> tuple[Tensor, Tensor]:
    """p and log p + log(1 − p), each of y's shape."""
    p = alpha + (1.0 - 2.0 * alpha) * y
    return p, p.log() + (1.0 - p).log()


def pixel_logit(y, alpha):
    """y (n, D) in [0, 1] -> s (n, D) and log |det ∂s/∂y| (n,)."""
    p, slopes = terms(y, alpha)
    return torch.logit(p), y.shape[-1] * math.log(1.0 - 2.0 * alpha) - slopes.sum(-1)


logit = Exercise("07_pixel_logit", pixel_logit, inputs=[(Y, 0.05), (Y, 0.2), (drawn(4, 5).sigmoid(), 0.1)])


@logit.mistake("This log-determinant is that of the way back, from s to y. From y to s the logit stretches.")
def logit_of_other_direction(y, alpha):
    s, log_det = pixel_logit(y, alpha)
    return s, -log_det


@logit.mistake("The slope of the logit is 1 / (p (1 − p)): its logarithm is −log p − log(1 − p), two minus signs.")
def logit_sign_of_slope(y, alpha):
    p, slopes = terms(y, alpha)
    return torch.logit(p), y.shape[-1] * math.log(1.0 - 2.0 * alpha) + slopes.sum(-1)


@logit.mistake("y was shrunk by 1 − 2α before the logit: D log(1 − 2α) is missing.")
def logit_without_shrink(y, alpha):
    p, slopes = terms(y, alpha)
    return torch.logit(p), -slopes.sum(-1)


@logit.mistake("Each of the D numbers was shrunk by 1 − 2α: log(1 − 2α) counts D times.")
def logit_shrink_once(y, alpha):
    p, slopes = terms(y, alpha)
    return torch.logit(p), math.log(1.0 - 2.0 * alpha) - slopes.sum(-1)


@logit.mistake(
    "That is the form which the RealNVP paper prints, α + (1 − α) y. At y = 1 it gives p = 1 and an infinite logit; "
    "keep clear of both ends: α + (1 − 2α) y."
)
def logit_one_sided(y, alpha):
    p = alpha + (1.0 - alpha) * y
    return torch.logit(p), y.shape[-1] * math.log(1.0 - alpha) - (p.log() + (1.0 - p).log()).sum(-1)


@logit.mistake("One number for each point: sum over the last dimension.")
def logit_each(y, alpha):
    p, slopes = terms(y, alpha)
    return torch.logit(p), math.log(1.0 - 2.0 * alpha) - slopes


# --- 7.5: several draws


def bound(log_p, log_q):
    """log_p and log_q (k, n), draws first -> (n,)."""
    return torch.logsumexp(log_p - log_q, 0) - math.log(len(log_p))


def bound_below(log_w: Tensor, top: Tensor) -> Tensor:
    """log of the mean of exp(log_w) over the draws, with `top` taken away before exp and added after."""
    return (log_w - top).exp().mean(0).log() + top


noise = Exercise("07_bound", bound, inputs=[(LOG_P, LOG_Q), (LOG_P[:2], LOG_Q[:2]), (FAR, drawn(5, 4, seed=1))])
noise.mistake(
    "The mean of logarithms is the bound of one draw, averaged. Several draws help only inside the logarithm: log of "
    "the mean.",
    lambda log_p, log_q: (log_p - log_q).mean(0),
)
noise.mistake(
    "log k is missing: this is the logarithm of a sum, not of a mean.",
    lambda log_p, log_q: torch.logsumexp(log_p - log_q, 0),
)
noise.mistake(
    "Each draw is weighted by p / q: log q is taken away, not added.",
    lambda log_p, log_q: torch.logsumexp(log_p + log_q, 0) - math.log(len(log_p)),
)
noise.mistake(
    "The density of the noise is missing: log q(u | x) must be taken away from each draw.",
    lambda log_p, log_q: torch.logsumexp(log_p, 0) - math.log(len(log_p)),
)
noise.mistake(
    "You averaged over the images: the draws are the first dimension.",
    lambda log_p, log_q: torch.logsumexp(log_p - log_q, -1) - math.log(log_p.shape[-1]),
)
noise.mistake(
    "Right for moderate numbers, but the exponential of −2000 is 0 in any float, and its logarithm −∞: use logsumexp.",
    lambda log_p, log_q: bound_below(log_p - log_q, torch.tensor(0.0)),
)
noise.mistake(
    "You took away the largest number of the whole table before exp: an image far less likely than the others of its "
    "batch gives log 0. Each image needs its own largest number: logsumexp over the draws does it.",
    lambda log_p, log_q: bound_below(log_p - log_q, (log_p - log_q).max()),
)


EXERCISES = [bits, squeezing, board, logit, noise]
