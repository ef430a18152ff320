"""The exercises of notebook 01: densities on the line."""

import torch
from torch import Tensor
from torch.nn.functional import softplus

from flowlib.bases import LOG_2PI
from flowlib.course.exercises.exercise import Exercise


def normal_log_prob(z: Tensor) -> Tensor:
    """log N(z; 0, 1), elementwise."""
    return -0.5 * z.square() - 0.5 * LOG_2PI


# 1.1: x = a z + b


def affine_log_prob(x: Tensor, a: Tensor, b: Tensor) -> Tensor:
    """x (n,), a (), b () -> log p_X(x) (n,) of x = a z + b, z ~ N(0, 1)."""
    return normal_log_prob((x - b) / a) - a.abs().log()


def affine_without_stretch(x: Tensor, a: Tensor, b: Tensor) -> Tensor:
    return normal_log_prob((x - b) / a)


def affine_times_stretch(x: Tensor, a: Tensor, b: Tensor) -> Tensor:
    return normal_log_prob((x - b) / a) + a.abs().log()


def affine_signed_stretch(x: Tensor, a: Tensor, b: Tensor) -> Tensor:
    return normal_log_prob((x - b) / a) - a.log()


def affine_not_inverted(x: Tensor, a: Tensor, b: Tensor) -> Tensor:
    return normal_log_prob(x) - a.abs().log()


def affine_forward_again(x: Tensor, a: Tensor, b: Tensor) -> Tensor:
    return normal_log_prob(a * x + b) - a.abs().log()


# 1.2: x = sinh(a z + b), two layers


def chain_log_det(z: Tensor, a: Tensor, b: Tensor) -> Tensor:
    """z (n,), a (), b () -> log |dx/dz| (n,) of x = sinh(a z + b)."""
    return a.abs().log() + (a * z + b).cosh().log()


def chain_second_at_z(z: Tensor, a: Tensor, b: Tensor) -> Tensor:
    return a.abs().log() + z.cosh().log()


def chain_second_at_x(z: Tensor, a: Tensor, b: Tensor) -> Tensor:
    return a.abs().log() + (a * z + b).sinh().cosh().log()


def chain_second_alone(z: Tensor, a: Tensor, b: Tensor) -> Tensor:
    return (a * z + b).cosh().log()


def chain_product_of_logs(z: Tensor, a: Tensor, b: Tensor) -> Tensor:
    return a.abs().log() * (a * z + b).cosh().log()


# 1.3: x = exp(z)


def lognormal_log_prob(x: Tensor) -> Tensor:
    """x (n,), positive -> log p_X(x) (n,) of x = exp(z), z ~ N(0, 1)."""
    return normal_log_prob(x.log()) - x.log()


def lognormal_without_stretch(x: Tensor) -> Tensor:
    return normal_log_prob(x.log())


def lognormal_wrong_sign(x: Tensor) -> Tensor:
    return normal_log_prob(x.log()) + x.log()


def lognormal_not_inverted(x: Tensor) -> Tensor:
    return normal_log_prob(x) - x.log()


# 1.4: x_i = sigmoid(z_i) in D dimensions


def sigmoid_terms(z: Tensor) -> Tensor:
    """log of the slope of the sigmoid, elementwise."""
    return -softplus(z) - softplus(-z)


def sigmoid_log_det(z: Tensor) -> Tensor:
    """z (n, D) -> log |det J| (n,) of x_i = 1 / (1 + exp(−z_i))."""
    return sigmoid_terms(z).sum(-1)


def sigmoid_over_batch(z: Tensor) -> Tensor:
    return sigmoid_terms(z).sum(0)


def sigmoid_over_everything(z: Tensor) -> Tensor:
    return sigmoid_terms(z).sum()


def sigmoid_mean(z: Tensor) -> Tensor:
    return sigmoid_terms(z).mean(-1)


def sigmoid_no_sum(z: Tensor) -> Tensor:
    return sigmoid_terms(z)


def sigmoid_wrong_sign(z: Tensor) -> Tensor:
    return -sigmoid_log_det(z)


def sigmoid_underflows(z: Tensor) -> Tensor:
    x = torch.sigmoid(z)
    return (x * (1.0 - x)).log().sum(-1)


# 1.5: from the uniform to the Gaussian


def uniform_to_normal(u: Tensor) -> tuple[Tensor, Tensor]:
    """u (n,) in (0, 1) -> z = Φ⁻¹(u) (n,) and log |dz/du| (n,)."""
    z = torch.special.ndtri(u)
    return z, -normal_log_prob(z)


def quantile_wrong_sign(u: Tensor) -> tuple[Tensor, Tensor]:
    z = torch.special.ndtri(u)
    return z, normal_log_prob(z)


def quantile_slope_at_u(u: Tensor) -> tuple[Tensor, Tensor]:
    return torch.special.ndtri(u), -normal_log_prob(u)


def cdf_instead_of_quantile(u: Tensor) -> tuple[Tensor, Tensor]:
    return torch.special.ndtr(u), normal_log_prob(u)


def quantile_flat(u: Tensor) -> tuple[Tensor, Tensor]:
    return torch.special.ndtri(u), torch.zeros_like(u)


POINTS = torch.tensor([-3.0, -0.5, 0.7, 2.0])

