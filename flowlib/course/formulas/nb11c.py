"""The rows of notebook 11c: posteriors."""

import math

import torch
from torch.distributions import Normal, kl_divergence

from flowlib.core import Compose
from flowlib.course.formulas.proving import bell, draw, gap, integral, worst
from flowlib.course.formulas.row import Rows
from flowlib.course.stored import stored
from flowlib.transforms.elementwise import ElementwiseAffine, Sigmoid
from flowlib.transforms.planar import Planar

ROWS = Rows("11c_posteriors")
X = 1.3  # an observation: θ ~ N(0, 1), x | θ ~ N(θ, 0.5²), so that θ | x ~ N(x / 1.25, 0.2)


def double(value: float) -> torch.Tensor:
    return torch.tensor(value)


def posterior() -> Normal:
    return Normal(double(X / 1.25), double(0.2).sqrt())


@ROWS.formula(
    "a posterior from pairs",
    r"-\mathbb E_{\theta,x}"
    r"\log q(\theta \mid x) = \mathbb E_x[\mathrm{KL}(p(\theta \mid x)\,\Vert\,q(\theta \mid x))] + \text{const}",
    section="2. Learning the way back",
    code="models.posterior_flow",
    exercise="11c_grid_posterior",
    bound=1e-6,
)
def from_pairs() -> float:
    """for one x: the mean of −log q under the posterior, on a grid; KL plus entropy"""
    p, q = posterior(), Normal(double(0.8), double(0.6))
    loss = integral(lambda t: -p.log_prob(t).exp() * q.log_prob(t), -6.0, 6.0)
    return gap(loss, kl_divergence(p, q) + p.entropy())


@ROWS.formula(
    "a posterior inside its box",
    r"z \to y \to (0, 1)^D \to \text{low} + (\text{high} - \text{low})\,\cdot",
    section="4. What leaks out of the prior",
    code="models.posterior_flow",
    exercise="11c_grid_posterior",
)
def inside_its_box() -> float:
    """the last two layers behind a planar one, against autograd; and what leaves the box: nothing"""
    low, high = torch.tensor([-1.0, 2.0, 0.0]), torch.tensor([1.0, 5.0, 0.5])
    f = Compose([Planar(3), Sigmoid(3), ElementwiseAffine(3, shift=low, scale=high - low)])
    x = f(draw(100, 3))[0]
    return max(worst(f), (low - x).max().item(), (x - high).max().item(), 0.0)


@ROWS.formula(
    "the evidence lower bound",
    r"\log p(x) = \mathbb E_q\Bigl[\log"
    r"\frac{p(x \mid z)\,p(z)}{q(z \mid x)}\Bigr] + \mathrm{KL}(q(z \mid x)\,\Vert\,p(z \mid x))",
    section="7. A posterior inside a model: the variational autoencoder",
    at="tutorial 7",
    code="models.VAE",
    exercise="11c_log_weight",
    bound=1e-6,
)
def evidence() -> float:
    """both sides of a Gaussian model, on a grid"""
    q, half = Normal(double(0.4), double(0.8)), double(0.5)

    def log_weight(z: torch.Tensor) -> torch.Tensor:
        return Normal(z, half).log_prob(double(X)) + bell(z).log() - q.log_prob(z)

    bound = integral(lambda z: q.log_prob(z).exp() * log_weight(z), -8.0, 9.0)
    return gap(bound + kl_divergence(q, posterior()), Normal(double(0.0), double(1.25).sqrt()).log_prob(double(X)))


@ROWS.formula(
    "a flow behind the encoder",
    r"z = f(\mu + \sigma\varepsilon),"
    r"\quad \log q(z \mid x) = \log\mathcal N(\varepsilon) - \sum_i \log\sigma_i - \log\lvert\det f'\rvert",
    section="7. A posterior inside a model: the variational autoencoder",
    code="models.VAE.posterior",
    exercise="11c_log_weight",
)
def behind_the_encoder() -> float:
    """the formula, and the density of the two maps as one"""
    f, noise = Planar(3), draw(10, 3)
    mu, sigma = draw(3), draw(3).exp()
    first = ElementwiseAffine(3, shift=mu, scale=sigma)
    log_det = Compose([first, f])(noise)[1]
    return gap(-sigma.log().sum() - f(mu + sigma * noise)[1], -log_det)


@ROWS.formula(
    "a tighter bound",
    r"\mathbb E\log\frac1k\sum_j w_j \uparrow \log p(x),\quad \mathbb E\,\frac1k\sum_j w_j = p(x)",
    section="7. A posterior inside a model: the variational autoencoder",
    code="models.VAE.bound",
    exercise="11c_log_weight",
    bound=1e-6,
)
def tighter() -> float:
    """the mean of w under q on a grid, and p(x)"""
    q, half = Normal(double(0.4), double(0.8)), double(0.5)
    mean = integral(lambda z: Normal(z, half).log_prob(double(X)).exp() * bell(z), -8.0, 9.0)
    by_q = integral(
        lambda z: q.log_prob(z).exp() * (Normal(z, half).log_prob(double(X)) + bell(z).log() - q.log_prob(z)).exp(),
        -8.0,
        9.0,
    )
    exact = Normal(double(0.0), double(1.25).sqrt()).log_prob(double(X)).exp()
    return max(gap(mean, exact), gap(by_q, exact))


@ROWS.formula(
    "an ensemble",
    r"q(\theta \mid x) = \frac1K\sum_k q_k(\theta \mid x)",
    section="5. Calibrated, without an exact answer",
    code="models.Ensemble",
    exercise="11c_ensemble",
)
def ensemble() -> float:
    """the log of the mean of three densities, and logsumexp less log 3"""
    log_p = draw(3, 20)
    return gap(torch.logsumexp(log_p, 0) - math.log(3.0), log_p.exp().mean(0).log())


@ROWS.formula(
    "coverage",
    r"\Pr_{\theta \sim q(\cdot \mid x)}[q(\theta \mid x) > q(\theta^\ast \mid x)] \;\text{ uniform on } [0, 1]",
    section="5. Calibrated, without an exact answer",
    code="training.coverage",
    exercise="11c_covered",
)
def coverage() -> float:
    """for a bell: the share denser than θ* is erf(|θ*| / √2), uniform: its quantile, put back"""
    share = torch.linspace(0.05, 0.95, 10)
    theta = torch.special.ndtri(0.5 + 0.5 * share)
    return gap(torch.special.ndtr(theta) - torch.special.ndtr(-theta), share)


@ROWS.formula(
    "a classifier as a judge",
    r"\text{C2ST} = \tfrac12 + \tfrac14\int\lvert p - q\rvert \text{ at best}",
    section="3. Against the exact posterior",
    code="training.c2st",
    bound=1e-4,
)
def judge() -> float:
    """two bells a apart: the best classifier's accuracy on a grid, and Φ(a / 2)"""
    a = 1.2
    parted = integral(lambda x: (bell(x) - bell(x - a)).abs(), -10.0, 11.0)
    return gap(0.5 + 0.25 * parted, torch.special.ndtr(double(a / 2.0)))


@ROWS.claim(
    "flows have many uses, in making data and as densities",
    "yes, with care",
    "as a posterior one puts 3.8 % of its samples outside of the prior's box, unless it ends in the box: then none",
    section="4. What leaks out of the prior",
    at="review 29",
    code="models.posterior_flow",
    bound=0.1,
)
def leaks() -> float:
    """the share outside as stored, and 0.0379"""
    return gap(stored("posteriors")["leaked"], 0.0379)
