"""The exercises of notebook 08: Glow (Kingma and Dhariwal 2018, arXiv:1807.03039) and transformer flows."""

import math

import torch
from torch import Tensor

from flowlib.course.exercises.exercise import Exercise, as_tensor
from flowlib.course.exercises.shared import COUNT, drawn, log_det_of

MIXING = torch.tensor([[0.0, 2.0], [1.0, 0.5]])  # it swaps two channels, nearly; its determinant is −2
LEAN = torch.tensor([[1.5, 0.3, 0.0], [0.0, 0.8, 0.2], [0.4, 0.0, 1.1]])
BATCH = torch.tensor([[[[1.0, 3.0]], [[10.0, 20.0]]], [[[2.0, 6.0]], [[40.0, 10.0]]], [[[0.0, 0.0]], [[30.0, 10.0]]]])
A, B = torch.tensor([[3.0, 0.0, 0.0], [1.0, 2.0, 2.0]]), torch.tensor([[1.8, 0.0, 2.4], [2.0, -1.0, 2.0]])
FOUR = torch.arange(1.0, 13.0).reshape(1, 4, 3)  # one image, four patches of three numbers
PAIR = torch.tensor([[[2.0, -1.0], [5.0, 3.0], [0.5, 4.0]], [[1.0, 1.0], [-2.0, 6.0], [7.0, 0.0]]])
THICK, THIN = torch.tensor([[1.0, 2.0], [3.0, 0.0], [2.0, 4.0]]), torch.tensor([[0.0, 1.0], [1.0, 0.0]])
WIDE, NARROW = torch.tensor([3.0, 4.0, 3.5]), torch.tensor([1.5, 2.0])
BROAD = torch.arange(2 * 4 * 6.0).reshape(2, 1, 4, 6)


# --- 8.1: what a 1 × 1 convolution costs


def conv_log_det(M, height, width):
    """M (C, C), invertible -> log |det| of the whole layer, one number."""
    return height * width * log_det_of(M)


conv = Exercise("08_conv_log_det", conv_log_det, inputs=[(MIXING, 3, 5), (LEAN, 2, 2), (drawn(5, 5), 4, 7)])
conv.mistake(
    "That is the factor of one pixel. The same matrix acts at each of H · W pixels: count all of them.",
    lambda M, height, width: log_det_of(M),
)
conv.mistake(
    "The absolute value is missing: a matrix that swaps channels has a negative determinant, and the logarithm of "
    "that is nan.",
    lambda M, height, width: height * width * torch.log(torch.linalg.det(M)),
)
conv.mistake(
    "This is the log-determinant of the way back, by M⁻¹.", lambda M, height, width: -height * width * log_det_of(M)
)
conv.mistake(
    "The product of the diagonal is the determinant of a triangular matrix alone. Glow keeps its M as a product of "
    "triangular factors for just that reason; this M is a whole one.",
    lambda M, height, width: height * width * torch.log(M.diagonal().abs()).sum(),
)


# --- 8.2: ActNorm's first batch


def actnorm_start(x):
    """x (n, C, H, W) -> shift (C,), log_scale (C,)."""
    return x.mean((0, 2, 3)), x.std((0, 2, 3), correction=0).log()


actnorm = Exercise("08_actnorm_start", actnorm_start, inputs=[(BATCH,), (BATCH[:2] - 7.0,), (drawn(4, 3, 5, 6),)])
actnorm.mistake(
    "The deviation is the unbiased one, with n − 1. Then z has a deviation slightly below 1: take correction=0.",
    lambda x: (x.mean((0, 2, 3)), x.std((0, 2, 3)).log()),
)
actnorm.mistake(
    "That is the deviation itself; the layer stores its logarithm.",
    lambda x: (x.mean((0, 2, 3)), x.std((0, 2, 3), correction=0)),
)
actnorm.mistake(
    "That is the logarithm of the variance, twice the log-scale: take the standard deviation.",
    lambda x: (x.mean((0, 2, 3)), x.var((0, 2, 3), correction=0).log()),
)


