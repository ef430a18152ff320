"""The exercises of notebook 03: planar and radial flows (Rezende and Mohamed 2015, arXiv:1505.05770)."""

import torch
from torch import Tensor
from torch.nn.functional import softplus

from flowlib.course.exercises.exercise import Exercise
from flowlib.course.exercises.shared import INVERSE_LOG_DET, SUMMED_LOG_DET, barred, drawn, normal_log_prob
from flowlib.transforms.planar import Planar, admissible

Z = torch.tensor([[0.0, 0.0], [1.0, -0.5], [-1.5, 2.0], [0.3, 0.8]])  # (4, 2)
U, W, B = torch.tensor([1.5, 0.5]), torch.tensor([1.0, -0.4]), torch.tensor(0.3)  # w·u = 1.3
FOLDING = torch.tensor([-3.0, 0.5])  # as u: w·u = −3.2, the determinant is negative near the ridge
Z5 = torch.tensor([[0.2, -1.0, 0.5, 1.5, -0.3], [1.0, 1.0, -2.0, 0.0, 0.4]])  # (2, 5)
USED_U_HAT = (
    "flowlib's Planar uses û in place of u, so where w·u is below zero this is another map. Here u is meant as it is: "
    "write the formula, or give Planar constrain=False."
)


# --- 3.1: the log-determinant of a planar flow


def slope(z: Tensor, u: Tensor, w: Tensor, b: Tensor) -> Tensor:
    """1 + w·u h'(w·z + b): z (n, D) -> (n,)."""
    return 1.0 + (w @ u) * (1.0 - torch.tanh(z @ w + b).square())


def planar_log_det(z, u, w, b):
    """z (n, D), u (D,), w (D,), b () -> log |det J| at each point (n,)."""
    return slope(z, u, w, b).abs().log()


planar = Exercise("03_planar_log_det", planar_log_det, inputs=[(Z, U, W, B), (Z, FOLDING, W, B), (Z5, Z5[1], Z5[0], B)])
planar.mistake(
    USED_U_HAT,
    lambda z, u, w, b: Planar(len(u), u, w, b)(z)[1].detach(),
)
planar.mistake(
    "The sign between 1 and w·u h' is wrong: a push along w (w·u > 0) expands, so it must add.",
    lambda z, u, w, b: planar_log_det(z, -u, w, b),
)
planar.mistake(INVERSE_LOG_DET, lambda *a: -planar_log_det(*a))
planar.mistake(SUMMED_LOG_DET, lambda *a: planar_log_det(*a).sum())
planar.mistake(
    "You forgot h': the slope of tanh at each point decides how much the point feels of w·u.",
    lambda z, u, w, b: (1.0 + w @ u).abs().log().expand(len(z)),
)
planar.mistake(
    "You used h = tanh where its derivative h' = 1 − tanh² belongs.",
    lambda z, u, w, b: (1.0 + (w @ u) * torch.tanh(z @ w + b)).abs().log(),
)
planar.mistake("You forgot b: h' is taken at w·z + b.", lambda z, u, w, b: planar_log_det(z, u, w, 0.0 * b))
planar.mistake(
    "u and w changed places: w looks at the point (w·z + b), u pushes it.",
    lambda z, u, w, b: planar_log_det(z, w, u, b),
)
planar.mistake("This is |det J|; its logarithm is asked for.", lambda *a: slope(*a).abs())
planar.mistake("This is det J; the logarithm of its absolute value is asked for.", slope)
planar.mistake("nan where det J < 0: take the absolute value before the logarithm.", lambda *a: slope(*a).log())


# --- 3.2: the admissible push


def u_with(m, u: Tensor, w: Tensor, power: float = 2.0, sign: float = 1.0) -> Tensor:
    """u + sign (m(w·u) − w·u) w / ‖w‖^power."""
    return u + sign * (m(w @ u) - w @ u) * w / w.norm() ** power


def paper_m(x: Tensor) -> Tensor:
    """m(x) = −1 + log(1 + eˣ), from the appendix of the paper."""
    return -1.0 + softplus(x)


def u_hat(u, w):
    """u (D,), w (D,) -> û (D,), the vector nearest to u with w·û = −1 + log(1 + exp(w·u))."""
    return u_with(paper_m, u, w)


