"""The exercises of notebook 12a: what four models minimise, and how their samples are judged."""

import math

import torch
from torch import Tensor
from torch.nn.functional import softplus

from flowlib.course.exercises.exercise import Exercise
from flowlib.course.exercises.shared import drawn

# --- 12a.1: the loss of a generator (Goodfellow et al. 2014, arXiv:1406.2661, section 3)


def generator_loss(d):
    """What the critic says of n samples, any real numbers (n,) -> −mean log σ(d), ()."""
    return softplus(-d).mean()


generator = Exercise(
    "12a_generator_loss",
    generator_loss,
    inputs=[(2.0 * drawn(5, seed=1),), (drawn(3, seed=2) - 400.0,), (drawn(8, seed=3) + 3.0,)],
)
generator.mistake(
    "That is the loss of the saturating game, log(1 − σ(d)): flat where the critic is sure, so a bad generator learns "
    "nothing.",
    lambda d: -softplus(d).mean(),
)
generator.mistake(
    "The sign is turned: this generator would be rewarded for being found out.",
    lambda d: -softplus(-d).mean(),
)
generator.mistake(
    "That is the critic's side: it wants −log(1 − σ(d)) of samples small. The generator wants to be taken for data.",
    lambda d: softplus(d).mean(),
)
generator.mistake(
    "It overflows where the critic is sure: σ(−400) is 0 in floating point, and its log infinite. "
    "−log σ(d) = softplus(−d).",
    lambda d: -d.sigmoid().log().mean(),
)
generator.mistake("The log is missing: that is the mean of σ(d), turned.", lambda d: -d.sigmoid().mean())
generator.mistake("Summed, not averaged: the loss would grow with the batch.", lambda d: softplus(-d).sum())
generator.mistake("That is Wasserstein's game, −mean of d itself.", lambda d: -d.mean())

# --- 12a.2: the KL of a VAE (Kingma and Welling 2014, arXiv:1312.6114, appendix B)


def code_kl(mean, log_scale):
    """μ and log σ of a Gaussian q along the axes, (n, D) both -> KL(q ‖ N(0, I)) of each, (n,)."""
    return (0.5 * (mean.square() + (2.0 * log_scale).exp() - 1.0) - log_scale).sum(-1)


def codes(n: int, dim: int, seed: int) -> tuple[Tensor, Tensor]:
    return drawn(n, dim, seed=seed), 0.5 * drawn(n, dim, seed=seed + 5)


kl = Exercise("12a_code_kl", code_kl, inputs=[codes(4, 2, 1), codes(3, 5, 2), codes(6, 1, 3)])


def swapped(mean, log_scale):
    shrunk = (-2.0 * log_scale).exp()
    return (0.5 * (shrunk * (1.0 + mean.square()) - 1.0) + log_scale).sum(-1)


kl.mistake(
    "The arguments are swapped: that is KL(N(0, I) ‖ q), which makes every q wide instead of allowing it to be narrow. "
    "The ELBO has KL(q ‖ p).",
    swapped,
)
kl.mistake("The ½ is missing: the code would pay twice.", lambda m, s: 2.0 * code_kl(m, s))
kl.mistake(
    "log σ was read as log σ²: the variance is exp(2 log σ), and its half log is log σ.",
    lambda m, s: (0.5 * (m.square() + s.exp() - 1.0 - s)).sum(-1),
)
kl.mistake(
    "The variance is exp(2 log σ); exp(log σ) is the deviation.",
    lambda m, s: (0.5 * (m.square() + s.exp() - 1.0) - s).sum(-1),
)
kl.mistake(
    "log σ has the wrong sign: a narrow q, which says much, must cost much.",
    lambda m, s: (0.5 * (m.square() + (2.0 * s).exp() - 1.0) + s).sum(-1),
)
kl.mistake("That is −KL, the term as it stands in the ELBO; the question asks for KL.", lambda m, s: -code_kl(m, s))
kl.mistake(
    "Averaged over the numbers of the code. They are independent: their KLs add up.",
    lambda m, s: (0.5 * (m.square() + (2.0 * s).exp() - 1.0) - s).mean(-1),
)
kl.mistake("One number for each point: the mean over the batch comes later.", lambda m, s: code_kl(m, s).mean())
kl.mistake("One number for each point: the sum over the batch comes later.", lambda m, s: code_kl(m, s).sum())

# --- 12a.3: the best critic (Goodfellow et al. 2014, proposition 1)


def best_critic(log_p, log_q):
    """log p and log q at n points, (n,) both -> the best σ(D), (n,)."""
    return (log_p - log_q).sigmoid()


