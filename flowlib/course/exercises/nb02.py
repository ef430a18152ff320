"""The exercises of notebook 02: determinants, linear flows, correlation."""

import math

import torch
from torch import Tensor

from flowlib.course.exercises.exercise import Exercise

# --- 2.1: log |det J| of a batch of 2 × 2 matrices

J = torch.tensor(
    [[[1.0, 2.0], [3.0, 4.0]], [[2.0, 0.5], [-1.0, 1.5]], [[0.3, 1.0], [0.8, -0.6]]]
)  # dets −2, 3.5, −0.98


def det(j: Tensor) -> Tensor:
    """ad − bc: (n, 2, 2) -> (n,)."""
    return j[:, 0, 0] * j[:, 1, 1] - j[:, 0, 1] * j[:, 1, 0]


def log_abs_det(J):
    return det(J).abs().log()


def log_signed_det(J):
    return det(J).log()


def log_permanent(J):
    return (J[:, 0, 0] * J[:, 1, 1] + J[:, 0, 1] * J[:, 1, 0]).abs().log()


def abs_det(J):
    return det(J).abs()


def log_abs_det_summed(J):
    return log_abs_det(J).sum()


def log_abs_diagonal(J):
    return (J[:, 0, 0] * J[:, 1, 1]).abs().log()


# --- 2.2: the log-density of a linear flow

X = torch.tensor([[0.5, 1.0], [-1.0, 2.0], [2.0, -0.5]])  # (3, 2)
A, B = torch.tensor([[1.5, 0.4], [-0.7, 0.6]]), torch.tensor([0.5, -1.0])
X3 = torch.tensor([[1.0, 0.0, -1.0], [0.2, -0.4, 0.9]])  # (2, 3)
A3, B3 = torch.tensor([[2.0, 0.3, 0.0], [0.5, -1.0, 0.7], [0.1, 0.2, 0.5]]), torch.tensor([0.1, 0.2, -0.3])


def normal_log_prob(z: Tensor) -> Tensor:
    """Standard normal: z (n, D) -> (n,)."""
    return -0.5 * z.square().sum(-1) - 0.5 * z.shape[-1] * math.log(2 * math.pi)


def pulled_back(x: Tensor, a: Tensor, b: Tensor) -> Tensor:
    """A⁻¹ (x − b) for every row: (n, D)."""
    return torch.linalg.solve(a, (x - b).mT).mT


def log_det_of(a: Tensor) -> Tensor:
    return torch.linalg.slogdet(a).logabsdet


def linear_log_prob(x, A, b):
    return normal_log_prob(pulled_back(x, A, b)) - log_det_of(A)


def linear_wrong_sign(x, A, b):
    return normal_log_prob(pulled_back(x, A, b)) + log_det_of(A)


def linear_without_det(x, A, b):
    return normal_log_prob(pulled_back(x, A, b))


def linear_without_bias(x, A, b):
    return linear_log_prob(x + b, A, b)


def linear_plus_bias(x, A, b):
    return linear_log_prob(x + 2 * b, A, b)


def linear_summed(x, A, b):
    return linear_log_prob(x, A, b).sum()


def linear_forward(x, A, b):
    return normal_log_prob(x @ A.mT + b) - log_det_of(A)


def linear_transposed(x, A, b):
    return linear_log_prob(x, A.mT, b)


def linear_one_constant(x, A, b):
    return linear_log_prob(x, A, b) + 0.5 * (x.shape[-1] - 1) * math.log(2 * math.pi)


def linear_no_constant(x, A, b):
    return linear_log_prob(x, A, b) + 0.5 * x.shape[-1] * math.log(2 * math.pi)


# --- 2.3: the correlation that a matrix makes


def from_covariance(c: Tensor) -> Tensor:
    """c₁₂ / √(c₁₁ c₂₂), ()."""
    return c[0, 1] / (c[0, 0] * c[1, 1]).sqrt()


def correlation(A):
    return from_covariance(A @ A.mT)


def correlation_of_columns(A):
    return from_covariance(A.mT @ A)


def covariance_alone(A):
    return (A @ A.mT)[0, 1]


def correlation_by_variances(A):
    c = A @ A.mT
    return c[0, 1] / (c[0, 0] * c[1, 1])


def correlation_squared_matrix(A):
    c = A @ A
    return c[0, 1] / (c[0, 0] * c[1, 1]).abs().sqrt()


# --- 2.4: the log-determinant from L and U

L3 = torch.tensor([[1.0, 0.0, 0.0], [0.5, 1.0, 0.0], [-0.3, 0.2, 1.0]])
U3 = torch.tensor([[2.0, 0.4, -1.0], [0.0, -0.5, 0.7], [0.0, 0.0, 3.0]])
L2, U2 = torch.tensor([[1.0, 0.0], [2.0, 1.0]]), torch.tensor([[-0.2, 1.0], [0.0, 4.0]])


