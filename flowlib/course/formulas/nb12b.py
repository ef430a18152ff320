"""The rows of notebook 12b: rivals on digits."""

import math

import torch
from torch import Tensor

from flowlib.bases import StandardNormal
from flowlib.core import Compose, Flow
from flowlib.course.formulas.proving import bell, draw, gap, integral
from flowlib.course.formulas.row import Rows
from flowlib.course.stored import stored
from flowlib.transforms.linear import Linear
from flowlib.transforms.planar import Planar

ROWS = Rows("12b_rivals_on_digits")


def root(a: Tensor) -> Tensor:
    """The square root of a symmetric positive matrix."""
    values, vectors = torch.linalg.eigh(a)
    return vectors * values.sqrt() @ vectors.T


@ROWS.formula(
    "Fréchet distance",
    r"\lVert m_1 - m_2\rVert^2 + \mathrm{tr}\bigl(S_1 + S_2 - 2(S_1 S_2)^{1/2}\bigr)",
    section="3. Four scores that know no model",
    code="training.frechet",
    exercise="12b_gaussian_distance",
)
def frechet() -> float:
    """the formula for two covariances, and what the best linear map between them costs, E‖x − Ax‖²"""
    a, b = draw(3, 3), draw(3, 3)
    first, second = a @ a.T + torch.eye(3), b @ b.T + torch.eye(3)
    half = root(first)
    best = half.inverse() @ root(half @ second @ half) @ half.inverse()
    cost = (first + best @ first @ best.T - 2.0 * best @ first).trace()
    crossed = torch.linalg.eigvals(first @ second).real.sqrt().sum()
    return gap(first.trace() + second.trace() - 2.0 * crossed, cost)


@ROWS.formula(
    "a density made of samples",
    r"\frac1n\sum_i \mathcal N(x;\, x_i,\, h^2 I)",
    section="A failure worth seeing: a density made of samples",
    at="tutorial 6, lecture 17.2b",
    code="models.GAN",
    bound=1e-6,
)
def made_of_samples() -> float:
    """its mass on the line, and 1; and its variance, that of the samples and h²"""
    samples, h = draw(7), 0.4

    def density(x: Tensor) -> Tensor:
        return (bell((x[:, None] - samples) / h) / h).mean(-1)

    mean = samples.mean()
    spread = integral(lambda x: (x - mean).square() * density(x), -12.0, 12.0)
    return max(gap(integral(density, -12.0, 12.0), 1.0), gap(spread, samples.var(correction=0) + h**2))


@ROWS.system(
    "Flow-GAN",
    r"x = f(z):\quad \text{a game on its samples, and } -\lambda\,\mathbb E\log p_X \text{ beside it}",
    section="4. Flow-GAN: one generator, two teachers",
    at="lecture 17.1, lecture 17.2b",
    code="training.fit_gan",
)
def flow_gan() -> float:
    """a flow as a generator: its samples have a density, that of the change of variables"""
    flow = Flow(Compose([Planar(3), Linear(3)]), StandardNormal(3))
    z = draw(20, 3)
    x, log_det = flow.transform(z)
    return gap(flow.log_prob(x), -0.5 * z.square().sum(-1) - 1.5 * math.log(2.0 * math.pi) - log_det)


def means(score: str, longer: bool = False) -> dict[str, float]:
    """Of each model, over its seeds, as `python -m tools.rivals_digits` measured them; longer: four times the steps."""
    found = stored("rivals_digits")
    rows = (found["longer"] if longer else found)["rows"]
    return {row["model"]: sum(row[score]) / len(row[score]) for row in rows if score in row}


def looks_and_coverage() -> str:
    def told(longer: bool) -> str:
        distances = ", ".join(f"{model} {value:.1f}" for model, value in means("frechet", longer).items())
        recalls = ", ".join(f"{model} {value:.2f}" for model, value in means("recall", longer).items())
        return f"Fréchet distance of digits: {distances}. Recall: {recalls}"

    return f"{told(False)}. With four times the steps: {told(True)}. Larger pictures were not tried"


@ROWS.claim(
    "GANs have exceptional results on complex data; flows may be less flexible",
    "half",
    looks_and_coverage,
    section="6. Does it hold here?",
    at="lecture 17.7b, lecture 17.7c",
    code="training.frechet",
    exercise="12b_two_shares",
    bound=0.01,
)
def half() -> float:
    """how far Wasserstein's GAN is above the flow in Fréchet distance, and in recall: neither"""
    return max(*(means(s)["Wasserstein GAN"] - means(s)["flow"] for s in ("frechet", "recall")), 0.0)
