"""The rows of notebook 02: Jacobians, linear flows, what a flow needs."""

import math

import torch
from torch import Tensor
from torch.distributions import MultivariateNormal

from flowlib.bases import StandardNormal
from flowlib.core import Compose, Flow
from flowlib.course.formulas.proving import draw, gap, worst
from flowlib.course.formulas.row import Rows
from flowlib.proof import autograd_log_det
from flowlib.transforms.linear import Linear
from flowlib.transforms.planar import Planar
from flowlib.transforms.radial import Radial

ROWS = Rows("02_the_plane")
A = torch.tensor([[1.2, 0.5, 0.0], [-0.3, 0.8, 0.4], [0.2, -0.6, 1.5]], dtype=torch.float64)
B = torch.tensor([0.5, -1.0, 2.0], dtype=torch.float64)


def linear() -> Flow:
    return Flow(Linear(3, matrix=A, bias=B), StandardNormal(3))


def turn(degrees: float) -> Tensor:
    """The rotation of the plane by this angle."""
    c, s = math.cos(math.radians(degrees)), math.sin(math.radians(degrees))
    return torch.tensor([[c, -s], [s, c]])


@ROWS.formula(
    "the determinant is an area",
    r"\det\begin{pmatrix} a & b \\ c & d \end{pmatrix} = ad - bc",
    section="2. The determinant is a signed area",
    exercise="02_log_abs_det",
)
def area() -> float:
    """ad − bc, and the area of the parallelogram by its corners"""
    a, b, c, d = 1.2, 0.5, -0.3, 0.8
    corners = [(0.0, 0.0), (a, c), (a + b, c + d), (b, d)]
    pairs = zip(corners, corners[1:] + corners[:1], strict=True)
    return gap(0.5 * sum(x * v - u * y for (x, y), (u, v) in pairs), a * d - b * c)


@ROWS.formula(
    "linear flow",
    r"x = Az + b,\quad \log p_X(x) = \log p_Z(A^{-1}(x - b)) - \log\lvert\det A\rvert",
    section="4. Linear flows and their density",
    at="lecture 17.8",
    code="transforms.Linear",
    exercise="02_linear_log_prob",
)
def linear_flow() -> float:
    """the flow, and the textbook's normal density N(b, AAᵀ)"""
    x = draw(20, 3)
    return gap(linear().log_prob(x), MultivariateNormal(B, A @ A.T).log_prob(x))


@ROWS.formula(
    "correlation",
    r"\Sigma = A A^{\mathsf T}",
    section="5. Correlation comes from a matrix",
    at="lecture 17.8",
    code="transforms.Linear",
    exercise="02_correlation",
)
def correlation() -> float:
    """E[xxᵀ] over the 2D points ±√D e_i of covariance I, carried by A, and AAᵀ"""
    corners = math.sqrt(3.0) * torch.cat([torch.eye(3), -torch.eye(3)])
    x = corners @ A.T
    return gap(x.T @ x / 6.0, A @ A.T)


@ROWS.claim(
    "A must not be 0, nor its inverse",
    "no",
    "the matrix of rows (1, 2) and (2, 4) is not 0, and its determinant is",
    section="3. When the plane is crushed",
    at="lecture 17.8b",
    code="transforms.Linear",
)
def not_zero() -> float:
    """the determinant of that matrix, and 0"""
    return gap(torch.linalg.det(torch.tensor([[1.0, 2.0], [2.0, 4.0]])), 0.0)


@ROWS.claim(
    "a linear flow of three factors cannot express correlation",
    "no",
    "a diagonal A cannot; turned by 45° the same stretches 2 and 0.5 give a correlation of 0.8824",
    section="6. Rotate, stretch, rotate",
    at="lecture 17.9b",
    code="transforms.Linear",
    exercise="02_correlation",
    bound=1e-3,
)
def can_correlate() -> float:
    """the correlation of stretches 2 and 0.5 after 45°, and 0.8824"""
    a = turn(45.0) @ torch.diag(torch.tensor([2.0, 0.5]))
    s = a @ a.T
    return gap(s[0, 1] / (s[0, 0] * s[1, 1]).sqrt(), 0.8824)