EXERCISES = [
    Exercise(
        name="01_affine_log_prob",
        answer=affine_log_prob,
        inputs=[
            (POINTS, torch.tensor(2.0), torch.tensor(1.0)),
            (POINTS, torch.tensor(0.25), torch.tensor(-0.5)),
            (POINTS, torch.tensor(-3.0), torch.tensor(0.5)),
        ],
        mistakes=[
            (
                "You found z, but left out the stretch: a strip that is |a| times as long is |a| times as thin. "
                "Your density has mass |a|, not 1.",
                affine_without_stretch,
            ),
            (
                "You multiplied by the stretch |a| where it divides: longer dough is thinner dough. "
                "The factor is |dz/dx|, the inverse of |dx/dz|.",
                affine_times_stretch,
            ),
            (
                "For negative a you took the log of a negative number and got nan. Lengths have no sign: "
                "the stretch is the absolute value of the derivative.",
                affine_signed_stretch,
            ),
            (
                "You divided by |a|, but evaluated p_Z at x. The thickness at x is that of the place z "
                "which the dough came from: invert the map first.",
                affine_not_inverted,
            ),
            (
                "You evaluated p_Z at a·x + b, so you applied the map once more where it has to be undone.",
                affine_forward_again,
            ),
        ],
    ),
    Exercise(
        name="01_chain_log_det",
        answer=chain_log_det,
        inputs=[
            (POINTS, torch.tensor(0.5), torch.tensor(1.0)),
            (POINTS, torch.tensor(-1.5), torch.tensor(0.2)),
        ],
        mistakes=[
            (
                "You took the slope of the second map at z. When the second map acts, the point is no longer at z: "
                "take it where the first map has put it.",
                chain_second_at_z,
            ),
            (
                "You took the slope of the second map at its output x. It belongs at its input, "
                "which is where the first map has put the point.",
                chain_second_at_x,
            ),
            ("The slope of the first map is missing: both maps stretch.", chain_second_alone),
            (
                "You multiplied the two logarithms. The slopes multiply, so their logarithms add.",
                chain_product_of_logs,
            ),
        ],
    ),
    Exercise(
        name="01_lognormal_log_prob",
        answer=lognormal_log_prob,
        inputs=[(torch.tensor([0.1, 0.5, 2.0, 5.0]),), (torch.tensor([1.5, 3.0]),)],
        mistakes=[
            (
                "You found z and evaluated p_Z there, but the stretch is missing: "
                "the exponential pulls large z apart and pushes small z together.",
                lognormal_without_stretch,
            ),
            (
                "The sign of the stretch is wrong. |dz/dx| is the derivative of the logarithm, 1/x: "
                "where x is large the dough is thin.",
                lognormal_wrong_sign,
            ),
            (
                "You evaluated p_Z at x. It belongs at the z that x came from, and x came through the exponential.",
                lognormal_not_inverted,
            ),
        ],
    ),
    Exercise(
        name="01_sigmoid_log_det",
        answer=sigmoid_log_det,
        inputs=[
            (torch.tensor([[0.0, 1.0, -2.0], [3.0, -0.5, 0.5]]),),
            (torch.tensor([[40.0, 0.0], [-1.0, 2.0]]),),
        ],
        mistakes=[
            (
                "You summed over the batch (dimension 0). Each point has its own determinant: "
                "sum over the D numbers of one point and keep the n points apart.",
                sigmoid_over_batch,
            ),
            (
                "You summed over everything, points included. Each of the n points needs its own log-determinant.",
                sigmoid_over_everything,
            ),
            (
                "You took the mean over the dimensions. The slopes multiply, so their logarithms add: "
                "no division by D belongs here.",
                sigmoid_mean,
            ),
            (
                "These are the D terms of each point. The determinant of a diagonal matrix is the product of its "
                "diagonal, so one more step is missing.",
                sigmoid_no_sum,
            ),
            (
                "The sign is that of the inverse. The sigmoid squeezes, its slope is at most 1/4, "
                "so each term must be negative.",
                sigmoid_wrong_sign,
            ),
            (
                "Right for moderate z, but at z = 40 you get −∞: σ(z) rounds to 1, so 1 − σ(z) becomes 0 before the "
                "log is taken. Write log σ(z) and log(1 − σ(z)) with softplus or logsigmoid of z and of −z.",
                sigmoid_underflows,
            ),
        ],
    ),
    Exercise(
        name="01_uniform_to_normal",
        answer=uniform_to_normal,
        inputs=[(torch.tensor([0.1, 0.5, 0.9]),), (torch.tensor([0.02, 0.3, 0.75]),)],
        mistakes=[
            (
                "Your z is right; the sign of the log-determinant is that of Φ, the way back. "
                "The call that goes u → z stretches where Φ squeezes.",
                quantile_wrong_sign,
            ),
            ("Your z is right, but you took the slope at u. Φ has its slope p_Z at z.", quantile_slope_at_u),
            (
                "You applied Φ (ndtr), which goes from z to u. Its inverse is asked for, and u is what you start from.",
                cdf_instead_of_quantile,
            ),
            (
                "Your z is right, but a log-determinant of 0 would mean that no length changes. "
                "It is the density of u that is constant, not the stretch.",
                quantile_flat,
            ),
        ],
    ),
]
