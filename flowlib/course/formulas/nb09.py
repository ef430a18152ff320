"""The rows of notebook 09: residual flows."""

import math
from itertools import product

import torch
from torch import Tensor, nn

from flowlib.course.formulas.proving import draw, gap, shaken, worst
from flowlib.course.formulas.row import Rows
from flowlib.course.stored import stored
from flowlib.nets import LipschitzMLP
from flowlib.nets.lipschitz import LipschitzConv2d, LipSwish
from flowlib.transforms.planar import Planar
from flowlib.transforms.residual import Residual
from flowlib.transforms.series import PowerSeries

ROWS = Rows("09_residual_flows")


def small(size: int = 3, norm: float = 0.5) -> Tensor:
    """A matrix of this spectral norm."""
    a = draw(size, size)
    return norm * a / torch.linalg.matrix_norm(a, ord=2)


def step(dim: int = 3) -> Residual:
    return Residual(shaken(LipschitzMLP(dim, [16]), by=1.0))


def of_training(way: str) -> tuple[float, float]:
    """What a flow of the stored table claims, and what it has: nats above the floor."""
    row = next(row for row in stored("residual")["rows"] if row["way"] == way)
    return row["claimed"], row["gap"]


@ROWS.system(
    "residual flow",
    r"x = z + g(z),\quad \lVert g(z) - g(z')\rVert \le L\,\lVert z - z'\rVert,\ L < 1",
    section="1. A step that can be undone",
    at="lecture 17.16, wiki 16",
    code="models.residual_flow",
    exercise="09_residual_inverse",
)
def residual() -> float:
    """a step with a network, against autograd"""
    return worst(step())


@ROWS.formula(
    "fixed point",
    r"z_{k+1} = x - g(z_k),\quad \lVert z_k - z^\ast\rVert \le \frac{L^k}{1 - L}\lVert z_1 - z_0\rVert",
    section="1. A step that can be undone",
    code="transforms.Residual.fixed_point",
    exercise="09_residual_inverse",
)
def fixed_point() -> float:
    """200 steps of the search, the inverse, and how far the bound of each step is exceeded: nothing"""
    layer, x = step(), draw(10, 3)
    path, z = layer.fixed_point(x, 200), layer.inverse(x)[0]
    first = (path[1] - path[0]).norm(dim=-1)
    beyond = max((((path[k] - z).norm(dim=-1) - 0.9**k / 0.1 * first).max().item()) for k in range(20))
    return max(gap(path[-1], z), beyond, 0.0)


@ROWS.formula(
    "how much a network stretches",
    r"\mathrm{Lip}(g) \le \lVert W_n\rVert \cdots \lVert W_1\rVert \cdot \max\lvert\varphi'\rvert",
    section="2. How much does a network stretch?",
    code="nets.LipschitzMLP",
    exercise="09_conv_norm",
    bound=1e-3,
)
def stretch() -> float:
    """the steepest slope of LipSwish found on a grid, beyond 1: at most nothing, and not far below"""
    t = torch.linspace(-6.0, 6.0, 20001).requires_grad_()
    slope = torch.autograd.grad(LipSwish()(t).sum(), t)[0].max().item()
    return abs(slope - 0.9999)


@ROWS.formula(
    "a convolution's norm is its map's",
    r"\lVert A\rVert = \bigl(\tfrac13 + \tfrac23\cos\tfrac{\pi}{9}\bigr)^2 \text{ for a mean of nine on } 8 \times 8",
    section="2. How much does a network stretch?",
    code="nets.LipschitzConv2d",
    exercise="09_conv_norm",
    bound=1e-6,
)
def convolution_norm() -> float:
    """`stretch` of the layer with that kernel, and the closed form"""
    layer = LipschitzConv2d(1, 1, (8, 8))
    nn.init.constant_(layer.weight, 1.0 / 9.0)
    return gap(layer.stretch(), (1.0 / 3.0 + 2.0 / 3.0 * math.cos(math.pi / 9.0)) ** 2)


@ROWS.formula(
    "a determinant from powers",
    r"\log\det(I + J) = \mathrm{tr}\log(I + J) = \sum_{k=1}^\infty \frac{(-1)^{k+1}}{k}\,\mathrm{tr}(J^k)",
    section="3. A determinant from powers",
    at="lecture 17.17",
    code="transforms.PowerSeries",
    exercise="09_log_det_series",
)
def powers() -> float:
    """fifty terms, and logdet"""
    j, power, total = small(), torch.eye(3), 0.0
    for k in range(1, 51):
        power = power @ j
        total = total + (-1.0) ** (k + 1) / k * power.trace()
    return gap(total, torch.logdet(torch.eye(3) + j))


@ROWS.claim(
    "the series has the power of the trace",
    "no",
    "the trace of the power: printed, it tends to log(1 + tr J), 0.5884 instead of 0.6948",
    section="3. A determinant from powers",
    at="lecture 17.17",
    code="transforms.PowerSeries",
    exercise="09_log_det_series",
)
def power_of_the_trace() -> float:
    """for two equal stretches a: Σ (−1)^{k+1} (2a)^k / k, and log(1 + 2a), not 2 log(1 + a)"""
    a = 0.2
    printed = sum((-1.0) ** (k + 1) / k * (2.0 * a) ** k for k in range(1, 60))
    return gap(printed, math.log(1.0 + 2.0 * a))