critic = Exercise(
    "12a_best_critic",
    best_critic,
    inputs=[
        (2.0 * drawn(5, seed=1), drawn(5, seed=2)),
        (drawn(3, seed=3) - 900.0, drawn(3, seed=4) - 900.0),
        (drawn(7, seed=5), drawn(7, seed=6) - 1.0),
    ],
)
critic.mistake(
    "It is turned round: σ(D) is how probable it is that x comes from the data, p over p + q.",
    lambda p, q: (q - p).sigmoid(),
)
critic.mistake(
    "It underflows where both densities are tiny: exp(−900) is 0, and 0 / 0 is nan. p / (p + q) = σ(log p − log q).",
    lambda p, q: p.exp() / (p.exp() + q.exp()),
)
critic.mistake("Logarithms were put in the place of densities.", lambda p, q: p / (p + q))
critic.mistake("That is D, the log of p / q; the question asks for σ(D).", lambda p, q: p - q)
critic.mistake("That is p / q. The best critic is p / (p + q), between 0 and 1.", lambda p, q: (p - q).exp())

# --- 12a.4: the Jensen–Shannon divergence of two tables


def jensen_shannon(p, q):
    """Probabilities of n outcomes under each, zeros allowed, (n,) both -> JS in nats, ()."""
    middle = 0.5 * (p + q)
    return 0.5 * (torch.xlogy(p, p / middle) + torch.xlogy(q, q / middle)).sum()


def tables(weights: list[float], others: list[float]) -> tuple[Tensor, Tensor]:
    p, q = torch.tensor(weights), torch.tensor(others)
    return p / p.sum(), q / q.sum()


js = Exercise(
    "12a_jensen_shannon",
    jensen_shannon,
    inputs=[
        tables([1.0, 2.0, 3.0], [2.0, 2.0, 1.0]),
        tables([1.0, 0.0, 3.0, 2.0, 0.5], [0.0, 2.0, 1.0, 1.0, 4.0]),
        tables([4.0, 1.0], [1.0, 3.0]),
    ],
)


def kl_of(p: Tensor, q: Tensor) -> Tensor:
    return torch.xlogy(p, p / q).sum()


@js.mistake("0 · log 0 came out as nan: an outcome that never happens costs nothing. torch.xlogy knows it.")
def without_xlogy(p, q):
    middle = 0.5 * (p + q)
    return 0.5 * (p * (p / middle).log() + q * (q / middle).log()).sum()


@js.mistake("The ½ is missing: JS is the mean of the two KLs to the middle, at most log 2.")
def without_half(p, q):
    return 2.0 * jensen_shannon(p, q)


@js.mistake("That is the mean of KL(p ‖ q) and KL(q ‖ p), infinite where one has a zero. JS asks the middle.")
def symmetrized(p, q):
    return 0.5 * (kl_of(p, q) + kl_of(q, p))


@js.mistake("The middle is (p + q) / 2, a density again; p + q has mass two.")
def middle_of_mass_two(p, q):
    return 0.5 * (kl_of(p, p + q) + kl_of(q, p + q))


@js.mistake("The arguments of both KLs are swapped: p and q come first, the middle second.")
def from_the_middle(p, q):
    middle = 0.5 * (p + q)
    return 0.5 * (kl_of(middle, p) + kl_of(middle, q))


js.mistake("That is the value of the game, 2 JS − log 4.", lambda p, q: 2.0 * jensen_shannon(p, q) - math.log(4.0))
js.mistake("In nats: log is the natural one here.", lambda p, q: jensen_shannon(p, q) / math.log(2.0))

# --- 12a.5: W₁ on the line (Arjovsky et al. 2017, arXiv:1701.07875; on the line by order)


def wasserstein(x, y):
    """n samples of each on the line, (n,) both -> W₁, the mean way of the cheapest transport, ()."""
    return (x.sort().values - y.sort().values).abs().mean()


w1 = Exercise(
    "12a_wasserstein",
    wasserstein,
    inputs=[
        (drawn(5, seed=1), drawn(5, seed=2) + 1.0),
        (2.0 * drawn(8, seed=3), drawn(8, seed=4)),
        (drawn(3, seed=5), 3.0 * drawn(3, seed=6)),
    ],
)
w1.mistake(
    "Each sample was carried to the one that happens to stand in the same row. In order is cheapest: sort both first.",
    lambda x, y: (x - y).abs().mean(),
)
w1.mistake(
    "That is how far the means are apart: it is 0 for two sets of one mean, however different they are.",
    lambda x, y: (x.mean() - y.mean()).abs(),
)
w1.mistake(
    "Squares: that is W₂². W₁ counts the way itself.",
    lambda x, y: (x.sort().values - y.sort().values).square().mean(),
)
w1.mistake(
    "That is W₂, the root of the mean square.",
    lambda x, y: (x.sort().values - y.sort().values).square().mean().sqrt(),
)
w1.mistake("The sum of all ways; each sample has the mass 1/n.", lambda x, y: len(x) * wasserstein(x, y))
w1.mistake(
    "Each sample was carried to the nearest of the other set, and one of them may be taken twice. A transport uses "
    "each once.",
    lambda x, y: (x[:, None] - y).abs().amin(1).mean(),
)

EXERCISES = [generator, kl, critic, js, w1]