@actnorm.mistake(
    "You wrote z = exp(log_scale) x + shift, the layer from data to noise, as the paper has it. Ours goes from noise "
    "to data: x = exp(log_scale) z + shift."
)
def actnorm_turned(x):
    shift, log_scale = actnorm_start(x)
    return -shift * torch.exp(-log_scale), -log_scale


actnorm.mistake(
    "You have numbers for each pixel. All pixels of a channel share one scale and one shift: average them.",
    lambda x: (x.mean(0), x.std(0, correction=0).log()),
)


# --- 8.3: along the arc


def angle_between(a: Tensor, b: Tensor) -> Tensor:
    cosine = (a * b).sum(-1, keepdim=True) / (a.norm(dim=-1, keepdim=True) * b.norm(dim=-1, keepdim=True))
    return torch.acos(cosine)


def slerp(a, b, t):
    """a and b (n, D), t a number from 0 to 1 -> (n, D)."""
    angle = angle_between(a, b)
    return (torch.sin((1 - t) * angle) * a + torch.sin(t * angle) * b) / torch.sin(angle)


arc = Exercise(
    "08_slerp", slerp, inputs=[(A, B, 0.5), (A, B, 0.25), (A, B, 0.0), (drawn(4, 5), 3.0 * drawn(4, 5, seed=1), 0.7)]
)
arc.mistake(
    "That is the straight line: between the ends it dips towards the origin.", lambda a, b, t: (1 - t) * a + t * b
)


@arc.mistake(
    "You stretched the straight line to the right length. The path is the same arc, but not evenly run through: t = ¼ "
    "is not a quarter of the angle."
)
def slerp_stretched(a, b, t):
    straight = (1 - t) * a + t * b
    return straight * a.norm(dim=-1, keepdim=True) / straight.norm(dim=-1, keepdim=True)


arc.mistake("The ends are exchanged: t = 0 should give a.", lambda a, b, t: slerp(a, b, 1 - t))


@arc.mistake(
    "The cosine of the angle is a · b / (|a| |b|). Without the lengths, arccos gets numbers beyond 1 and gives nan."
)
def slerp_of_bare_product(a, b, t):
    angle = torch.acos((a * b).sum(-1, keepdim=True))
    return (torch.sin((1 - t) * angle) * a + torch.sin(t * angle) * b) / torch.sin(angle)


arc.mistake(
    "You assumed a right angle between a and b. In 784 dimensions that is nearly true of noise, so nobody notices; "
    "take the true angle.",
    lambda a, b, t: math.cos(t * math.pi / 2) * a + math.sin(t * math.pi / 2) * b,
)


# --- 8.4: the step of an attribute


def direction(z_high, z_low, a_high, a_low):
    """z_high (n, D), z_low (m, D), a_high (n,), a_low (m,) -> (D,)."""
    return (z_high.mean(0) - z_low.mean(0)) / (a_high.mean() - a_low.mean())


def direction_by_regression(z_high, z_low, a_high, a_low):
    """The slope of a line through all points, by least squares: better, and as right."""
    z, a = torch.cat([z_high, z_low]), torch.cat([a_high, a_low])
    z, a = z - z.mean(0), a - a.mean()
    return (a[:, None] * z).sum(0) / a.square().sum()


attribute = Exercise(
    "08_direction",
    direction,
    inputs=[
        (THICK, THIN, WIDE, NARROW),
        (THICK[:2], THIN, WIDE[:2], NARROW),
        (drawn(7, 5) + 2.0, drawn(4, 5, seed=1), 4.0 + drawn(7, seed=2).exp(), drawn(4, seed=3).exp()),
    ],
    also=[direction_by_regression],
)
attribute.mistake(
    "This is the step from the mean of the thin to the mean of the thick ones, however far that is. Divide by the "
    "difference of their mean thickness, so that one step is one pixel.",
    lambda z_high, z_low, a_high, a_low: z_high.mean(0) - z_low.mean(0),
)
attribute.mistake(
    "The direction points from thick to thin.",
    lambda z_high, z_low, a_high, a_low: -direction(z_high, z_low, a_high, a_low),
)


