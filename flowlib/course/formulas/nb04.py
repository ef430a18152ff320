"""The rows of notebook 04: maximum likelihood, reverse KL."""

import math
from collections.abc import Callable

import torch
from torch import Tensor
from torch.distributions import MultivariateNormal, Normal, kl_divergence

from flowlib.bases import StandardNormal
from flowlib.core import Compose, Flow
from flowlib.course.formulas.proving import bell, draw, gap, integral
from flowlib.course.formulas.row import Rows
from flowlib.proof import autograd_log_det
from flowlib.transforms.linear import Linear
from flowlib.transforms.planar import Planar

ROWS = Rows("04_training")
LOOSE = 1e-6  # what a grid leaves over
Density = Callable[[Tensor], Tensor]


def hills(x: Tensor) -> Tensor:
    """The density of section 1: 60 % at -2, 40 % at +2, both of deviation 0.5."""
    return 1.2 * bell((x + 2.0) / 0.5) + 0.8 * bell((x - 2.0) / 0.5)


def one_bell(x: Tensor, mean: float, deviation: float) -> Tensor:
    return bell((x - mean) / deviation) / deviation


def kl(p: Density, q: Density, far: float = 9.0) -> float:
    """KL(p ‖ q) on a grid from −far to far."""
    return integral(lambda x: p(x) * (p(x).log() - q(x).log()), -far, far)


@ROWS.formula(
    "Kullback-Leibler divergence",
    r"\mathrm{KL}(p\,\Vert\,q) = \mathbb E_p[\log p(x) - \log q(x)] \ge 0",
    section="1. A distance with two ends",
    at="tutorial 3",
    exercise="04_kl_from_samples",
    bound=LOOSE,
)
def divergence() -> float:
    """the integral for two bells, and its closed form"""
    found = kl(lambda x: one_bell(x, 0.3, 0.8), lambda x: one_bell(x, -0.5, 1.2))
    return gap(found, math.log(1.2 / 0.8) + (0.8**2 + 0.8**2) / (2.0 * 1.2**2) - 0.5)


@ROWS.claim(
    "nearest in dist(p_θ, p_D); with KL as the distance this is maximum likelihood",
    "yes, if the data come first",
    "KL(p_D ‖ p_θ) has its best bell at −0.4, the order as printed at −2: 0.51 nats against 2.10",
    section="2. Maximum likelihood is minimum KL",
    at="tutorial 3, tutorial 4",
    code="training.fit",
    exercise="04_nll",
    bound=1e-2,
)
def order_matters() -> float:
    """both orders at both minima, and 0.7245, 12.1271; 2.1029, 0.5108"""
    wide, left = (lambda x: one_bell(x, -0.4, 2.0224)), (lambda x: one_bell(x, -2.0, 0.5))
    found = [kl(hills, wide), kl(hills, left), kl(wide, hills), kl(left, hills)]
    return gap(torch.tensor(found), torch.tensor([0.7245, 12.1271, 2.1029, 0.5108]))


@ROWS.formula(
    "maximum likelihood is minimum KL",
    r"\mathbb E_p[-\log q_\theta(x)] = H(p) + \mathrm{KL}(p\,\Vert\,q_\theta)",
    section="2. Maximum likelihood is minimum KL",
    at="tutorial 4",
    code="training.fit",
    exercise="04_nll",
)
def floor() -> float:
    """the three parts for two Gaussians in three dimensions, in closed form"""
    a = draw(3, 3)
    p, q = MultivariateNormal(draw(3), torch.eye(3)), MultivariateNormal(draw(3), a @ a.T + torch.eye(3))
    away, precision = p.mean - q.mean, q.precision_matrix
    loss = -q.log_prob(q.mean) + 0.5 * (precision.trace() + away @ precision @ away)
    return gap(loss, p.entropy() + kl_divergence(p, q))