push = Exercise(
    "03_u_hat",
    u_hat,
    inputs=[
        (torch.tensor([-2.0, 1.0]), torch.tensor([1.5, 0.5])),
        (torch.tensor([0.4, 0.3]), torch.tensor([0.3, -0.2])),
        (Z5[1], Z5[0]),
    ],
)
push.mistake(
    "You used ‖w‖ where the formula needs ‖w‖²: the two agree only if w has length 1.",
    lambda u, w: u_with(paper_m, u, w, power=1.0),
)
push.mistake(
    "You did not divide by ‖w‖²: the step along w must be just so long that w·û becomes m(w·u).",
    lambda u, w: u_with(paper_m, u, w, power=0.0),
)
push.mistake(
    "The correction has the wrong sign: it must carry w·u to m(w·u), so it is m(w·u) − w·u.",
    lambda u, w: u_with(paper_m, u, w, sign=-1.0),
)
push.mistake(
    "You corrected along u. The shortest way to change w·u is along w, and it works for u = 0 too.",
    lambda u, w: u + (paper_m(w @ u) - w @ u) * u / (u @ u),
)
push.mistake(
    "Without the −1 in m, w·û = log(1 + eˣ) is above 0: the flow could never contract.",
    lambda u, w: u_with(softplus, u, w),
)
push.mistake(
    "You added m(w·u) instead of the difference m(w·u) − w·u: now w·û is w·u + m(w·u).",
    lambda u, w: u + paper_m(w @ u) * w / (w @ w),
)
push.mistake(
    "This is flowlib's m, and it is admissible too. The exercise asks for the paper's, m(x) = −1 + log(1 + eˣ), so "
    "that there is one answer to check.",
    lambda u, w: u_with(admissible, u, w),
)


# --- 3.3: the log-determinant of a radial flow


def radial_with(z, z0, alpha, beta, across: float | None = None, along: float = 1.0, sign: float = 1.0) -> Tensor:
    """across · log |1 + βh| + along · log |1 + βh + sign βh'r|, (n,); `across` is D − 1 by default."""
    r = (z - z0).norm(dim=-1)
    h = 1.0 / (alpha + r)
    across = z.shape[-1] - 1 if across is None else across
    stretch = 1.0 + beta * h
    return across * stretch.abs().log() + along * (stretch - sign * beta * h.square() * r).abs().log()


def radial_log_det(z, z0, alpha, beta):
    """z (n, D), z0 (D,), alpha and beta numbers -> log |det J| at each point (n,)."""
    return radial_with(z, z0, alpha, beta)


def radial_without_bars(z, z0, alpha, beta) -> Tensor:
    """(D − 1) log(1 + βh) + log(1 + αβh²), nan where a bracket is negative."""
    h = 1.0 / (alpha + (z - z0).norm(dim=-1))
    return (z.shape[-1] - 1) * (1.0 + beta * h).log() + (1.0 + alpha * beta * h.square()).log()


radial = Exercise(
    "03_radial_log_det",
    radial_log_det,
    inputs=[
        (Z5, Z5[0] + 0.5, 0.8, 2.0),
        (Z, torch.tensor([0.5, -0.2]), 1.0, -0.6),
        (Z5[:, :3], Z5[1, :3], 0.5, 1.2),
        (drawn(6, 4), drawn(4, seed=1), 0.8, -2.5),
    ],
)
radial.mistake(
    "You missed the power D − 1: every direction around the centre is stretched by 1 + βh, and there are D − 1 of "
    "them. In the plane the mistake cannot be seen.",
    lambda *a: radial_with(*a, across=1),
)
radial.mistake(
    "The power is D − 1, not D: one of the D directions is the ray itself, and it has its own factor.",
    lambda *a: radial_with(*a, across=a[0].shape[-1]),
)
radial.mistake(
    "The sign of h' is wrong: h = 1/(α + r) falls with r, so h' = −1/(α + r)².", lambda *a: radial_with(*a, sign=-1)
)
radial.mistake(
    "You stretched all D directions by 1 + βh. Along the ray h changes too: that factor is 1 + βh + βh'r.",
    lambda *a: radial_with(*a, across=a[0].shape[-1], along=0),
)
radial.mistake(
    "Only the ray is here: the D − 1 directions around the centre are missing.", lambda *a: radial_with(*a, across=0)
)
radial.mistake(
    "r is the distance from the centre z₀, not from the origin.",
    lambda z, z0, alpha, beta: radial_with(z, 0.0 * z0, alpha, beta),
)
radial.mistake(
    "nan where a factor is below zero: take the absolute value of each bracket before its logarithm.",
    lambda *a: radial_without_bars(*a),
)
radial.mistake(SUMMED_LOG_DET, lambda *a: radial_with(*a).sum())
radial.mistake(INVERSE_LOG_DET, lambda *a: -radial_with(*a))


# --- 3.4: back through a planar flow


def pushed(z: Tensor, u: Tensor, w: Tensor, b: Tensor) -> Tensor:
    return z + u * torch.tanh(z @ w + b).unsqueeze(-1)


def push_back(x: Tensor, u: Tensor, a: Tensor) -> Tensor:
    """x − u tanh(a): x (n, D), a (n,) -> (n, D)."""
    return x - u * torch.tanh(a).unsqueeze(-1)


