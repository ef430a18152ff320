"""The exercises of notebook 02: determinants, linear flows, correlation."""

import math

import torch
from torch import Tensor

from flowlib.course.exercises.exercise import Exercise
from flowlib.course.exercises.picture import Picture
from flowlib.course.exercises.shared import barred, drawn, log_det_of, normal_log_prob

# --- 2.1: the log of an area, for a batch

# determinants −2, 3.5, −0.98
J = torch.tensor([[[1.0, 2.0], [3.0, 4.0]], [[2.0, 0.5], [-1.0, 1.5]], [[0.3, 1.0], [0.8, -0.6]]])


def signed_area(j: Tensor) -> Tensor:
    """ad − bc: (n, 2, 2) -> (n,)."""
    return j[:, 0, 0] * j[:, 1, 1] - j[:, 0, 1] * j[:, 1, 0]


def log_abs_det(J):
    """J (n, 2, 2) -> log |det J| (n,)."""
    return signed_area(J).abs().log()


area = Exercise(
    "02_log_abs_det",
    log_abs_det,
    without=barred("linalg", "slogdet", "logdet", "det", rule="was not to be used: take ad − bc."),
    inputs=[(J,), (drawn(5, 2, 2),)],
)
area.mistake(
    "You took the log of the signed area: where the map flips the plane, det J is negative and its log is nan. A "
    "density needs the size of the area, so the absolute value comes before the log.",
    lambda J: signed_area(J).log(),
)
area.mistake(
    "You added the two products. The parallelogram's area is their difference: with a plus, the two equal columns (1, "
    "1), (1, 1) would span an area of 2, and they span none.",
    lambda J: (J[:, 0, 0] * J[:, 1, 1] + J[:, 0, 1] * J[:, 1, 0]).abs().log(),
)
area.mistake("That is |det J|; the question asks for its log.", lambda J: signed_area(J).abs())
area.mistake(
    "You summed over the batch. Every point has its own log |det J|: n matrices give n numbers.",
    lambda J: log_abs_det(J).sum(),
)
area.mistake(
    "You used the diagonal alone. That is right for a triangular matrix; here the other two entries count.",
    lambda J: (J[:, 0, 0] * J[:, 1, 1]).abs().log(),
)


# --- 2.2: the density of a linear flow

X = torch.tensor([[0.5, 1.0], [-1.0, 2.0], [2.0, -0.5]])  # (3, 2)
A, B = torch.tensor([[1.5, 0.4], [-0.7, 0.6]]), torch.tensor([0.5, -1.0])
FLIPPED = A * torch.tensor([1.0, -1.0])  # its determinant is negative
WIDE = torch.linspace(-6.0, 6.0, 161)
X3 = torch.tensor([[1.0, 0.0, -1.0], [0.2, -0.4, 0.9]])  # (2, 3)
A3, B3 = torch.tensor([[2.0, 0.3, 0.0], [0.5, -1.0, 0.7], [0.1, 0.2, 0.5]]), torch.tensor([0.1, 0.2, -0.3])


def pulled_back(x: Tensor, a: Tensor, b: Tensor) -> Tensor:
    """A⁻¹ (x − b) for every row: (n, D)."""
    return torch.linalg.solve(a, (x - b).mT).mT


def linear_log_prob(x, A, b):
    """x (n, D), A (D, D), b (D,) -> log p(x) (n,)."""
    return normal_log_prob(pulled_back(x, A, b)) - log_det_of(A)


linear = Exercise(
    "02_linear_log_prob",
    linear_log_prob,
    inputs=[(X, A, B), (X3, A3, B3), (drawn(6, 4), drawn(4, 4, seed=1), drawn(4, seed=2))],
    picture=Picture(
        WIDE,
        (torch.stack([WIDE, torch.zeros(161)], 1), FLIPPED, B),
        "x₁, along x₂ = 0, for A = [[1.5, −0.4], [−0.7, −0.6]] and b = [0.5, −1]",
    ),
)
linear.mistake(
    "The sign of log |det A| is wrong. Where A spreads the mass over a larger area (|det A| > 1) the density must go "
    "down.",
    lambda x, A, b: normal_log_prob(pulled_back(x, A, b)) + log_det_of(A),
)
linear.mistake(
    "The log-determinant is missing: this is the density of z, not of x. Its mass over x would be |det A|, not 1.",
    lambda x, A, b: normal_log_prob(pulled_back(x, A, b)),
)
linear.mistake(
    "log det A is nan where A flips the plane: take the absolute value before the logarithm.",
    lambda x, A, b: normal_log_prob(pulled_back(x, A, b)) - torch.logdet(A),
)
linear.mistake(
    "You forgot to subtract the bias: b must be taken away from x before A is undone.",
    lambda x, A, b: linear_log_prob(x + b, A, b),
)
linear.mistake(
    "You added the bias where it must be subtracted: the inverse takes b away first.",
    lambda x, A, b: linear_log_prob(x + 2 * b, A, b),
)
linear.mistake(
    "You summed over the batch. Every row of x has its own log-density: n rows give n numbers.",
    lambda x, A, b: linear_log_prob(x, A, b).sum(),
)
linear.mistake(
    "You pushed x forward through A once more. The base density is asked at z = f⁻¹(x): A must be undone.",
    lambda x, A, b: normal_log_prob(x @ A.mT + b) - log_det_of(A),
)
linear.mistake(
    "You undid the transpose of A. Points are rows here: check on which side, and in which of its two forms, the "
    "matrix has to stand. (The determinant did not notice: det Aᵀ = det A.)",
    lambda x, A, b: linear_log_prob(x, A.mT, b),
)
linear.mistake(
    "You subtracted ½ log 2π once. The base is a product of D one-dimensional normals: it comes D times.",
    lambda x, A, b: linear_log_prob(x, A, b) + 0.5 * (x.shape[-1] - 1) * math.log(2 * math.pi),
)
linear.mistake(
    "The constant of the normal density, D/2 · log 2π, is missing: the mass is not 1 without it.",
    lambda x, A, b: linear_log_prob(x, A, b) + 0.5 * x.shape[-1] * math.log(2 * math.pi),
)


