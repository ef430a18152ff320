"""The rows of notebook 06: splines and autoregressive flows."""

import torch
from torch import Tensor

from flowlib.bases import StandardNormal
from flowlib.core import Compose, Flow, Given, Inverse
from flowlib.course.formulas.proving import draw, gap, shaken, worst
from flowlib.course.formulas.row import Rows
from flowlib.laws import Affine, RationalQuadratic
from flowlib.nets import MADE, MLP, CausalTransformer
from flowlib.transforms.autoregressive import Autoregressive
from flowlib.transforms.coupling import Coupling
from flowlib.transforms.linear import Permutation
from flowlib.transforms.partition import Partition

ROWS = Rows("06_splines_and_autoregressive_flows")
S, D0, D1 = 0.8, 0.4, 2.5  # mean slope of a bin of width 1, and the slopes at its ends


def in_bin(t: Tensor) -> Tensor:
    """The rational quadratic from (0, 0) to (1, S)."""
    u = t * (1.0 - t)
    return S * (S * t.square() + D0 * u) / (S + (D0 + D1 - 2.0 * S) * u)


def made(dim: int = 5, law=Affine) -> Autoregressive:
    return shaken(Autoregressive(law(), MADE(dim, law().n_params, [16, 16])))


@ROWS.formula(
    "a rising curve through knots",
    r"x = x_0 + h\,\frac{s\xi^2 + d_0\,\xi(1 - \xi)}{s + (d_0 + d_1 - 2s)\,\xi(1 - \xi)}",
    section="2. What goes between two knots",
    code="laws.RationalQuadratic",
    exercise="06_bin_log_slope",
)
def spline() -> float:
    """the ends of a bin, and the slopes there by autograd"""
    t = torch.tensor([0.0, 1.0]).requires_grad_()
    x = in_bin(t)
    slopes = torch.autograd.grad(x.sum(), t)[0]
    return max(gap(x, torch.tensor([0.0, S])), gap(slopes, torch.tensor([D0, D1])))


@ROWS.formula(
    "its slope",
    r"\frac{dx}{dz} = \frac{s^2(d_1\xi^2 + 2s\,\xi(1 - \xi) + d_0(1 - \xi)^2)}{(s + (d_0 + d_1 - 2s)\,\xi(1 - \xi))^2}",
    section="2. What goes between two knots",
    code="laws.RationalQuadratic",
    exercise="06_bin_log_slope",
)
def spline_slope() -> float:
    """the slope by autograd, and the formula"""
    t = torch.rand(20).requires_grad_()
    u, slope = t * (1.0 - t), torch.autograd.grad(in_bin(t).sum(), t)[0]
    top = S**2 * (D1 * t.square() + 2.0 * S * u + D0 * (1.0 - t).square())
    return gap(slope, top / (S + (D0 + D1 - 2.0 * S) * u).square())


@ROWS.system(
    "neural spline flow",
    r"x_2 = g(z_2;\, \text{knots}(m(z_1)))",
    section="3. Affine against spline, at equal cost in parameters",
    at="tutorial 16",
    code="models.spline_flow",
    exercise="06_bin_log_slope",
)
def spline_flow() -> float:
    """a coupling with splines, against autograd"""
    law, halves = RationalQuadratic(), Partition(5)
    return worst(shaken(Coupling(law, MLP(halves.kept, halves.moved * law.n_params, [8]), halves)))


@ROWS.formula(
    "one coordinate after the other",
    r"p(x) = \prod_i p(x_i \mid x_{<i}),\quad x_i = g(z_i;\, m_i(x_{<i}))",
    section="4. One coordinate after the other",
    code="transforms.Autoregressive",
    exercise="06_maf_forward",
)
def one_after_the_other() -> float:
    """the layer's first numbers, made alone, and as part of the whole"""
    layer, z = made(), draw(10, 5)
    other = torch.cat([z[:, :3], draw(10, 2)], -1)
    return gap(layer(z)[0][:, :3], layer(other)[0][:, :3])