@ROWS.formula(
    "a determinant from factors",
    r"A = U\,\mathrm{diag}(s)\,V^{\mathsf T}:\quad \log\lvert\det A\rvert = \sum_i \log\lvert s_i\rvert",
    section="6. Rotate, stretch, rotate",
    at="lecture 17.9",
    code="transforms.Linear",
    exercise="02_lu_log_det",
)
def from_factors() -> float:
    """the three parametrizations, against autograd"""
    return max(worst(Linear(4, kind)) for kind in ("lu", "svd", "qr"))


@ROWS.claim(
    "the inverse of UλV⁻¹ is Uλ⁻¹V⁻¹",
    "no",
    "V λ⁻¹ U⁻¹; the determinant printed holds where |det U| = |det V|",
    section="Sources",
    at="lecture 17.9",
    code="transforms.Linear",
    exercise="02_lu_log_det",
)
def of_three_factors() -> float:
    """(Vλ⁻¹U⁻¹)(UλV⁻¹), and the identity"""
    u, v, stretch = turn(30.0), turn(80.0), torch.diag(torch.tensor([2.0, 0.5]))
    return gap(v @ stretch.inverse() @ u.T @ (u @ stretch @ v.T), torch.eye(2))


@ROWS.formula(
    "a triangle's determinant",
    r"\det L = \prod_i L_{ii}; \quad Ly = x \text{ line by line}",
    section="7. Three ways to make the determinant cheap",
    at="lecture 17.6d, lecture 17.8c",
    code="transforms.Linear",
    exercise="02_lu_log_det",
)
def triangle() -> float:
    """det of a triangle and of a diagonal, and the products"""
    lower = draw(5, 5).tril()
    diagonal = lower.diagonal().diag()
    return max(gap(torch.linalg.det(m), lower.diagonal().prod()) for m in (lower, diagonal))


@ROWS.claim(
    "a general determinant is dear, so f must be designed to avoid it",
    "yes",
    "twice the dimension, eight times the work: 2 · 10¹⁰ operations for one layer at D = 3072",
    section="8. What a determinant costs",
    at="chef 10, lecture 17.6d, review 11, tutorial 15",
    code="transforms.Linear",
    exercise="02_lu_log_det",
    bound=1e-3,
)
def dear() -> float:
    """multiplications of an elimination at D = 1024 over those at 512, and 8"""
    small, large = (sum(k * (k + 1) for k in range(1, d)) for d in (512, 1024))
    return gap(large / small, 8.0)


@ROWS.formula(
    "a small square under a curved map",
    r"\frac{dA_x}{dA_z} \to \lvert\det J(z)\rvert",
    section="10. Under the microscope every smooth map is linear",
    at="tutorial 14, review 12",
    code="viz.warped_grid",
    exercise="02_log_abs_det",
    bound=1e-5,
)
def small_square() -> float:
    """the area of a small square's image over that of the square, and |det J|"""
    f, h, middle = Planar(2), 1e-4, draw(2)
    corners = middle + h * torch.tensor([[-0.5, -0.5], [0.5, -0.5], [0.5, 0.5], [-0.5, 0.5]])
    (x, y), (u, v) = f(corners)[0].T, f(corners.roll(-1, 0))[0].T
    return gap(0.5 * (x * v - u * y).sum().abs() / h**2, f(middle)[1].exp())


@ROWS.formula(
    "change of variables",
    r"p_X(x) = p_Z(f^{-1}(x))\,\left\lvert\det\frac{\partial f^{-1}}{\partial x}\right\rvert",
    section="11. The change of variables",
    at="tutorial 11, chef 8, chef 9, review 5, wiki 6, lecture 17.5, lecture 17.6",
    code="Flow.log_prob",
    exercise="02_log_abs_det",
)
def change_of_variables() -> float:
    """`log_prob` of a flow, and its two terms with the Jacobian of the inverse by autograd"""
    f, x = Compose([Linear(3), Planar(3), Radial(3)]), draw(10, 3)
    by_autograd = StandardNormal(3).log_prob(f.inverse(x)[0]) + autograd_log_det(f.inverse, x)
    return gap(Flow(f, StandardNormal(3)).log_prob(x), by_autograd)


