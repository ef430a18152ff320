"""The exercises of notebook 01: densities on the line."""

import torch
from torch import Tensor
from torch.nn.functional import softplus

from flowlib.course.exercises.exercise import Exercise
from flowlib.course.exercises.picture import Picture
from flowlib.course.exercises.shared import drawn, normal_log_prob

POINTS = torch.tensor([-3.0, -0.5, 0.7, 2.0])
WIDE, POSITIVE = torch.linspace(-8.0, 8.0, 161), torch.linspace(0.05, 8.0, 160)


# --- 1.1: a straight map, any slope


def affine_log_prob(x: Tensor, a: Tensor, b: Tensor) -> Tensor:
    """x (n,), a (), b () -> log p_X(x) (n,) of x = a z + b, z ~ N(0, 1)."""
    return normal_log_prob((x - b) / a) - a.abs().log()


affine = Exercise(
    "01_affine_log_prob",
    affine_log_prob,
    inputs=[
        (POINTS, torch.tensor(2.0), torch.tensor(1.0)),
        (POINTS, torch.tensor(0.25), torch.tensor(-0.5)),
        (POINTS, torch.tensor(-3.0), torch.tensor(0.5)),
        (drawn(7), torch.tensor(1.7), torch.tensor(-2.0)),
    ],
    picture=Picture(WIDE, (WIDE, torch.tensor(-2.0), torch.tensor(1.0)), "x, for a = −2 and b = 1"),
)
affine.mistake(
    "You found z, but left out the stretch: a strip that is |a| times as long is |a| times as thin. Your density has "
    "mass |a|, not 1.",
    lambda x, a, b: normal_log_prob((x - b) / a),
)
affine.mistake(
    "You multiplied by the stretch |a| where it divides: longer dough is thinner dough. The factor is |dz/dx|, the "
    "inverse of |dx/dz|.",
    lambda x, a, b: normal_log_prob((x - b) / a) + a.abs().log(),
)
affine.mistake(
    "For negative a you took the log of a negative number and got nan. Lengths have no sign: the stretch is the "
    "absolute value of the derivative.",
    lambda x, a, b: normal_log_prob((x - b) / a) - a.log(),
)
affine.mistake(
    "You divided by |a|, but evaluated p_Z at x. The thickness at x is that of the place z which the dough came from: "
    "invert the map first.",
    lambda x, a, b: normal_log_prob(x) - a.abs().log(),
)
affine.mistake(
    "You subtracted the stretch |a| itself. In logs a division is a difference of logarithms: subtract log |a|.",
    lambda x, a, b: normal_log_prob((x - b) / a) - a.abs(),
)
affine.mistake(
    "You evaluated p_Z at a·x + b, so you applied the map once more where it has to be undone.",
    lambda x, a, b: normal_log_prob(a * x + b) - a.abs().log(),
)


# --- 1.2: two maps, one log-determinant


def chain_log_det(z: Tensor, a: Tensor, b: Tensor) -> Tensor:
    """z (n,), a (), b () -> log |dx/dz| (n,) of x = sinh(a z + b)."""
    return a.abs().log() + (a * z + b).cosh().log()


chain = Exercise(
    "01_chain_log_det",
    chain_log_det,
    inputs=[
        (POINTS, torch.tensor(0.5), torch.tensor(1.0)),
        (POINTS, torch.tensor(-1.5), torch.tensor(0.2)),
        (drawn(7), torch.tensor(0.8), torch.tensor(-0.6)),
    ],
)
chain.mistake(
    "You took the slope of the second map at z. When the second map acts, the point is no longer at z: take it where "
    "the first map has put it.",
    lambda z, a, b: a.abs().log() + z.cosh().log(),
)
chain.mistake(
    "You took the slope of the second map at its output x. It belongs at its input, which is where the first map has "
    "put the point.",
    lambda z, a, b: a.abs().log() + (a * z + b).sinh().cosh().log(),
)
chain.mistake("The slope of the first map is missing: both maps stretch.", lambda z, a, b: (a * z + b).cosh().log())
chain.mistake(
    "The slope of the second map is missing: both maps stretch.",
    lambda z, a, b: a.abs().log().expand(len(z)),
)
chain.mistake(
    "For negative a you took the log of a negative slope and got nan. Lengths have no sign: take its absolute value.",
    lambda z, a, b: a.log() + (a * z + b).cosh().log(),
)
chain.mistake(
    "You multiplied the two logarithms. The slopes multiply, so their logarithms add.",
    lambda z, a, b: a.abs().log() * (a * z + b).cosh().log(),
)


# --- 1.3: the log-normal density


def lognormal_log_prob(x: Tensor) -> Tensor:
    """x (n,), positive -> log p_X(x) (n,) of x = exp(z), z ~ N(0, 1)."""
    return normal_log_prob(x.log()) - x.log()


