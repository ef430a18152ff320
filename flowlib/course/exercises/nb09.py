"""The exercises of notebook 09: residual flows."""

from collections.abc import Callable

import torch
from torch import Tensor
from torch.nn.functional import conv2d, conv_transpose2d

from flowlib.course.exercises.exercise import Exercise
from flowlib.course.exercises.shared import drawn


def contraction(matrix: Tensor) -> Callable[[Tensor], Tensor]:
    """g(z) = A sin(z) for points (n, D): as long as A is short, it brings points closer together."""

    def g(z: Tensor) -> Tensor:
        return torch.sin(z) @ matrix.T

    g.__name__ = "g"
    return g


TURN, MIX = torch.tensor([[0.3, -0.6], [0.6, 0.2]]), torch.tensor([[0.4, 0.2, 0.0], [-0.3, 0.1, 0.5], [0.2, -0.4, 0.3]])


# --- 9.1: the fixed point (Behrmann and others 2019, arXiv:1811.00995, algorithm 1)


def steps_of(step: Callable[[Tensor, Tensor, Callable], Tensor]) -> Callable:
    """steps times z <- step(x, z, g), from z = x."""

    def solve(x: Tensor, g: Callable[[Tensor], Tensor], steps: int) -> Tensor:
        z = x
        for _ in range(steps):
            z = step(x, z, g)
        return z

    return solve


def residual_inverse(x, g, steps):
    """x (n, D), g maps (n, D) to (n, D) -> z (n, D) after `steps` steps from z = x."""
    return steps_of(lambda x, z, g: x - g(z))(x, g, steps)


POINTS = [(drawn(3, 2), contraction(TURN), 6), (drawn(2, 3, seed=1), contraction(MIX), 3)]
POINTS.append((drawn(4, 2, seed=2), contraction(-TURN), 11))
inverse = Exercise("09_residual_inverse", residual_inverse, inputs=POINTS, tolerance=1e-5)
inverse.mistake(
    "You forgot x on the way: z ← z − g(z) walks to a place where g is zero. The step is z ← x − g(z), with the same x "
    "each time.",
    steps_of(lambda x, z, g: z - g(z)),
)
inverse.mistake(
    "The sign: x = z + g(z), so z = x − g(z). Yours converges as well, to the solution of z − g(z) = x.",
    steps_of(lambda x, z, g: x + g(z)),
)
inverse.mistake(
    "That is one step. g is taken at z, which is not x: put the new z in and go on.", lambda x, g, steps: x - g(x)
)
inverse.mistake(
    "g is taken at x every time, so nothing changes after the first step: take it at the newest z.",
    steps_of(lambda x, z, g: z - g(x)),
)
inverse.mistake("This is forward, x = z + g(z).", lambda x, g, steps: x + g(x))
inverse.mistake(
    "One step too few: from z = x all of the steps go through g.",
    lambda x, g, steps: residual_inverse(x, g, steps - 1),
)


# --- 9.2: the power series (Behrmann and others 2019, equation 4)


def terms_of(J: Tensor, terms: int, term: Callable[[Tensor, Tensor, int], Tensor]) -> Tensor:
    """Σ_k term(J, J^k, k)."""
    return sum(term(J, torch.linalg.matrix_power(J, k), k) for k in range(1, terms + 1))


def log_det_series(J, terms):
    """J (D, D), terms a whole number -> the first terms of log det (I + J), ()."""
    return terms_of(J, terms, lambda J, power, k: (-1) ** (k + 1) * power.trace() / k)