@ROWS.formula(
    "what k terms leave out",
    r"\Bigl\lvert \sum_{j > k} \Bigr\rvert \le \frac{D\,L^{k+1}}{(k + 1)(1 - L)}",
    section="3. A determinant from powers",
    at="lecture 17.17",
    code="transforms.PowerSeries",
    exercise="09_terms_needed",
)
def left_out() -> float:
    """how far the error of k = 1 ... 10 terms exceeds the bound: nothing; and the bound for J = L I at k = 30"""
    j = small()
    power, total, exact, beyond = torch.eye(3), 0.0, torch.logdet(torch.eye(3) + j), 0.0
    for k in range(1, 40):
        power = power @ j
        total = total - (-1.0) ** k / k * power.trace()
        beyond = max(beyond, (total - exact).abs().item() - 3.0 * 0.5 ** (k + 1) / ((k + 1) * 0.5))
    return max(beyond, gap(total, exact))


@ROWS.claim(
    "in practice k is 1 or 2",
    "no, unless J stays small",
    "trained with one term a flow claims 16.3 nats below the floor and ends 2.16 above it; with two 0.62; exactly 0.03",
    section="7. What one or two terms cost",
    at="lecture 17.17b",
    code="transforms.Roulette",
    exercise="09_terms_needed",
    bound=1.0,
)
def two_terms() -> float:
    """what exact training leaves above the floor, over what training with two terms leaves"""
    return of_training("exact")[1] / of_training("2 terms")[1]


@ROWS.claim(
    "the Taylor series is an approximation",
    "no",
    "the whole series is exact where the map is a contraction; "
    "only a cut one is an approximation, and beyond 1 there is no sum",
    section="Sources",
    at="lecture 17.17",
    code="transforms.PowerSeries",
    exercise="09_log_det_series",
)
def exact_series() -> float:
    """a layer's log-determinant by 60 terms with exact traces, and by its Jacobian"""
    net, z = shaken(LipschitzMLP(3, [16]), by=1.0), draw(10, 3)
    return gap(Residual(net, PowerSeries(60)).eval()(z)[1], Residual(net).eval()(z)[1])


@ROWS.formula(
    "Hutchinson's probes",
    r"\mathbb E\,v^{\mathsf T} A v = \mathrm{tr} A,\quad \mathrm{Var} = 2\sum_{i \ne j} S_{ij}^2",
    section="4. Probes and roulette",
    code="transforms.PowerSeries",
    exercise="09_hutchinson",
)
def probes() -> float:
    """mean and variance over all eight vectors of signs, and the formulas"""
    a = draw(3, 3)
    s = 0.5 * (a + a.T)
    v = torch.tensor(list(product((-1.0, 1.0), repeat=3)))
    found = ((v @ a) * v).sum(-1)
    wanted = 2.0 * (s.square().sum() - s.diagonal().square().sum())
    return max(gap(found.mean(), a.trace()), gap(found.var(correction=0), wanted))


@ROWS.formula(
    "Russian roulette",
    r"\mathbb E \sum_{k=1}^N \frac{\Delta_k}{P(N \ge k)} = \sum_{k=1}^\infty \Delta_k",
    section="4. Probes and roulette",
    code="transforms.Roulette",
    exercise="09_log_det_series",
)
def roulette() -> float:
    """the mean over the place N where it stops, added up to N = 200, and the whole series of log 1.5"""
    stop = 0.5
    terms = [(-1.0) ** (k + 1) / k * 0.5**k for k in range(1, 60)]
    total, expected = 0.0, 0.0
    for n, term in enumerate(terms, 1):
        total += term / (1.0 - stop) ** (n - 1)
        expected += stop * (1.0 - stop) ** (n - 1) * total
    return gap(expected, math.log(1.5))


@ROWS.claim(
    "residual flows combine NICE and RealNVP",
    "no",
    "both are couplings with a triangular Jacobian; here it is full, and no half waits",
    section="Sources",
    at="lecture 17.15b",
    code="transforms.Residual",
)
def full() -> float:
    """the share of zeros in a step's Jacobian by autograd: none; and its determinant, and log_det"""
    layer, z = step(4), draw(4)
    j = torch.func.jacrev(lambda z: layer(z)[0])(z)
    return max((j == 0.0).sum().item() / 16.0, gap(torch.linalg.slogdet(j).logabsdet, layer(z)[1]))


@ROWS.claim(
    "the small additive steps of 2010 are the residual flows of today",
    "yes, nearly",
    "same step x = z + εv; there each is chosen from a few, here a network bounded by its Lipschitz constant",
    section="6. Relatives",
    at="wiki 16",
    code="transforms.Residual",
    exercise="09_residual_inverse",
    bound=1e-3,
)
def small_steps() -> float:
    """log det(I + εJ) / ε at ε = 1e-5, and tr J"""
    j = draw(3, 3)
    return gap(torch.logdet(torch.eye(3) + 1e-5 * j) / 1e-5, j.trace())


@ROWS.claim(
    "a planar flow is a residual layer of one hidden unit",
    "yes",
    "and its condition is milder: w·u > −1, where a contraction asks for ‖w‖‖u‖ < 1",
    section="6. Relatives",
    at="lecture 17.11c",
    code="transforms.Planar",
)
def one_unit() -> float:
    """both layers, points and log-determinants"""
    planar = Planar(3, u=[0.3, 0.1, -0.2], w=[0.8, -0.5, 0.4], b=0.2)

    class Unit(nn.Module):
        def forward(self, z: Tensor) -> Tensor:
            return planar.u_hat * torch.tanh(z @ planar.w + planar.b).unsqueeze(-1)

    layer, z = Residual(Unit(), size=3), draw(10, 3)
    return max(gap(layer(z)[0], planar(z)[0]), gap(layer(z)[1], planar(z)[1]))
