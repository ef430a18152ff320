"""The rows of notebook 12a: flows beside GANs, VAEs and diffusion."""

import math
from collections.abc import Callable

import torch
from torch import Tensor

from flowlib.bases import StandardNormal
from flowlib.core import Flow
from flowlib.course.formulas.proving import bell, draw, gap, integral
from flowlib.course.formulas.row import Rows
from flowlib.course.stored import stored
from flowlib.nets.field import Field
from flowlib.transforms.continuous import Continuous
from flowlib.transforms.planar import Planar

ROWS = Rows("12a_rivals_in_the_plane")
Density = Callable[[Tensor], Tensor]
SHARE, ASTRAY = 0.25, 0.1  # the rule of section 7: a mode has less of its share, or more samples are far from all


def runs() -> dict[str, dict]:
    """What was measured of each model."""
    return {row["model"]: row for row in stored("rivals_plane")["results"]}


def longer() -> dict[str, dict]:
    """The same with eight times the steps, three seeds."""
    return {row["model"]: row for row in stored("rivals_plane")["longer"]["results"]}


def failed(rows: dict[str, dict]) -> dict[str, int]:
    """How many of its seeds failed."""
    return {
        model: sum(least < SHARE or far > ASTRAY for least, far in zip(row["least"], row["outside"], strict=True))
        for model, row in rows.items()
    }


def found_out() -> dict[str, float]:
    """How often the neighbour test tells its samples from data."""
    return {model: sum(row["neighbour"]) / len(row["neighbour"]) for model, row in runs().items()}


def known() -> str:
    flow, gan = (runs()[model] for model in ("flow", "GAN"))
    exact, kernels = (sum(values) / len(values) for values in (flow["exact"], gan["kernels"]))
    return f"the flow is {exact:.2f} nats above the floor, exactly; of a GAN a kernel density says {kernels:.1f}"


def counted() -> str:
    short, long = (", ".join(f"{m} {n}" for m, n in failed(rows).items()) for rows in (runs(), longer()))
    return f"of ten seeds fail, by a rule stated before: {short}; of three with eight times the steps: {long}"


def told_apart() -> str:
    scores = ", ".join(f"{model} {share:.2f}" for model, share in found_out().items())
    return f"a neighbour test, ½ at best: {scores}; complex data were not tried, digits are on page 12b"


def data(x: Tensor) -> Tensor:
    return 0.6 * bell(x + 1.0) + 0.4 * bell((x - 1.5) / 0.7) / 0.7


def made(x: Tensor) -> Tensor:
    return bell((x - 0.2) / 1.3) / 1.3


def jensen_shannon() -> float:
    """JSD(data, made): half of the two KLs to their mean."""

    def to_mean(p: Density) -> float:
        return integral(lambda x: p(x) * (p(x) / (0.5 * (data(x) + made(x)))).log(), -11.0, 11.0)

    return 0.5 * (to_mean(data) + to_mean(made))


@ROWS.system(
    "GAN",
    r"x = G(z),\quad \min_G \max_D\ \mathbb E_x[\log D(x)] + \mathbb E_z[\log(1 - D(G(z)))]",
    section="3. The game",
    at="lecture 17.1, lecture 17.2",
    code="models.GAN",
    exercise="12a_jensen_shannon",
    bound=1e-6,
)
def game() -> float:
    """the value at the best critic p / (p + q), on a grid, and 2 JSD − log 4"""

    def value(x: Tensor) -> Tensor:
        best = data(x) / (data(x) + made(x))
        return data(x) * best.log() + made(x) * (1.0 - best).log()

    return gap(integral(value, -11.0, 11.0), 2.0 * jensen_shannon() - math.log(4.0))


@ROWS.formula(
    "the best critic",
    r"D^\ast(x) = \frac{p(x)}{p(x) + q(x)} = \sigma(\log p(x) - \log q(x))",
    section="3. The game",
    at="tutorial 6, lecture 17.2",
    code="models.GAN.critic",
    exercise="12a_best_critic",
)
def best_critic() -> float:
    """the slope of p log D + q log(1 − D) in D at D*, and 0; and the sigmoid"""
    x = draw(20)
    d = (data(x) / (data(x) + made(x))).requires_grad_()
    slope = torch.autograd.grad((data(x) * d.log() + made(x) * (1.0 - d).log()).sum(), d)[0]
    return max(gap(slope, torch.zeros(20)), gap(torch.sigmoid(data(x).log() - made(x).log()), d.detach()))


@ROWS.formula(
    "Wasserstein distance on the line",
    r"W_1(p, q) = \int \lvert F_p(x) - F_q(x)\rvert\,dx",
    section="3. The game",
    code="training.fit_gan",
    exercise="12a_wasserstein",
    bound=1e-5,
)
def wasserstein() -> float:
    """two bells 0.8 apart, on a grid, and 0.8"""
    ndtr = torch.special.ndtr
    return gap(integral(lambda x: (ndtr(x) - ndtr(x - 0.8)).abs(), -12.0, 13.0), 0.8)


@ROWS.system(
    "diffusion, and its equation",
    r"\frac{dx}{dt} = \frac{\pi}{2}(\cos\varphi\,\hat u - \sin\varphi\,\hat\varepsilon),"
    r"\quad \varphi = \tfrac{\pi t}{2}",
    section="5. What each can tell of p(x)",
    code="models.Diffusion",
    bound=1e-6,
)
def diffusion() -> float:
    """normal data of deviation 2: the best field solved from noise, and the map 2 z with its log-determinant"""

    class Best(Field):
        def forward(self, t: Tensor, x: Tensor, context: Tensor | None = None) -> Tensor:
            sin, cos = torch.sin(0.5 * math.pi * t), torch.cos(0.5 * math.pi * t)
            return 0.5 * math.pi * (4.0 - 1.0) * sin * cos / (cos**2 + 4.0 * sin**2) * x

    z = draw(10, 2)
    x, log_det = Continuous(Best(2), steps=64)(z)
    return max(gap(x, 2.0 * z), gap(log_det, torch.full((10,), 2.0 * math.log(2.0))))