series = Exercise(
    "09_log_det_series",
    log_det_series,
    inputs=[(0.7 * TURN, 4), (MIX, 3), (0.3 * drawn(4, 4), 6)],
)
series.mistake(
    "You took the power of the trace, as lecture 17 prints it. It is the trace of the power: tr(J^k), the sum of the "
    "k-th powers of the eigenvalues.",
    lambda J, terms: terms_of(J, terms, lambda J, power, k: (-1) ** (k + 1) * J.trace() ** k / k),
)
series.mistake(
    "The signs alternate the other way: the first term is + tr J. Yours is the log-determinant times −1.",
    lambda J, terms: -log_det_series(J, terms),
)
series.mistake(
    "All of your signs are plus: that is −log det (I − J). They alternate.",
    lambda J, terms: terms_of(J, terms, lambda J, power, k: power.trace() / k),
)
series.mistake(
    "The factor 1/k is missing: what you sum is tr(J − J² + J³ − ...) = tr(J (I + J)⁻¹).",
    lambda J, terms: terms_of(J, terms, lambda J, power, k: (-1) ** (k + 1) * power.trace()),
)
series.mistake(
    "`J**k` raises each number to the power k. A power of a matrix is a product of matrices: "
    "torch.linalg.matrix_power(J, k), or one more J @ in each turn.",
    lambda J, terms: terms_of(J, terms, lambda J, power, k: (-1) ** (k + 1) * (J**k).trace() / k),
)
series.mistake("One term is missing: k runs from 1 to `terms`.", lambda J, terms: log_det_series(J, terms - 1))
series.mistake(
    "1/k, not 1/k!: this is the series of the logarithm, not of the exponential.",
    lambda J, terms: terms_of(
        J, terms, lambda J, power, k: (-1) ** (k + 1) * power.trace() / torch.arange(1.0, k + 1).prod()
    ),
)


# --- 9.3: traces from probes (Hutchinson 1990)


def products(J: Tensor, v: Tensor) -> Tensor:
    """v·J v for J (n, D, D) and v (m, n, D): (m, n)."""
    return torch.einsum("mni,nij,mnj->mn", v, J, v)


def signs(*shape: int, seed: int = 0) -> Tensor:
    return torch.randint(0, 2, shape, generator=torch.Generator().manual_seed(seed)) * 2.0 - 1.0


def hutchinson(J, v):
    """J (n, D, D), probes v (m, n, D) -> an estimate of each trace, (n,)."""
    return products(J, v).mean(0)


trace = Exercise(
    "09_hutchinson",
    hutchinson,
    inputs=[
        (drawn(3, 2, 2), signs(5, 3, 2)),
        (drawn(2, 4, 4, seed=1), signs(3, 2, 4, seed=1)),
        (drawn(4, 3, 3, seed=2), drawn(2, 4, 3, seed=3)),
    ],
)
trace.mistake(
    "You took the mean over the batch as well. The probes are averaged, (m, n) → (n,); each point keeps its own trace.",
    lambda J, v: products(J, v).mean(),
)
trace.mistake(
    "You took the mean over the points instead of over the probes: the answer has one number for each point, (n,).",
    lambda J, v: products(J, v).mean(1),
)
trace.mistake(
    "One probe served all points: v[:, 0] everywhere. Each point has its own, v[:, i]; otherwise the errors of all "
    "points are the same accident and do not average out over the batch.",
    lambda J, v: hutchinson(J, v[:, :1].expand_as(v)),
)
trace.mistake("You used only the first of the probes.", lambda J, v: products(J, v)[0])
trace.mistake(
    "This is the sum over the probes. The mean of m estimates is asked for.", lambda J, v: products(J, v).sum(0)
)
trace.mistake(
    "v·J v is a sum over the D coordinates, not a mean: the trace grows with D.",
    lambda J, v: hutchinson(J, v) / v.shape[-1],
)
trace.mistake(
    "The second v is missing: the sum of J v is not v·J v. Its mean over random signs is 0.",
    lambda J, v: torch.einsum("nij,mnj->mn", J, v).mean(0),
)
trace.mistake(
    "These are the exact traces. A network's Jacobian costs D products; an estimate makes do with m of them.",
    lambda J, v: J.diagonal(dim1=1, dim2=2).sum(-1),
)


# --- 9.4: the spectral norm of a convolution (Gouk and others 2021, arXiv:1804.04368)


def power_iteration(kernel: Tensor, v: Tensor, steps: int, back: Callable, shrink: bool = True) -> Tensor:
    """v (1, inputs, H, W) after `steps` times v <- back(A v), with length 1."""
    v = v / v.norm()
    for _ in range(steps):
        v = back(conv2d(v, kernel, padding=1))
        v = v / v.norm() if shrink else v
    return v


def adjoint(kernel: Tensor) -> Callable[[Tensor], Tensor]:
    return lambda u: conv_transpose2d(u, kernel, padding=1)