lognormal = Exercise(
    "01_lognormal_log_prob",
    lognormal_log_prob,
    inputs=[(torch.tensor([0.1, 0.5, 2.0, 5.0]),), (torch.tensor([1.5, 3.0]),), (drawn(7).exp(),)],
    picture=Picture(POSITIVE, (POSITIVE,), "x"),
)
lognormal.mistake(
    "You found z and evaluated p_Z there, but the stretch is missing: the exponential pulls large z apart and pushes "
    "small z together.",
    lambda x: normal_log_prob(x.log()),
)
lognormal.mistake(
    "The sign of the stretch is wrong. |dz/dx| is the derivative of the logarithm, 1/x: where x is large the dough is "
    "thin.",
    lambda x: normal_log_prob(x.log()) + x.log(),
)
lognormal.mistake(
    "You evaluated p_Z at x. It belongs at the z that x came from, and x came through the exponential.",
    lambda x: normal_log_prob(x) - x.log(),
)


# --- 1.4: many dimensions, one log-determinant a point


def sigmoid_terms(z: Tensor) -> Tensor:
    """log of the slope of the sigmoid, elementwise."""
    return -softplus(z) - softplus(-z)


def sigmoid_log_det(z: Tensor) -> Tensor:
    """z (n, D) -> log |det J| (n,) of x_i = 1 / (1 + exp(−z_i))."""
    return sigmoid_terms(z).sum(-1)


sigmoid = Exercise(
    "01_sigmoid_log_det",
    sigmoid_log_det,
    inputs=[
        (torch.tensor([[0.0, 1.0, -2.0], [3.0, -0.5, 0.5]]),),
        (torch.tensor([[40.0, 0.0], [-1.0, 2.0]]),),
        (drawn(4, 5),),
    ],
)
sigmoid.mistake(
    "You summed over the batch (dimension 0). Each point has its own determinant: sum over the D numbers of one point "
    "and keep the n points apart.",
    lambda z: sigmoid_terms(z).sum(0),
)
sigmoid.mistake(
    "You summed over everything, points included. Each of the n points needs its own log-determinant.",
    lambda z: sigmoid_terms(z).sum(),
)
sigmoid.mistake(
    "You took the mean over the dimensions. The slopes multiply, so their logarithms add: no division by D belongs "
    "here.",
    lambda z: sigmoid_terms(z).mean(-1),
)
sigmoid.mistake(
    "These are the D terms of each point. The determinant of a diagonal matrix is the product of its diagonal, so one "
    "more step is missing.",
    lambda z: sigmoid_terms(z),
)
sigmoid.mistake(
    "The sign is that of the inverse. The sigmoid squeezes, its slope is at most 1/4, so each term must be negative.",
    lambda z: -sigmoid_log_det(z),
)


@sigmoid.mistake(
    "Right for moderate z, but at z = 40 you get −∞: σ(z) rounds to 1, so 1 − σ(z) becomes 0 before the log is taken. "
    "Write log σ(z) and log(1 − σ(z)) with softplus or logsigmoid of z and of −z."
)
def sigmoid_underflows(z):
    x = torch.sigmoid(z)
    return (x * (1.0 - x)).log().sum(-1)


# --- 1.5: the way back from ranks


def uniform_to_normal(u: Tensor) -> tuple[Tensor, Tensor]:
    """u (n,) in (0, 1) -> z = Φ⁻¹(u) (n,) and log |dz/du| (n,)."""
    z = torch.special.ndtri(u)
    return z, -normal_log_prob(z)


uniform = Exercise(
    "01_uniform_to_normal",
    uniform_to_normal,
    inputs=[(torch.tensor([0.1, 0.5, 0.9]),), (torch.tensor([0.02, 0.3, 0.75]),), (drawn(7).sigmoid(),)],
)
uniform.mistake(
    "Your z is right; the sign of the log-determinant is that of Φ, the way back. The call that goes u → z stretches "
    "where Φ squeezes.",
    lambda u: (torch.special.ndtri(u), normal_log_prob(torch.special.ndtri(u))),
)
uniform.mistake(
    "Your log-determinant is right; z has the wrong sign: u below one half comes from a z below zero.",
    lambda u: (-torch.special.ndtri(u), uniform_to_normal(u)[1]),
)
uniform.mistake(
    "Both signs are wrong: u below one half comes from a z below zero, and the call that goes u → z stretches.",
    lambda u: tuple(-part for part in uniform_to_normal(u)),
)
uniform.mistake(
    "That is the stretch |dz/du|; the question asks for its logarithm.",
    lambda u: (torch.special.ndtri(u), (-normal_log_prob(torch.special.ndtri(u))).exp()),
)
uniform.mistake(
    "Your z is right, but you took the slope at u. Φ has its slope p_Z at z.",
    lambda u: (torch.special.ndtri(u), -normal_log_prob(u)),
)
uniform.mistake(
    "You applied Φ (ndtr), which goes from z to u. Its inverse is asked for, and u is what you start from.",
    lambda u: (torch.special.ndtr(u), normal_log_prob(u)),
)
uniform.mistake(
    "Your z is right, but a log-determinant of 0 would mean that no length changes. It is the density of u that is "
    "constant, not the stretch.",
    lambda u: (torch.special.ndtri(u), torch.zeros_like(u)),
)


EXERCISES = [affine, chain, lognormal, sigmoid, uniform]
