"""The rows of notebook 11b: noise and outliers."""

import math

import torch
from torch.distributions import Categorical, kl_divergence

from flowlib.core import Compose, Given
from flowlib.course.formulas.proving import bell, draw, gap, integral, shaken, worst
from flowlib.course.formulas.row import Rows
from flowlib.course.stored import stored
from flowlib.laws import Affine
from flowlib.nets import MLP
from flowlib.transforms.neighbours import CausalFilter, PerPixel

ROWS = Rows("11b_noise_and_outliers")


@ROWS.system(
    "Noise Flow",
    r"n = \sigma(s, g) \odot u:\quad \text{tails, neighbours, level}",
    section="2. A flow of two thousand parameters",
    at="review 3",
    code="models.noise_flow",
    exercise="11b_noise_log_prob",
)
def noise_flow() -> float:
    """a filter and a level for each pixel of a small patch, given the clean one, against autograd"""
    level = shaken(PerPixel(Affine(), MLP(2, 2, [8]), (1, 2, 3), extra=1))
    return worst(Given(Compose([CausalFilter((1, 2, 3)), level]), draw(7)))


@ROWS.formula(
    "noise level function",
    r"\sigma^2(s, g) = \beta_1 s + \beta_2",
    section="1. The noise of a camera",
    code="models.noise_flow",
    exercise="11b_noise_log_prob",
)
def level() -> float:
    """log p of independent bells by the formula, and the product of their densities"""
    s, n = torch.rand(12) * 200.0, draw(12)
    sigma = (0.05 * s + 0.4).sqrt()
    by_formula = (-0.5 * (n / sigma).square() - sigma.log() - 0.5 * math.log(2.0 * math.pi)).sum()
    return gap(by_formula, (bell(n / sigma) / sigma).prod().log())


@ROWS.formula(
    "causal filter",
    r"x_i = z_i + \sum_k w_k x_{i-k},\quad \log\lvert\det\rvert = 0",
    section="2. A flow of two thousand parameters",
    code="transforms.CausalFilter",
)
def causal_filter() -> float:
    """the layer against autograd, and its log-determinant 0"""
    layer = CausalFilter((1, 3, 4))
    return max(worst(layer), gap(layer(draw(2, 1, 3, 4))[1], torch.zeros(2)))


@ROWS.claim(
    "flows model noise",
    "yes",
    "0.005 nats a pixel below the truth, where a Gaussian of the right variance is 0.503 below; 2,127 parameters",
    section="2. A flow of two thousand parameters",
    at="review 3",
    code="models.camera_noise",
    exercise="11b_noise_log_prob",
    bound=0.5,
)
def near_the_truth() -> float:
    """the flow's distance from the truth over that of the noise level function, as stored"""
    rows = {row["model"]: row["gap"] for row in stored("noise")["rows"]}
    return rows["flow"] / rows["noise level function"]


@ROWS.formula(
    "the likelihood paradox",
    r"\mathbb E_{x \sim q}[-\log p(x)] = H(q) + \mathrm{KL}(q\,\Vert\,p)",
    section="4. Why",
    code="models.surprise",
    exercise="11b_bits_per_pixel",
)
def paradox() -> float:
    """the three parts for two laws of twelve outcomes"""
    p, q = Categorical(draw(12).softmax(0)), Categorical(draw(12).softmax(0))
    return gap(-(q.probs * p.logits).sum(), q.entropy() + kl_divergence(q, p))


@ROWS.claim(
    "a density of data finds outliers",
    "in tables yes, in images not as it stands",
    "a model of garments gives digits fewer bits, AUROC 0.05; with input complexity 0.99; "
    "in a table of proteins the plain score has 0.99",
    section="3. The likelihood paradox",
    at="review 3, review 29, tutorial 2",
    code="models.input_complexity",
    exercise="11b_complexity_score",
    bound=1.0,
)
def upside_down() -> float:
    """the AUROC of the plain bits, garments against digits, over that of input complexity: as stored"""
    scores = {row["score"]: row["auroc"] for row in stored("paradox")["directions"][0]["scores"]}
    return scores["surprise"] / scores["input complexity"]


@ROWS.formula(
    "typicality",
    r"\lvert -\log p(x) - H\rvert",
    section="5. Three remedies",
    code="models.typicality",
    exercise="11b_typicality_score",
    bound=1e-6,
)
def typicality() -> float:
    """E[−log p] of a bell on a grid, and its entropy ½ log 2πe: where the score is 0"""
    found = integral(lambda x: -bell(x) * bell(x).log(), -12.0, 12.0)
    return gap(found, 0.5 * math.log(2.0 * math.pi * math.e))


@ROWS.formula(
    "input complexity, likelihood ratio",
    r"-\log_2 p(x) - L(x),\qquad -\log_2 \frac{p(x)}{b(x)}",
    section="5. Three remedies",
    code="models.likelihood_ratio",
    exercise="11b_complexity_score",
)
def remedies() -> float:
    """a file that codes by b has L = −log₂ b: the two scores are one"""
    log_p, log_b = draw(20), draw(20)
    bits = -log_b / math.log(2.0)
    return gap(-log_p / math.log(2.0) - bits, -(log_p - log_b) / math.log(2.0))


@ROWS.formula(
    "clipping cannot part two laws further",
    r"\mathrm{KL}(\text{clipped}\,\Vert\,\text{clipped}) \le \mathrm{KL}(p\,\Vert\,q)",
    section="1. The noise of a camera",
    code="datasets.Camera",
    exercise="11b_clipped_log_prob",
    bound=1e-5,
)
def clipped() -> float:
    """a bell clipped at 0 from below: its density above and the probability of 0 have mass 1"""
    at_zero = torch.special.ndtr(torch.tensor(-0.3))
    return gap(at_zero + integral(lambda y: bell(y - 0.3), 0.0, 12.0), 1.0)