def conv_norm(kernel, v, steps):
    """kernel (outputs, inputs, 3, 3), v (1, inputs, H, W) -> the stretch of the convolution after `steps`, ()."""
    return conv2d(power_iteration(kernel, v, steps, adjoint(kernel)), kernel, padding=1).norm()


conv = Exercise(
    "09_conv_norm",
    conv_norm,
    inputs=[
        (drawn(2, 2, 3, 3), drawn(1, 2, 4, 6, seed=1), 3),
        (drawn(3, 3, 3, 3, seed=2), drawn(1, 3, 5, 4, seed=3), 5),
        (drawn(1, 1, 3, 3, seed=4), drawn(1, 1, 7, 3, seed=5), 8),
    ],
)
conv.mistake(
    "You flattened the kernel to a matrix (outputs, inputs · 9), as torch's spectral_norm does. The map takes images "
    "to images, and its nine shifted copies of the kernel can add up.",
    lambda kernel, v, steps: torch.linalg.matrix_norm(kernel.flatten(1), ord=2),
)
conv.mistake(
    "You went forward twice. The way back is with the transpose, conv_transpose2d: power iteration turns v towards the "
    "largest eigenvector of AᵀA, and A alone need not be symmetric.",
    lambda kernel, v, steps: conv2d(
        power_iteration(kernel, v, steps, lambda u: conv2d(u, kernel, padding=1)), kernel, padding=1
    ).norm(),
)
conv.mistake(
    "v grew on the way and was never brought back to length 1: the stretch is the length of A v for a v of length 1.",
    lambda kernel, v, steps: conv2d(
        power_iteration(kernel, v, steps, adjoint(kernel), shrink=False), kernel, padding=1
    ).norm(),
)
conv.mistake(
    "This is σ²: the length of AᵀA v. The stretch of A itself is its square root, or the length of A v.",
    lambda kernel, v, steps: adjoint(kernel)(
        conv2d(power_iteration(kernel, v, steps, adjoint(kernel)), kernel, padding=1)
    ).norm(),
)
conv.mistake(
    "That is the stretch of the v you were given. Turn it `steps` times first.",
    lambda kernel, v, steps: conv_norm(kernel, v, 0),
)
conv.mistake(
    "This is the norm of all numbers of the kernel together. It is no bound: a convolution uses each of them at every "
    "pixel.",
    lambda kernel, v, steps: kernel.norm(),
)


# --- 9.5: how many terms (Behrmann and others 2019, theorem 3)


def least_terms(dim: int, L: float, error: float, bound: Callable[[int], float]) -> int:
    """The first k whose bound is below the error."""
    k = 1
    while bound(k) >= error:
        k += 1
    return k


def terms_needed(dim, L, error):
    """dim D, Lipschitz constant L < 1, error in nats -> the least number of terms k, a whole number."""
    return least_terms(dim, L, error, lambda k: dim * L ** (k + 1) / ((k + 1) * (1 - L)))


needed = Exercise(
    "09_terms_needed",
    terms_needed,
    inputs=[(2, 0.5, 0.01), (3, 0.9, 0.01), (64, 0.9, 0.05), (10, 0.7, 0.001), (1, 0.97, 0.2), (784, 0.5, 0.01)],
)
needed.mistake(
    "D is missing: each of the D eigenvalues leaves its own rest.", lambda dim, L, error: terms_needed(1, L, error)
)
needed.mistake(
    "The 1 / (1 − L) is missing: behind the first term that is left out come all the others.",
    lambda dim, L, error: least_terms(dim, L, error, lambda k: dim * L ** (k + 1) / (k + 1)),
)
needed.mistake(
    "The 1 / (k + 1) is missing. Your k is safe, but larger than the bound asks for.",
    lambda dim, L, error: least_terms(dim, L, error, lambda k: dim * L ** (k + 1) / (1 - L)),
)
needed.mistake(
    "One too many: after k terms the first one left out is the (k + 1)-th.",
    lambda dim, L, error: terms_needed(dim, L, error) + 1,
)
needed.mistake(
    "One too few: your last bound is still above the error.",
    lambda dim, L, error: terms_needed(dim, L, error) - 1,
)


EXERCISES = [inverse, series, trace, conv, needed]