def lu_log_det(L, U):
    return U.diagonal().abs().log().sum()


def lu_product_of_logs(L, U):
    return U.diagonal().abs().log().prod()


def lu_signed(L, U):
    return U.diagonal().log().sum()


def lu_trace(L, U):
    return U.diagonal().sum()


def lu_det(L, U):
    return U.diagonal().prod()


def lu_abs_det(L, U):
    return U.diagonal().abs().prod()


def lu_unsummed(L, U):
    return U.diagonal().abs().log()


EXERCISES: list[Exercise] = [
    Exercise(
        name="02_log_abs_det",
        answer=log_abs_det,
        inputs=[(J,)],
        mistakes=[
            (
                "You took the log of the signed area: where the map flips the plane, det J is negative and its log is "
                "nan. A density needs the size of the area, so the absolute value comes before the log.",
                log_signed_det,
            ),
            (
                "You added the two products. The parallelogram's area is their difference: with a plus, the two equal "
                "columns (1, 1), (1, 1) would span an area of 2, and they span none.",
                log_permanent,
            ),
            ("That is |det J|; the question asks for its log.", abs_det),
            (
                "You summed over the batch. Every point has its own log |det J|: n matrices give n numbers.",
                log_abs_det_summed,
            ),
            (
                "You used the diagonal alone. That is right for a triangular matrix; here the other two entries count.",
                log_abs_diagonal,
            ),
        ],
    ),
    Exercise(
        name="02_linear_log_prob",
        answer=linear_log_prob,
        inputs=[(X, A, B), (X3, A3, B3)],
        mistakes=[
            (
                "The sign of log |det A| is wrong. Where A spreads the mass over a larger area (|det A| > 1) the "
                "density must go down.",
                linear_wrong_sign,
            ),
            (
                "The log-determinant is missing: this is the density of z, not of x. Its mass over x would be |det A|, "
                "not 1.",
                linear_without_det,
            ),
            (
                "You forgot to subtract the bias: b must be taken away from x before A is undone.",
                linear_without_bias,
            ),
            ("You added the bias where it must be subtracted: the inverse takes b away first.", linear_plus_bias),
            (
                "You summed over the batch. Every row of x has its own log-density: n rows give n numbers.",
                linear_summed,
            ),
            (
                "You pushed x forward through A once more. The base density is asked at z = f⁻¹(x): A must be undone.",
                linear_forward,
            ),
            (
                "You undid the transpose of A. Points are rows here: check on which side, and in which of its two "
                "forms, the matrix has to stand. (The determinant did not notice: det Aᵀ = det A.)",
                linear_transposed,
            ),
            (
                "You subtracted ½ log 2π once. The base is a product of D one-dimensional normals: it comes D times.",
                linear_one_constant,
            ),
            (
                "The constant of the normal density, D/2 · log 2π, is missing: the mass is not 1 without it.",
                linear_no_constant,
            ),
        ],
    ),
    Exercise(
        name="02_correlation",
        answer=correlation,
        inputs=[(torch.tensor([[1.5, 0.4], [-0.7, 0.6]]),), (torch.tensor([[1.0, 0.0], [2.0, 0.5]]),)],
        mistakes=[
            (
                "You used AᵀA where the covariance is AAᵀ. The transpose makes no difference to det A, but it does "
                "here: AAᵀ compares the rows of A (one for each coordinate of x), AᵀA its columns.",
                correlation_of_columns,
            ),
            (
                "That is the covariance. A correlation is the covariance divided by both standard deviations.",
                covariance_alone,
            ),
            (
                "You divided by the two variances. Divide by the standard deviations: their square roots.",
                correlation_by_variances,
            ),
            (
                "You multiplied A by itself. The covariance of A z is E[(A z)(A z)ᵀ], which brings a transpose.",
                correlation_squared_matrix,
            ),
        ],
    ),
    Exercise(
        name="02_lu_log_det",
        answer=lu_log_det,
        inputs=[(L3, U3), (L2, U2)],
        mistakes=[
            (
                "You multiplied the logs. The determinant is a product, so its log is a sum.",
                lu_product_of_logs,
            ),
            (
                "You took the log of negative numbers: the result is nan. The sign of an entry is the flip; "
                "only its absolute value is a stretch.",
                lu_signed,
            ),
            ("That is the trace: the diagonal added up without logs.", lu_trace),
            ("That is det(L U) itself; the question asks for the log of its absolute value.", lu_det),
            ("That is |det(L U)|; the question asks for its log.", lu_abs_det),
            ("These are the D separate logs; their sum is the log-determinant, one number.", lu_unsummed),
        ],
    ),
]