@ROWS.formula(
    "autoregressive determinant",
    r"\log\lvert\det \tfrac{\partial x}{\partial z}\rvert = \sum_{i=1}^{D} \log"
    r"\lvert \tfrac{\partial g}{\partial z_i}(z_i;\theta_i)\rvert",
    section="4. One coordinate after the other",
    at="review 11",
    code="transforms.Autoregressive",
    exercise="06_maf_forward",
)
def autoregressive() -> float:
    """autograd's Jacobian: above the diagonal 0, the log of its diagonal the log_det"""
    layer, z = made(), draw(5)
    j = torch.func.jacrev(lambda point: layer(point)[0])(z)
    return max(gap(j.triu(1), torch.zeros(5, 5)), gap(j.diagonal().log().sum(), layer(z)[1]))


@ROWS.system(
    "MADE",
    r"\theta_i \text{ hears } x_j \iff j < i",
    section="5. One network for all coordinates: MADE's masks",
    code="nets.MADE",
    exercise="06_made_masks",
)
def masks() -> float:
    """the derivatives of the parameters on and above the diagonal, and 0"""
    net = shaken(MADE(5, 2, [16, 16]))
    j = torch.func.jacrev(net)(draw(5)).sum(1)  # (5, 5), summed over the two parameters
    return gap(j.triu(), torch.zeros(5, 5))


@ROWS.claim(
    "flows are fully tractable: density and samples are exact and easy",
    "exact always, easy both ways not always",
    "a coupling takes one pass either way; MAF samples in D steps, IAF scores in D, planar and residual flows search",
    section="6. MAF and IAF: one class and its inverse",
    at="review 2",
    code="transforms.Autoregressive",
    exercise="06_passes",
)
def both_ways() -> float:
    """a sample made in D steps, with its density, and the density of it in one pass"""
    flow = Flow(made(), StandardNormal(5))
    x, log_prob = flow.sample_with_log_prob(20)
    return gap(flow.log_prob(x), log_prob)


@ROWS.system(
    "MAF",
    r"z_i = g^{-1}(x_i;\, m_i(x_{<i})):\ \text{density in one pass}",
    section="6. MAF and IAF: one class and its inverse",
    code="models.maf",
    exercise="06_passes",
)
def maf() -> float:
    """two layers with the order turned round between them, against autograd"""
    return worst(Compose([made(), Permutation([4, 3, 2, 1, 0]), made()]))


@ROWS.system(
    "IAF",
    r"x_i = g^{-1}(z_i;\, m_i(z_{<i})):\ \text{a sample in one pass}",
    section="6. MAF and IAF: one class and its inverse",
    code="models.iaf",
    exercise="06_passes",
)
def iaf() -> float:
    """the same layer turned round, against autograd"""
    return worst(Inverse(made()))


@ROWS.system(
    "a causal transformer in MADE's place",
    r"\text{token } i \text{ carries } x_{i-1}:\quad \theta_i = m_i(x_{<i})",
    section="8. A transformer in MADE's place",
    at="review 23",
    code="models.transformer_flow",
    exercise="08_carried",
)
def transformer() -> float:
    """an autoregressive layer with attention, against autograd"""
    return worst(shaken(Autoregressive(Affine(), CausalTransformer(4, 2, width=8, heads=2, depth=1))))


@ROWS.formula(
    "a density under a condition",
    r"\theta_i = m_i(x_{<i}, c):\quad \log p(x \mid c)",
    section="10. Densities under a condition",
    code="Given",
    exercise="06_conditional_log_prob",
)
def conditional() -> float:
    """the layer for one context, and for a batch with that context in every row"""
    layer = shaken(Autoregressive(Affine(), MADE(3, 2, [8], context_dim=2)))
    z, c = draw(6, 3), draw(2)
    return max(gap(Given(layer, c)(z)[0], layer(z, c.expand(6, 2))[0]), worst(Given(layer, c), z))