@attribute.mistake(
    "A length of 1 is no unit of thickness: divide by the difference of the mean thickness, not by the length of the "
    "step."
)
def direction_of_length_one(z_high, z_low, a_high, a_low):
    step = direction(z_high, z_low, a_high, a_low)
    return step / step.norm()


# --- 8.5: cut an image into patches


def patches(x, p):
    """x (n, 1, H, W), H and W multiples of p -> (n, tokens, p * p)."""
    n, _, h, w = x.shape
    return x.reshape(n, h // p, p, w // p, p).transpose(2, 3).reshape(n, -1, p * p)


cutting = Exercise(
    "08_patches", patches, inputs=[(COUNT, 2), (BROAD, 2), (drawn(3, 1, 6, 9), 3), (drawn(2, 1, 8, 4), 4)]
)
cutting.mistake(
    "A reshape alone cuts the rows into strips of p² pixels. Split height and width first, then bring the two inner "
    "axes side by side.",
    lambda x, p: x.reshape(len(x), -1, p * p),
)


@cutting.mistake("Your patches run down the columns of patches first. Reading order is along the row.")
def patches_columns_first(x, p):
    n, _, h, w = x.shape
    return x.reshape(n, h // p, p, w // p, p).permute(0, 3, 1, 2, 4).reshape(n, -1, p * p)


@cutting.mistake(
    "That is a squeeze: each of your rows is a coarse copy of the image, with every p-th pixel. A patch is pixels "
    "that lie side by side."
)
def patches_squeezed(x, p):
    n, _, h, w = x.shape
    return x.reshape(n, h // p, p, w // p, p).permute(0, 2, 4, 1, 3).reshape(n, p * p, -1)


# --- 8.6: what the tokens carry


def carried(patches):
    """patches (n, tokens, size) -> what each token carries, of the same shape."""
    return torch.cat([torch.zeros_like(patches[:, :1]), patches[:, :-1]], 1)


def without_the_start(results):
    """The same with zeros in the first tokens, if they are one constant in all batches: it says nothing of an image."""
    batches = [as_tensor(each) for each in results]
    if any(batch is None or batch.dim() != 3 for batch in batches):
        return results
    starts = {}
    for batch in batches:
        starts.setdefault(batch.shape[-1], []).append(batch[:, 0])
    if any(not torch.equal(start, start[:1].expand_as(start)) for start in map(torch.cat, starts.values())):
        return results
    return [torch.cat([torch.zeros_like(batch[:, :1]), batch[:, 1:]], 1) for batch in batches]


tokens = Exercise(
    "08_carried",
    carried,
    inputs=[(FOUR,), (PAIR,), (drawn(5, 6, 4),), (drawn(2, 3, 4, seed=1),)],
    canonical=without_the_start,
)
tokens.mistake(
    "Your first token is a mean over the batch: what an image gets then depends on the images beside it, and one alone "
    "gets something else. Start all with the same constant, zeros for instance.",
    lambda patches: torch.cat([patches[:, :1].mean(0, keepdim=True).expand_as(patches[:, :1]), patches[:, :-1]], 1),
)
tokens.mistake(
    "Token t carries patch t itself, and attention lets it look at itself: the model peeks. Move patches one token "
    "later.",
    lambda patches: patches.clone(),
)
tokens.mistake(
    "roll brings the last patch to the first token: the start of the image peeks at its end. Start with zeros instead.",
    lambda patches: patches.roll(1, 1),
)
tokens.mistake(
    "You moved the patches the wrong way: token t carries patch t + 1, the future.",
    lambda patches: torch.cat([patches[:, 1:], torch.zeros_like(patches[:, :1])], 1),
)
tokens.mistake(
    "You moved the numbers within each patch. The order within a patch is the business of the MADE; tokens move by "
    "whole patches.",
    lambda patches: torch.cat([torch.zeros_like(patches[..., :1]), patches[..., :-1]], -1),
)


EXERCISES = [conv, actnorm, arc, attribute, cutting, tokens]