def bisected(x, u, w, b, size: Tensor | None = None, steps: int = 60, shift: float = 1.0) -> Tensor:
    """z from a = w·z, the root of a + w·u tanh(a + b) = w·x in [w·x − size, w·x + size]; size is |w·u| by default."""
    target, size = x @ w, (w @ u).abs() if size is None else size
    low, high = target - size, target + size
    for _ in range(steps):
        a = 0.5 * (low + high)
        below = a + (w @ u) * torch.tanh(a + b) < target
        low, high = torch.where(below, a, low), torch.where(below, high, a)
    return push_back(x, u, 0.5 * (low + high) + shift * b)


def planar_inverse(x, u, w, b):
    """x (n, D), u (D,), w (D,), b () -> z (n, D) with z + u tanh(w·z + b) = x."""
    return bisected(x, u, w, b)


inverse = Exercise(
    "03_planar_inverse",
    planar_inverse,
    without=barred("Planar", "prove", "Flow", rule="is flowlib's: write the formula itself."),
    inputs=[
        (pushed(Z, U, W, B), U, W, B),
        (pushed(Z, 2.0 * U, W, B), 2.0 * U, W, B),
        (pushed(Z, -0.6 * U, W, B), -0.6 * U, W, B),
        (pushed(Z5, -0.2 * Z5[1], Z5[0], B), -0.2 * Z5[1], Z5[0], B),
    ],
)
inverse.mistake(
    "You evaluated tanh at w·x + b. The push was decided by z, so tanh is needed at w·z + b, which has to be found "
    "first.",
    lambda x, u, w, b: push_back(x, u, x @ w + b),
)
inverse.mistake(
    "You added the push once more: forward adds u tanh(w·z + b), the inverse takes it away.",
    lambda *a: 2.0 * a[0] - planar_inverse(*a),
)
inverse.mistake(
    "The root a = w·z is right, but the push is u tanh(a + b): b is missing.", lambda *a: bisected(*a, shift=0.0)
)
inverse.mistake(
    "Your bracket is too narrow: tanh lies between −1 and 1, so a lies within |w·u| of w·x, not within 1.",
    lambda *a: bisected(*a, size=1.0),
)
inverse.mistake(
    "Ten halvings leave the bracket a thousandth as wide: take about fifty.", lambda *a: bisected(*a, steps=10)
)


@inverse.mistake("You kept the wrong half: where g(a) is below w·x the root lies to the right, so raise the lower end.")
def inverse_wrong_half(x, u, w, b):
    target, size = x @ w, (w @ u).abs()
    wrong_end = target + size * ((w @ u) * torch.tanh(target + b)).sign()
    return push_back(x, u, wrong_end + b)


# --- 3.5: the density of a sample


def log_prob_of_sample(z, u, w, b):
    """z (n, D), u (D,), w (D,), b () -> log p_X(x) at x = z + u tanh(w·z + b), (n,)."""
    return normal_log_prob(z) - planar_log_det(z, u, w, b)


sample = Exercise(
    "03_log_prob_of_sample",
    log_prob_of_sample,
    without=barred("Planar", "prove", "Flow", rule="is flowlib's: write the formula itself."),
    inputs=[(Z, U, W, B), (Z, -0.6 * U, W, B), (Z5, -0.2 * Z5[1], Z5[0], B)],
)
sample.mistake(USED_U_HAT, lambda z, u, w, b: normal_log_prob(z) - Planar(len(u), u, w, b)(z)[1].detach())
sample.mistake(
    "You added the log-determinant of the forward direction. Where the map expands, the density gets thinner: "
    "subtract it.",
    lambda z, u, w, b: normal_log_prob(z) + planar_log_det(z, u, w, b),
)
sample.mistake(
    "You evaluated the base density at x. The sample came from z: p_Z belongs to z.",
    lambda z, u, w, b: normal_log_prob(pushed(z, u, w, b)) - planar_log_det(z, u, w, b),
)
sample.mistake(
    "You took the log-determinant at x. It belongs to the point that went in, z.",
    lambda z, u, w, b: normal_log_prob(z) - planar_log_det(pushed(z, u, w, b), u, w, b),
)
sample.mistake("This is log p_Z(z): the log-determinant is missing.", lambda z, u, w, b: normal_log_prob(z))
sample.mistake(
    "The constant −½ D log 2π is missing: without it the mass is not 1.",
    lambda z, u, w, b: -0.5 * z.square().sum(-1) - planar_log_det(z, u, w, b),
)
sample.mistake(
    "You summed over the batch: each sample has its own log-density.", lambda *a: log_prob_of_sample(*a).sum()
)


EXERCISES = [planar, push, radial, inverse, sample]
