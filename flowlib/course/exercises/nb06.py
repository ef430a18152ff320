"""The exercises of notebook 06: splines and autoregressive flows."""

import math

import torch
from torch import Tensor

from flowlib.course.exercises.exercise import Exercise
from flowlib.course.exercises.shared import SUMMED_LOG_PROB, drawn, normal_log_prob

Z3 = torch.tensor([[0.4, -1.0, 0.7], [-0.3, 0.8, 1.2]])  # (2, 3)
Z4 = torch.tensor([[1.0, 0.5, -0.8, 0.3], [-1.5, 0.2, 0.9, -0.4], [0.1, -0.6, 1.1, 0.7]])  # (3, 4)
C = torch.tensor([0.5, -1.0])
A, B = torch.tensor([0.6, -0.2, 0.3]), torch.tensor([1.0, 0.4, -0.7])


# --- 6.1: the masks of MADE (Germain and others 2015, arXiv:1502.03509)


def degree_masks(dim: int, hidden: int, first, last) -> tuple[Tensor, Tensor]:
    """Masks of both layers: `first(hidden degree, input degree)` and `last(output degree, hidden degree)` allow."""
    inputs = torch.arange(1, dim + 1)
    units = 1 + torch.arange(hidden) % (dim - 1)
    return first(units[:, None], inputs[None, :]).float(), last(inputs[:, None], units[None, :]).float()


def made_masks(dim, hidden):
    """-> first (hidden, dim) and last (dim, hidden), tensors of 0 and 1: rows hear, columns speak."""
    return degree_masks(dim, hidden, torch.ge, torch.gt)


masks = Exercise("06_made_masks", made_masks, inputs=[(3, 4), (4, 6), (5, 4)])
masks.mistake(
    "You used ≤ in the last layer, where < is needed: parameter i may hear units of degree i − 1 at most. Now x_i "
    "sees itself, the diagonal of the Jacobian is no longer the law's slope, and log_det lies.",
    lambda dim, hidden: degree_masks(dim, hidden, torch.ge, torch.ge),
)
masks.mistake(
    "You used < in the first layer as well. It is safe, but too strict: strict twice means that x_i hears only up to "
    "x_{i−2}, and x_2 hears nothing.",
    lambda dim, hidden: degree_masks(dim, hidden, torch.gt, torch.gt),
)
masks.mistake(
    "Equality is allowed in the last layer instead of the first, or the hidden degrees start at 0 (it is the same). "
    "Either way x_D never hears of x_{D−1}.",
    lambda dim, hidden: degree_masks(dim, hidden, torch.gt, torch.ge),
)
masks.mistake(
    "The arrows point the wrong way: in your masks the parameters of x_i hear the coordinates after it.",
    lambda dim, hidden: degree_masks(dim, hidden, torch.le, torch.lt),
)
masks.mistake(
    "Each mask is transposed: a weight has a row for each unit that hears, a column for each that speaks.",
    lambda dim, hidden: tuple(mask.T for mask in made_masks(dim, hidden)),
)


# --- 6.2: the slope inside a bin (Durkan and others 2019, arXiv:1906.04032)


def bin_slope(z, z_0, w, h, d_0, d_1, over: int = 2, rise: int = 2) -> Tensor:
    """s^rise (d_1 ξ² + 2 s ξ (1 − ξ) + d_0 (1 − ξ)²) / (s + (d_0 + d_1 − 2 s) ξ (1 − ξ))^over: z (n,) -> (n,)."""
    s, t = h / w, (z - z_0) / w
    top = d_1 * t.square() + 2.0 * s * t * (1.0 - t) + d_0 * (1.0 - t).square()
    return s**rise * top / (s + (d_0 + d_1 - 2.0 * s) * t * (1.0 - t)) ** over


def bin_log_slope(z, z_0, w, h, d_0, d_1):
    """z (n,) in [z_0, z_0 + w]; the rest are numbers -> log dx/dz, (n,)."""
    return bin_slope(z, z_0, w, h, d_0, d_1).log()