@ROWS.formula(
    "annealed importance sampling",
    r"\mathbb E[w] = Z:\quad w = \prod_k \frac{\tilde p_{k}(x_{k-1})}{\tilde p_{k-1}(x_{k-1})}",
    section="5. What each can tell of p(x)",
    code="training.ais",
)
def annealed() -> float:
    """its mean over all ways through five states, with one step of Metropolis between, and Z"""
    first, last = torch.full((5,), 0.2), draw(5).exp()
    middle = (first * last).sqrt()
    accept = 0.2 * torch.minimum(middle[None, :] / middle[:, None], torch.ones(5, 5))
    move = accept + torch.diag(1.0 - accept.sum(1))  # it keeps the middle density
    weights = (middle / first)[:, None] * (last / middle)[None, :]
    return gap((first[:, None] * move * weights).sum(), last.sum())


@ROWS.claim(
    "a GAN needs no probability of x and has its density implicitly; a flow computes it",
    "yes",
    known,
    section="5. What each can tell of p(x)",
    at="lecture 17.2b, tutorial 6, tutorial 8, review 4, chef 2",
    code="models.GAN",
)
def computes_it() -> float:
    """a flow's own samples: the density that they come with, and that of the change of variables"""
    flow = Flow(Planar(2), StandardNormal(2))
    x, log_prob = flow.sample_with_log_prob(50)
    z, log_det = flow.transform.inverse(x)
    return gap(log_prob, bell(z).log().sum(-1) + log_det)


@ROWS.claim(
    "a VAE has p(x) approximately, a flow exactly",
    "yes",
    "its ELBO is 0.33 nats below its own likelihood, 1,000 draws 0.01; what a bound lacks is KL(q ‖ posterior)",
    section="5. What each can tell of p(x)",
    at="tutorial 5, tutorial 7, tutorial 8, review 4",
    code="training.ais",
    exercise="11c_log_weight",
)
def approximately() -> float:
    """what a bound lacks in a Gaussian model, log p less the bound, and KL(q ‖ posterior), both in closed form"""
    x, m, s = 1.3, 0.4, 0.8
    bound = -math.log(0.5) - 0.5 * math.log(2.0 * math.pi) - 2.0 * ((x - m) ** 2 + s**2)
    bound = bound - (0.5 * (m**2 + s**2 - 1.0) - math.log(s))
    evidence = -0.5 * math.log(2.0 * math.pi * 1.25) - x**2 / 2.5
    lacks = math.log(math.sqrt(0.2) / s) + (s**2 + (m - x / 1.25) ** 2) / 0.4 - 0.5
    return gap(evidence - bound, lacks)


@ROWS.claim(
    "a flow is trained directly: no adversary, no lower bound",
    "yes",
    "one loss, that of notebook 04, with its floor",
    section="1. Four trainings under one slider",
    at="review 8, chef 2",
    code="training.fit",
    exercise="04_nll",
)
def directly() -> float:
    """the loss, and what `log_prob` says"""
    flow, x = Flow(Planar(2), StandardNormal(2)), draw(20, 2)
    z, log_det = flow.transform.inverse(x)
    return gap(-flow.log_prob(x).mean(), (0.5 * z.square().sum(-1) + math.log(2.0 * math.pi) - log_det).mean())


@ROWS.claim(
    "GANs train unstably; flows are more stable",
    "yes, of two games in three",
    counted,
    section="7. Ten seeds: stability against flexibility",
    at="lecture 17.7b, lecture 17.7c, chef 2",
    code="training.fit_gan",
    exercise="12a_generator_loss",
    bound=0.9,
)
def stable() -> float:
    """seeds of the flow that failed over those of the GAN that failed most, as stored"""
    return failed(runs())["flow"] / max(count for model, count in failed(runs()).items() if model.startswith("GAN"))


@ROWS.claim(
    "flows are less flexible, GANs have exceptional results on complex data",
    "not on eight Gaussians",
    told_apart,
    section="Scores that know no model",
    at="lecture 17.7b, lecture 17.7c",
    code="models.GAN",
    bound=1.0,
)
def flexible() -> float:
    """how far the flow's neighbour test is above one half, over how far that of the best GAN is, as stored"""
    above = {model: share - 0.5 for model, share in found_out().items()}
    return above["flow"] / min(excess for model, excess in above.items() if model.startswith("GAN"))


@ROWS.formula(
    "between the two divergences",
    r"D_a(p, q) = \frac{1 - \int p^{1-a} q^{a}\,dx}{a(1 - a)}",
    section="2. Which direction of KL?",
    code="viz.explore_divergence",
    bound=1e-3,
)
def between() -> float:
    """at a = 1e-4 and at 1 − 1e-4, on a grid, and the two KLs"""

    def divergence(a: float) -> float:
        return (1.0 - integral(lambda x: data(x) ** (1.0 - a) * made(x) ** a, -11.0, 11.0)) / (a * (1.0 - a))

    def kl(p: Density, q: Density) -> float:
        return integral(lambda x: p(x) * (p(x) / q(x)).log(), -11.0, 11.0)

    return max(gap(divergence(1e-4), kl(data, made)), gap(divergence(1.0 - 1e-4), kl(made, data)))