# --- 2.3: the correlation that a matrix makes


def from_covariance(c: Tensor) -> Tensor:
    """c₁₂ / √(c₁₁ c₂₂), ()."""
    return c[0, 1] / (c[0, 0] * c[1, 1]).sqrt()


def correlation(A):
    """A (2, 2) -> correlation of x₁ and x₂, one number."""
    return from_covariance(A @ A.mT)


correlated = Exercise(
    "02_correlation",
    correlation,
    inputs=[(torch.tensor([[1.5, 0.4], [-0.7, 0.6]]),), (torch.tensor([[1.0, 0.0], [2.0, 0.5]]),), (drawn(2, 2),)],
)
correlated.mistake(
    "You used AᵀA where the covariance is AAᵀ. The transpose makes no difference to det A, but it does here: AAᵀ "
    "compares the rows of A (one for each coordinate of x), AᵀA its columns.",
    lambda A: from_covariance(A.mT @ A),
)
correlated.mistake(
    "That is the covariance. A correlation is the covariance divided by both standard deviations.",
    lambda A: (A @ A.mT)[0, 1],
)


@correlated.mistake("You divided by the two variances. Divide by the standard deviations: their square roots.")
def correlation_by_variances(A):
    c = A @ A.mT
    return c[0, 1] / (c[0, 0] * c[1, 1])


@correlated.mistake("You multiplied A by itself. The covariance of A z is E[(A z)(A z)ᵀ], which brings a transpose.")
def correlation_squared_matrix(A):
    c = A @ A
    return c[0, 1] / (c[0, 0] * c[1, 1]).abs().sqrt()


# --- 2.4: the determinant without work

L3 = torch.tensor([[1.0, 0.0, 0.0], [0.5, 1.0, 0.0], [-0.3, 0.2, 1.0]])
U3 = torch.tensor([[2.0, 0.4, -1.0], [0.0, -0.5, 0.7], [0.0, 0.0, 3.0]])
L2, U2 = torch.tensor([[1.0, 0.0], [2.0, 1.0]]), torch.tensor([[-0.2, 1.0], [0.0, 4.0]])


def lu_log_det(L, U):
    """L (D, D), U (D, D) -> log |det(L U)|, one number."""
    return U.diagonal().abs().log().sum()


lu = Exercise(
    "02_lu_log_det",
    lu_log_det,
    without=barred(
        "linalg", "slogdet", "logdet", "det", rule="was not to be used: the diagonal of U is all that is needed."
    ),
    inputs=[(L3, U3), (L2, U2), (drawn(5, 5).tril(-1) + torch.eye(5), drawn(5, 5, seed=1).triu())],
)
lu.mistake(
    "You multiplied the logs. The determinant is a product, so its log is a sum.",
    lambda L, U: U.diagonal().abs().log().prod(),
)
lu.mistake(
    "You took the log of negative numbers: the result is nan. The sign of an entry is the flip; only its absolute "
    "value is a stretch.",
    lambda L, U: U.diagonal().log().sum(),
)
lu.mistake("That is the trace: the diagonal added up without logs.", lambda L, U: U.diagonal().sum())
lu.mistake(
    "That is det(L U) itself; the question asks for the log of its absolute value.", lambda L, U: U.diagonal().prod()
)
lu.mistake("That is |det(L U)|; the question asks for its log.", lambda L, U: U.diagonal().abs().prod())
lu.mistake(
    "These are the D separate logs; their sum is the log-determinant, one number.",
    lambda L, U: U.diagonal().abs().log(),
)


EXERCISES = [area, linear, correlated, lu]
