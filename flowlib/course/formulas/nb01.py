"""The rows of notebook 01: change of variables in one dimension."""

import math

import torch
from torch import Tensor

from flowlib.bases import DiagonalNormal, StandardNormal
from flowlib.core import Compose, Flow
from flowlib.course.formulas.proving import bell, draw, gap, integral
from flowlib.course.formulas.row import Rows
from flowlib.support.roots import monotone_root
from flowlib.transforms.planar import Planar

ROWS = Rows("01_one_dimension")
TINY = 1e-9


def bend() -> Flow:
    """x = z + 2 tanh(1.5 z), the map of section 3."""
    return Flow(Planar(1, u=[2.0], w=[1.5], b=0.0), StandardNormal(1))


def density(flow: Flow, x: Tensor) -> Tensor:
    with torch.no_grad():
        return flow.log_prob(x.unsqueeze(-1)).exp()


@ROWS.formula(
    "areas stay",
    r"p_X(x)\,\lvert dx\rvert = p_Z(z)\,\lvert dz\rvert",
    section="2. From areas to a formula",
    at="lecture 17.3",
    code="viz.area_stays_one",
    bound=1e-6,
)
def areas() -> float:
    """the mass between f(-0.5) and f(1), and between -0.5 and 1"""
    flow = bend()
    a, b = (flow.transform(torch.tensor([z]))[0].item() for z in (-0.5, 1.0))
    return gap(integral(lambda x: density(flow, x), a, b), integral(bell, -0.5, 1.0))


@ROWS.formula(
    "change of variables on the line",
    r"p_X(x) = p_Z(z)\,\left\lvert \tfrac{dz}{dx} \right\rvert = \frac{p_Z(z)}{\lvert f'(z)\rvert},\quad z = f^{-1}(x)",
    section="2. From areas to a formula",
    at="lecture 17.4",
    code="Flow.log_prob",
    exercise="01_affine_log_prob",
)
def on_the_line() -> float:
    """log p of a bent map, and the slope by hand"""
    z = draw(20)
    x, slope = z + 2.0 * torch.tanh(1.5 * z), 1.0 + 3.0 * (1.0 - torch.tanh(1.5 * z).square())
    return gap(density(bend(), x), bell(z) / slope)


@ROWS.formula(
    "a density has mass 1",
    r"\int p_X(x)\,dx = 1",
    section="2. From areas to a formula",
    at="lecture 17.4",
    code="prove",
    bound=1e-6,
)
def mass() -> float:
    """the mass of a bent map, and 1"""
    return gap(integral(lambda x: density(bend(), x), -12.0, 12.0), 1.0)


@ROWS.claim(
    "the map of the points is not the map of their densities",
    "yes",
    "x = 2z + 1 without its stretch has mass 2",
    section="2. From areas to a formula",
    at="chef 7",
    code="Flow.log_prob",
    exercise="01_affine_log_prob",
    bound=1e-6,
)
def not_the_same_map() -> float:
    """the mass of p_Z((x - 1) / 2), and 2"""
    return gap(integral(lambda x: bell((x - 1.0) / 2.0), -30.0, 30.0), 2.0)


@ROWS.claim(
    "a density has values in [0, 1]",
    "no",
    "the normal density of deviation 0.1 peaks at 3.9894",
    section="A density is not a probability",
    at="wiki 3",
    code="bases.DiagonalNormal",
    exercise="04_bits_per_dim",
)
def above_one() -> float:
    """the peak at deviation 0.1, and 10 / √(2π)"""
    narrow = DiagonalNormal(loc=[0.0], scale=[0.1])
    return gap(narrow.log_prob(torch.zeros(1)).exp(), 10.0 / math.sqrt(2.0 * math.pi))


@ROWS.formula(
    "a map with a bend",
    r"f(z) = z + u\tanh(wz + b),\quad f'(z) = 1 + u w\,(1 - \tanh^2(wz + b))",
    section="3. Bend",
    code="transforms.Planar",
)
def a_bend() -> float:
    """the log-slope of the layer, and by hand"""
    z = draw(20)
    slope = 1.0 + 3.0 * (1.0 - torch.tanh(1.5 * z).square())
    return gap(bend().transform(z.unsqueeze(-1))[1], slope.log())


@ROWS.formula(
    "one map after another",
    r"\log p_X(x) = \log p_Z(z_0) - \sum_{k=1}^{K} \log\lvert f_k'(z_{k-1})\rvert",
    section="4. One map after another",
    at="tutorial 12",
    code="Compose.trace",
    exercise="01_chain_log_det",
)
def chain() -> float:
    """the sum of log-slopes, and the slope of the whole by autograd"""
    f = Compose([Planar(1), Planar(1), Planar(1)])
    z = draw(20, 1).requires_grad_()
    x, log_det = f(z)
    return gap(log_det, torch.autograd.grad(x.sum(), z)[0].abs().log().squeeze(-1))