spline = Exercise(
    "06_bin_log_slope",
    bin_log_slope,
    inputs=[
        (torch.tensor([0.0, 0.3, 0.7, 1.0]), 0.0, 1.0, 2.0, 0.5, 3.0),
        (torch.tensor([-1.5, -1.0, -0.6]), -1.6, 1.5, 0.6, 1.2, 0.3),
        (torch.tensor([2.2, 2.5]), 2.0, 0.8, 1.7, 2.0, 0.9),
    ],
)
spline.mistake(
    "This is the slope with respect to ξ. Seen from z it is divided by w once more: ξ = (z − z₀) / w.",
    lambda z, z_0, w, h, d_0, d_1: bin_log_slope(z, z_0, w, h, d_0, d_1) + math.log(w),
)
spline.mistake("The denominator is squared (the quotient rule); yours is not.", lambda *a: bin_slope(*a, over=1).log())
spline.mistake("The factor s² in front is missing: the slope at ξ = 0 is d₀.", lambda *a: bin_slope(*a, rise=0).log())
spline.mistake("The factor in front is s², not s: the slope at ξ = 0 is d₀.", lambda *a: bin_slope(*a, rise=1).log())
spline.mistake(
    "d₀ and d₁ changed places: at the left end, ξ = 0, the slope is d₀.",
    lambda z, z_0, w, h, d_0, d_1: bin_log_slope(z, z_0, w, h, d_1, d_0),
)
spline.mistake(
    "You joined the two end slopes by a straight line. The ends agree, but this curve does not rise by h.",
    lambda z, z_0, w, h, d_0, d_1: (d_0 + (d_1 - d_0) * (z - z_0) / w).log(),
)
spline.mistake(
    "log(h / w) is the mean slope of the bin. The slope changes inside it.",
    lambda z, z_0, w, h, d_0, d_1: torch.full_like(z, math.log(h / w)),
)
spline.mistake("This is the slope; its logarithm is asked for.", bin_slope)
spline.mistake("This is the log-slope of the inverse: the sign is the opposite one.", lambda *a: -bin_log_slope(*a))


# --- 6.3: sample from a MAF (Papamakarios and others 2017, arXiv:1705.07057)


def masked_net(x: Tensor) -> tuple[Tensor, Tensor]:
    """An autoregressive network without weights: shift and log_scale of x_i from the sum of x_1, ..., x_{i−1}."""
    before = x.cumsum(-1) - x
    return torch.sin(before) + 0.5, 0.6 * torch.tanh(before + 0.3)


def one_pass(z: Tensor, seen: Tensor, net) -> tuple[Tensor, Tensor]:
    """The affine law with parameters from what the network has seen."""
    shift, log_scale = net(seen)
    return z * log_scale.exp() + shift, log_scale.sum(-1)


def maf_forward(z, net):
    """z (n, D) -> x (n, D), log |det ∂x/∂z| (n,)."""
    x = torch.zeros_like(z)
    for i in range(z.shape[-1]):
        shift, log_scale = net(x)
        x[..., i] = z[..., i] * log_scale[..., i].exp() + shift[..., i]
    return x, net(x)[1].sum(-1)


maf = Exercise("06_maf_forward", maf_forward, inputs=[(Z3, masked_net), (Z4, masked_net), (drawn(5, 6), masked_net)])
maf.mistake(
    "One pass with the network looking at z: that is an inverse autoregressive flow, another model. In a MAF the "
    "network looks at x, which has to be made one coordinate after the other.",
    lambda z, net: one_pass(z, z, net),
)
maf.mistake(
    "One pass with nothing filled in: x_1 is right, but x_2 never heard of it.",
    lambda z, net: one_pass(z, torch.zeros_like(z), net),
)


@maf.mistake("This is the inverse, from data to noise: (x − shift) / scale, in one pass.")
def maf_inverse(z, net):
    shift, log_scale = net(z)
    return (z - shift) * (-log_scale).exp(), -log_scale.sum(-1)


@maf.mistake("x is right. Your log_det is that of the inverse: forwards it is the sum of log_scale.")
def maf_inverse_log_det(z, net):
    x, log_det = maf_forward(z, net)
    return x, -log_det


@maf.mistake("You summed the log_det over the batch: it is one number for each point, shape (n,).")
def maf_summed(z, net):
    x, log_det = maf_forward(z, net)
    return x, log_det.sum()


@maf.mistake("log_scale is a logarithm: the stretch is its exponential.")
def maf_without_exp(z, net):
    x = torch.zeros_like(z)
    for i in range(z.shape[-1]):
        shift, log_scale = net(x)
        x[..., i] = z[..., i] * log_scale[..., i] + shift[..., i]
    return x, net(x)[1].sum(-1)