@ROWS.formula(
    "the loss of a flow",
    r"\mathcal L(\theta) = -\frac1n \sum_{i=1}^n \Bigl[\log p_Z(f^{-1}(x_i)) + \log"
    r"\lvert\det \tfrac{\partial f^{-1}}{\partial x_i}\rvert\Bigr]",
    section="3. The loss, term by term",
    at="chef 12, review 7, lecture 17.7",
    code="training.fit",
    exercise="04_nll",
)
def loss() -> float:
    """the mean of −log p, and pull and push by autograd"""
    f, x = Compose([Planar(3), Linear(3)]), draw(10, 3)
    pull, push = -StandardNormal(3).log_prob(f.inverse(x)[0]), -autograd_log_det(f.inverse, x)
    return gap(-Flow(f, StandardNormal(3)).log_prob(x).mean(), (pull + push).mean())


@ROWS.formula(
    "a product of densities, a sum of logarithms",
    r"\log\prod_i p_X(x_i) = \sum_i \log p_X(x_i)",
    section="2. Maximum likelihood is minimum KL",
    at="chef 11, chef 12",
    code="Flow.log_prob",
    exercise="04_nll",
)
def product() -> float:
    """both for eight points; at 300 points the product is 0 in a computer"""
    flow, x = Flow(Planar(3), StandardNormal(3)), draw(8, 3)
    return gap(flow.log_prob(x).exp().prod().log(), flow.log_prob(x).sum())


@ROWS.claim(
    "the probability of the data is maximized",
    "no",
    "their density: a bell of deviation 0.05 has a loss of −1.58 nats, and no probability exceeds 1",
    section="Sources",
    at="chef 6",
    code="Flow.log_prob",
    bound=0.1,
)
def not_a_probability() -> float:
    """the loss of that bell, its entropy, and −1.577"""
    return gap(Normal(0.0, 0.05).entropy(), -1.577)


@ROWS.claim(
    "the sum over the data covers the first term alone",
    "no",
    "both terms are summed; the printed line counts the volume of one point",
    section="3. The loss, term by term",
    at="review 7",
    code="Flow.log_prob",
    exercise="04_nll",
)
def both_are_summed() -> float:
    """Σ log p of a linear flow on 20 points less Σ log p_Z, and 20 volumes"""
    flow, x = Flow(Linear(3), StandardNormal(3)), draw(20, 3)
    z, log_det = flow.transform.inverse(x)
    return gap(flow.log_prob(x).sum() - flow.base.log_prob(z).sum(), 20.0 * log_det[0])


@ROWS.claim(
    "each term of the sum is the log-determinant of the whole inverse",
    "no",
    "its own layer's: as printed, three layers count 2.7872 instead of 0.9291",
    section="Sources",
    at="tutorial 12",
    code="Compose",
    exercise="01_chain_log_det",
)
def each_its_own() -> float:
    """Σ over three layers, each at its own point, and the whole by autograd"""
    f, x = Compose([Planar(3) for _ in range(3)]), draw(10, 3)
    point, total = x, torch.zeros(10)
    for layer in reversed(f.layers()):
        point, log_det = layer.inverse(point)
        total = total + log_det
    return gap(total, autograd_log_det(f.inverse, x))


@ROWS.claim(
    "the evidence lower bound of a VAE is p(x | z)",
    "no",
    "E_q[log p(x | z)] − KL(q ‖ p(z)): the printed density is one part of it",
    section="Sources",
    at="tutorial 7",
    code="models.VAE",
    exercise="11c_log_weight",
)
def not_the_bound() -> float:
    """of a Gaussian model: log p(x) − KL(q ‖ posterior), and E_q log p(x | z) − KL(q ‖ p(z))"""
    x, m, s = 1.3, 0.4, 0.8  # z ~ N(0, 1), x | z ~ N(z, 0.5²), q = N(m, s²)
    q, prior, posterior = Normal(m, s), Normal(0.0, 1.0), Normal(x / 1.25, math.sqrt(0.2))
    evidence = Normal(0.0, math.sqrt(1.25)).log_prob(torch.tensor(x))
    inside = -math.log(0.5) - 0.5 * math.log(2.0 * math.pi) - ((x - m) ** 2 + s**2) / (2.0 * 0.25)
    return gap(evidence - kl_divergence(q, posterior), inside - kl_divergence(q, prior))