@ROWS.formula(
    "an inverse by search",
    r"f' > 0:\quad \text{one } z \text{ with } f(z) = x,\quad \frac{dz}{dx} = \frac{1}{f'(z)}",
    section="5. An inverse without a formula",
    code="support.roots.monotone_root",
    exercise="03_planar_inverse",
)
def by_search() -> float:
    """the wave z + 0.4 sin 2z at the root, and its slope there"""
    x = (3.0 * draw(20)).requires_grad_()
    z = monotone_root(lambda z: (z + 0.4 * torch.sin(2.0 * z), 1.0 + 0.8 * torch.cos(2.0 * z)), x)
    slope = torch.autograd.grad(z.sum(), x)[0]
    return max(gap(z + 0.4 * torch.sin(2.0 * z), x), gap(slope, 1.0 / (1.0 + 0.8 * torch.cos(2.0 * z))))


@ROWS.formula(
    "a fold",
    r"p_X(x) = \sum_{z:\,f(z) = x} \frac{p_Z(z)}{\lvert f'(z)\rvert}",
    section="A fold",
    code="transforms.Planar",
)
def fold() -> float:
    """the square of a normal number by both its roots, and the chi-square density"""
    x = draw(20).square() + 0.1
    both = 2.0 * bell(x.sqrt()) / (2.0 * x.sqrt())
    return gap(both, torch.exp(-x / 2.0) / (2.0 * math.pi * x).sqrt())


@ROWS.claim(
    "rolling, folding and pressing can all be undone",
    "no",
    "a fold cannot: squared numbers, asked for one origin, keep half of the mass",
    section="A fold",
    at="chef 3",
    code="transforms.Planar",
    bound=1e-2,
)
def no_fold() -> float:
    """the mass of x = z² with one origin each, and one half; below 1e-8 lies the rest"""
    x = torch.logspace(-10, 2.5, 200001)
    return gap(torch.trapezoid(bell(x.sqrt()) / (2.0 * x.sqrt()), x), 0.5)


@ROWS.claim(
    "the determinant of the inverse must not be 0",
    "yes, if it is finite too",
    "x = z³ has a density of 1329.7 at z = 0.01 and an infinite one at 0",
    section="A flat spot",
    at="lecture 17.6c",
    code="transforms.Planar",
    bound=1e-4,
)
def flat_spot() -> float:
    """p_Z(0.01) / 0.0003, and 1329.7411"""
    return gap(bell(torch.tensor(0.01)) / (3.0 * 0.01**2), 1329.7411)


@ROWS.formula(
    "Gaussian to uniform",
    r"u = \Phi(z),\quad p_U(u) = \frac{p_Z(z)}{\Phi'(z)} = 1",
    section="7. Gaussian to uniform and back, and on to anything",
    code="",
    exercise="01_uniform_to_normal",
)
def to_uniform() -> float:
    """the slope of Φ by autograd, and the bell"""
    z = draw(20).requires_grad_()
    return gap(torch.autograd.grad(torch.special.ndtr(z).sum(), z)[0], bell(z.detach()))


@ROWS.formula(
    "any density on the line",
    r"x = F^{-1}(\Phi(z)) \;\text{ has the density }\; F'(x)",
    section="Any density on the line",
    code="transforms.Gaussianization",
    exercise="01_uniform_to_normal",
    bound=TINY,
)
def any_density() -> float:
    """a logistic variable made of a normal one: p_Z(z) / slope, and its own density"""
    z = draw(20).requires_grad_()
    x = torch.logit(torch.special.ndtr(z))
    slope = torch.autograd.grad(x.sum(), z)[0]
    return gap(bell(z) / slope, torch.sigmoid(x) * torch.sigmoid(-x))


@ROWS.formula(
    "elementwise maps",
    r"x_i = \sigma(z_i),\quad \log\lvert\det J\rvert = \sum_i \log\sigma'(z_i)",
    section="Exercise 1.4: many dimensions, one log-determinant a point",
    code="transforms.Sigmoid",
    exercise="01_sigmoid_log_det",
)
def elementwise() -> float:
    """the sum of log-slopes, and slogdet of the diagonal Jacobian"""
    z = draw(7)
    slopes = torch.sigmoid(z) * (1.0 - torch.sigmoid(z))
    jacobian = torch.func.jacrev(torch.sigmoid)(z)
    return gap(slopes.log().sum(), torch.linalg.slogdet(jacobian).logabsdet)


@ROWS.formula(
    "nats, bits and dimensions",
    r"\text{bits per dimension} = -\frac{\log p_X(x)}{D \log 2}",
    section="Why logarithms",
    code="Flow.bits_per_dim",
    exercise="04_bits_per_dim",
)
def bits() -> float:
    """`bits_per_dim` of a flow, and the division by hand"""
    flow, x = Flow(Planar(5), StandardNormal(5)), draw(20, 5)
    return gap(flow.bits_per_dim(x), -flow.log_prob(x) / (5.0 * math.log(2.0)))