# --- 6.4: who is fast at what, MAF or IAF (Kingma and others 2016, arXiv:1606.04934)


def passes(family, task, dim, layers):
    """family "maf" or "iaf", task as above -> a whole number."""
    slow = (family == "maf") != (task == "log_prob")
    return layers * dim if slow else layers


cost = Exercise(
    "06_passes",
    passes,
    inputs=[
        (family, task, dim, layers)
        for family in ("maf", "iaf")
        for task in ("sample", "log_prob", "sample_with_log_prob")
        for dim, layers in ((8, 5), (3, 2))
    ],
)
cost.mistake(
    "MAF and IAF changed places. MAF's network looks at data: data are given when a density is asked for, so that "
    "takes one pass a layer. IAF's network looks at noise, which is given when we sample.",
    lambda family, task, dim, layers: passes("iaf" if family == "maf" else "maf", task, dim, layers),
)
cost.mistake(
    "You counted one layer; the flow has several, each with its own network.",
    lambda family, task, dim, layers: passes(family, task, dim, layers) // layers,
)


@cost.mistake(
    "You inverted the flow to get the density of its own sample. It is not needed: forward returns the log_det on the "
    "way, for both families."
)
def passes_inverting_own_samples(family, task, dim, layers):
    if task == "sample_with_log_prob":
        return layers * dim + layers
    return passes(family, task, dim, layers)


cost.mistake(
    "The layers follow each other, so their steps add up: D + D + ..., not D · D · ...",
    lambda family, task, dim, layers: (
        passes(family, task, dim, 1) ** layers if passes(family, task, dim, 1) > 1 else layers
    ),
)


# --- 6.5: a conditional density


def conditional_with(x, c, a, b, scale_by: float = 1.0, shift_by: float = 1.0, sign: float = -1.0) -> Tensor:
    """log-density of x = z exp(scale_by c a) + shift_by c b, with `sign` before the log-determinant."""
    log_scale = scale_by * c[:, None] * a  # (n, D)
    z = (x - shift_by * c[:, None] * b) * (-log_scale).exp()
    return normal_log_prob(z) + sign * log_scale.sum(-1)


def conditional_log_prob(x, c, a, b):
    """x (n, D), c (n,), a (D,), b (D,) -> log p(x | c), (n,)."""
    return conditional_with(x, c, a, b)


conditional = Exercise(
    "06_conditional_log_prob",
    conditional_log_prob,
    inputs=[
        (Z3, C, A, B),
        (Z3 + 0.5, 2.0 * C, B, A),
        (drawn(4, 5), drawn(4, seed=1), drawn(5, seed=2), drawn(5, seed=3)),
    ],
)
conditional.mistake(
    "You forgot the context: this is log p_Z(x), the same for every c.", lambda x, c, a, b: normal_log_prob(x)
)
conditional.mistake(
    "The context is forgotten in the stretch: it enters exp(c a) as well as c b.",
    lambda x, c, a, b: conditional_with(x, c, a, b, scale_by=0.0),
)
conditional.mistake(
    "The context is forgotten in the shift: it enters c b as well as exp(c a).",
    lambda x, c, a, b: conditional_with(x, c, a, b, shift_by=0.0),
)
conditional.mistake(
    "The context is forgotten in the log-determinant: the stretch of point n is exp(c_n a).",
    lambda x, c, a, b: conditional_with(x, c, a, b, sign=0.0) - a.sum(),
)
conditional.mistake(
    "One condition served the whole batch. Each point has its own: row n of x goes with c_n.",
    lambda x, c, a, b: conditional_with(x, c[:1].expand_as(c), a, b),
)
conditional.mistake(
    "The sign of the log-determinant is wrong: where the map stretches, the density gets thinner.",
    lambda x, c, a, b: conditional_with(x, c, a, b, sign=1.0),
)
conditional.mistake("The log-determinant is missing.", lambda x, c, a, b: conditional_with(x, c, a, b, sign=0.0))


@conditional.mistake("The brackets: z = (x − c b) exp(−c a). The shift is taken away before the stretch is undone.")
def bracket_forgotten(x, c, a, b):
    log_scale = c[:, None] * a
    return normal_log_prob(x - c[:, None] * b * (-log_scale).exp()) - log_scale.sum(-1)


conditional.mistake(SUMMED_LOG_PROB, lambda *a: conditional_with(*a).sum())


EXERCISES = [masks, spline, maf, cost, conditional]