@ROWS.claim(
    "the first term shapes the density, the second is the change of volume around z",
    "no, and yes",
    "the first term looks up the base at z; without the second the mass is not 1",
    section="11. The change of variables",
    at="tutorial 13, tutorial 14",
    code="Flow.log_prob",
    exercise="02_log_abs_det",
)
def two_terms() -> float:
    """p_Z(z) without its second term on a linear flow integrates to |det A|: the ratio, at every point"""
    flow, x = linear(), draw(10, 3)
    first = flow.base.log_prob(flow.transform.inverse(x)[0])
    return gap(first - flow.log_prob(x), torch.linalg.slogdet(A).logabsdet.expand(10))


@ROWS.formula(
    "layers: log-determinants add",
    r"f = f_K \circ \dots \circ f_1:"
    r"\quad \log\lvert\det J_f(z)\rvert = \sum_{k=1}^{K} \log\lvert\det J_k(z_{k-1})\rvert",
    section="12. Layers: determinants multiply, log-determinants add",
    at="tutorial 10, tutorial 12, review 6, review 7, lecture 17.6e",
    code="Compose",
    exercise="00_two_log_det",
)
def layers_add() -> float:
    """the sum over three layers, and all at once by autograd"""
    return worst(Compose([Linear(3), Planar(3), Radial(3)]))


@ROWS.formula(
    "the way back through layers",
    r"f^{-1} = f_1^{-1} \circ \dots \circ f_K^{-1}",
    section="12. Layers: determinants multiply, log-determinants add",
    at="review 9",
    code="Compose",
    exercise="00_two_log_det",
)
def way_back() -> float:
    """`inverse` of a stack, and its layers undone last to first"""
    first, second = Planar(3), Radial(3)
    x = draw(10, 3)
    return gap(Compose([first, second]).inverse(x)[0], first.inverse(second.inverse(x)[0])[0])


@ROWS.claim(
    "a flow needs: differentiable, invertible, a determinant that is cheap",
    "yes",
    "and a determinant that is neither 0 nor infinite; triangular is the usual way, not the only one",
    section="13. What a flow needs: four conditions",
    at="tutorial 15, chef 4, review 11, lecture 17.6b, lecture 17.6d",
    code="prove",
    exercise="02_lu_log_det",
)
def what_it_needs() -> float:
    """a map that keeps them: every claim, against autograd"""
    return worst(Compose([Linear(5), Planar(5)]))


@ROWS.claim(
    "if any of the layers is invertible, the whole is",
    "no",
    "all must be: z → 2z → 0 has an invertible layer and no inverse",
    section="13. What a flow needs: four conditions",
    at="lecture 17.6e",
    code="Compose",
)
def all_of_them() -> float:
    """the determinant of an invertible matrix times a singular one, and 0"""
    singular = torch.tensor([[1.0, 2.0, 0.0], [2.0, 4.0, 0.0], [0.0, 0.0, 1.0]])
    return gap(torch.linalg.det(singular @ A), 0.0)


@ROWS.formula(
    "the best linear flow is the Gaussian of the data",
    r"b = \bar x,\ A A^{\mathsf T} = S:\quad \mathcal L_{\min} = \tfrac D2 (1 + \log 2\pi) + \tfrac12 \log\det S",
    section="14. Maximum likelihood fits a Gaussian",
    code="training.fit",
    exercise="04_train",
)
def best_gaussian() -> float:
    """the loss of that flow on 50 points, and the closed form"""
    x = draw(50, 3) @ A.T
    s = torch.cov(x.T, correction=0)
    flow = Flow(Linear(3, matrix=torch.linalg.cholesky(s), bias=x.mean(0)), StandardNormal(3))
    least = 1.5 * (1.0 + math.log(2.0 * math.pi)) + 0.5 * torch.logdet(s)
    return gap(-flow.log_prob(x).mean(), least)