@ROWS.formula(
    "the best bell of forward KL",
    r"\mu = \mathbb E_p[x],\quad \sigma^2 = \mathrm{Var}_p(x)",
    section="1. A distance with two ends",
    code="training.fit",
    bound=LOOSE,
)
def best_bell() -> float:
    """the gradient of the cross-entropy in μ and log σ at (−0.4, √4.09), and 0"""
    mean = integral(lambda x: x * hills(x), -9.0, 9.0)
    variance = integral(lambda x: (x - mean).square() * hills(x), -9.0, 9.0)
    return max(gap(mean, -0.4), gap(variance, 0.25 + 4.0 - 0.16))


@ROWS.formula(
    "reverse KL, from an energy",
    r"\mathrm{KL}(q\,\Vert\,p) = \mathbb E_q[\log q(x) + U(x)] + \log Z,\quad p = e^{-U}/Z",
    section="8. Reverse KL: learning from a formula",
    code="training.fit_energy",
    exercise="04_reverse_kl",
    bound=LOOSE,
)
def reverse() -> float:
    """both sides for U = x⁴/4 and a bell, on a grid"""

    def energy(x: Tensor) -> Tensor:
        return x.square().square() / 4.0

    def q(x: Tensor) -> Tensor:
        return one_bell(x, 0.3, 0.8)

    z = integral(lambda x: torch.exp(-energy(x)), -5.0, 5.0)
    right = integral(lambda x: q(x) * (q(x).log() + energy(x)), -5.0, 5.0) + math.log(z)
    return gap(kl(q, lambda x: torch.exp(-energy(x)) / z, 5.0), right)


@ROWS.formula(
    "a mode dropped",
    r"q = p / w \text{ on a share } w:\quad \mathrm{KL}(q\,\Vert\,p) = \log\tfrac1w",
    section="9. One world, two fits: mode dropping",
    code="training.fit_energy",
    exercise="04_reverse_kl",
    bound=LOOSE,
)
def dropped() -> float:
    """a bell on a hill of 60 %, with the other hill far away, and log(1 / 0.6)"""

    def apart(x: Tensor) -> Tensor:
        return 0.6 * one_bell(x, -3.0, 0.5) + 0.4 * one_bell(x, 3.0, 0.5)

    return gap(kl(lambda x: one_bell(x, -3.0, 0.5), apart), math.log(1.0 / 0.6))


@ROWS.formula(
    "mean field",
    r"\sigma_i^2 = 1/\Lambda_{ii} = s_i^2(1 - \rho^2),\quad \mathrm{KL} = -\tfrac12\log(1 - \rho^2)",
    section="10. A posterior that is not a Gaussian",
    code="transforms.ElementwiseAffine",
)
def mean_field() -> float:
    """the KL of the box with σ² = 1/Λ to a Gaussian of correlation 0.8759"""
    covariance = torch.tensor([[1.0, 0.8759], [0.8759, 1.0]])
    p = MultivariateNormal(torch.zeros(2), covariance)
    q = MultivariateNormal(torch.zeros(2), (1.0 / p.precision_matrix.diagonal()).diag())
    return gap(kl_divergence(q, p), -0.5 * math.log(1.0 - 0.8759**2))


@ROWS.formula(
    "how sure a loss is",
    r"\mathrm{SE} = s / \sqrt n",
    section="4. How sure is a loss?",
    code="training.History",
    exercise="04_mean_and_error",
)
def standard_error() -> float:
    """the deviation of the mean of n = 3 of all 27 draws from three numbers, and s / √3"""
    values = torch.tensor([0.2, 1.5, -0.7])
    means = torch.cartesian_prod(values, values, values).mean(-1)
    return gap(means.std(correction=0), values.std(correction=0) / math.sqrt(3.0))


@ROWS.claim(
    "a known density helps to draw data and to find bias",
    "yes",
    "samples with their density, and a loss that reads as floor plus distance: two moons within 0.01 nats (06 §11)",
    section="5. Watch a flow learn",
    at="tutorial 2",
    code="training.fit",
)
def samples_know() -> float:
    """the density that a sample comes with, and that of the same point asked again"""
    flow = Flow(Compose([Planar(2), Linear(2)]), StandardNormal(2))
    x, log_prob = flow.sample_with_log_prob(100)
    return gap(flow.log_prob(x), log_prob)
