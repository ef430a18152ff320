"""The rows of notebook 05: coupling layers."""

import math

import torch
from torch import Tensor, nn

from flowlib.bases import StandardNormal
from flowlib.core import Compose, Flow
from flowlib.course.formulas.proving import bell, draw, gap, integral, shaken, worst
from flowlib.course.formulas.row import Rows
from flowlib.laws import Additive, Affine, Law, RationalQuadratic
from flowlib.nets import MLP, ConvNet
from flowlib.transforms.coupling import Coupling
from flowlib.transforms.elementwise import ElementwiseAffine
from flowlib.transforms.linear import Linear, Permutation
from flowlib.transforms.partition import Channels, Checkerboard, Partition

ROWS = Rows("05_coupling_layers")


def coupling(law: Law, dim: int = 5, flip: bool = False) -> Coupling:
    """A coupling with a network that is not silent."""
    halves = Partition(dim, flip=flip)
    return shaken(Coupling(law, MLP(halves.kept, halves.moved * law.n_params, [8]), halves))


def jacobian(layer: Coupling, z: Tensor) -> Tensor:
    return torch.func.jacrev(lambda point: layer(point)[0])(z)


def told(layer: Coupling, z: Tensor) -> Tensor:
    """What the network says of the half that stays, a row of parameters for each moved number."""
    kept = layer.partition.kept
    return layer.conditioner(z[:, :kept]).unflatten(-1, (layer.partition.moved, -1))


@ROWS.formula(
    "coupling layer",
    r"x_1 = z_1,\quad x_2 = g(z_2;\, m(z_1))",
    section="3. RealNVP, and the general law",
    at="tutorial 16, review 20",
    code="transforms.Coupling",
    exercise="05_two_couplings",
)
def general() -> float:
    """the layer with three laws, against autograd; and its first half"""
    layers = [coupling(law) for law in (Additive(), Affine(), RationalQuadratic())]
    z = draw(8, 5)
    kept = layers[0].partition.kept
    return max(*(worst(layer) for layer in layers), *(gap(layer(z)[0][:, :kept], z[:, :kept]) for layer in layers))


@ROWS.formula(
    "its inverse runs m forwards",
    r"z_1 = x_1,\quad z_2 = g^{-1}(x_2;\, m(x_1))",
    section="3. RealNVP, and the general law",
    at="tutorial 19, review 21",
    code="transforms.Coupling",
    exercise="05_affine_inverse",
)
def its_inverse() -> float:
    """there and back with a spline as the law"""
    layer, z = coupling(RationalQuadratic()), draw(20, 5)
    return gap(layer.inverse(layer(z)[0])[0], z)


@ROWS.formula(
    "its Jacobian is a triangle",
    r"J = \begin{pmatrix} I & 0 \\ \ast & \partial g/\partial z_2 \end{pmatrix},"
    r"\quad \log\lvert\det J\rvert = \sum_{\text{moved}} \log\lvert g'\rvert",
    section="2. The triangular Jacobian",
    at="tutorial 17, tutorial 18, review 22, review 11",
    code="transforms.Coupling",
    exercise="05_affine_log_det",
)
def its_jacobian() -> float:
    """autograd's Jacobian above the diagonal and 0, its diagonal and log_det"""
    layer, z = coupling(RationalQuadratic()), draw(5)
    j = jacobian(layer, z)
    return max(gap(j.triu(1), torch.zeros(5, 5)), gap(j.diagonal().abs().log().sum(), layer(z)[1]))


@ROWS.system(
    "NICE",
    r"x_2 = z_2 + m(z_1),\quad \log\lvert\det J\rvert = 0",
    section="1. NICE in six lines",
    at="lecture 17.12",
    code="models.nice",
    exercise="05_nice_log_prob",
)
def additive() -> float:
    """the layer by the formula, and every claim of a stack of two"""
    layer, z = coupling(Additive()), draw(20, 5)
    kept = layer.partition.kept
    moved = gap(layer(z)[0][:, kept:], z[:, kept:] + told(layer, z)[..., 0])
    return max(moved, worst(Compose([layer, coupling(Additive(), flip=True), ElementwiseAffine(5)])))


@ROWS.formula(
    "NICE keeps volume",
    r"\det \frac{\partial f^{-1}}{\partial x} = 1",
    section="2. The triangular Jacobian",
    at="lecture 17.13",
    code="laws.Additive",
    exercise="05_nice_log_prob",
)
def keeps_volume() -> float:
    """slogdet of autograd's Jacobian of the inverse, and 0"""
    layer = coupling(Additive())
    j = torch.func.jacrev(lambda x: layer.inverse(x)[0])(draw(5))
    return gap(torch.linalg.slogdet(j).logabsdet, 0.0)


@ROWS.claim(
    "NICE's m is a scale and a translation",
    "no",
    "a translation only, so its lower right block is the identity; the scale is RealNVP's",
    section="Sources",
    at="lecture 17.12, lecture 17.13",
    code="laws.Additive",
    exercise="05_nice_log_prob",
)
def translation_only() -> float:
    """the moved block of autograd's Jacobian, and the identity"""
    layer = coupling(Additive(), dim=6)
    return gap(jacobian(layer, draw(6))[3:, 3:], torch.eye(3))


@ROWS.system(
    "RealNVP",
    r"x_2 = z_2 \odot e^{s(z_1)} + t(z_1),\quad \log\lvert\det J\rvert = \sum_i s_i(z_1)",
    section="3. RealNVP, and the general law",
    at="tutorial 20, lecture 17.14, review 26",
    code="models.real_nvp",
    exercise="05_affine_log_det",
)
def affine() -> float:
    """the layer's log-slopes by autograd, their sum, and every claim of a stack of two"""
    layer, z = coupling(Affine(), dim=6), draw(6)
    slopes = jacobian(layer, z)[3:, 3:].diagonal().log().sum()
    return max(gap(slopes, layer(z)[1]), worst(Compose([layer, coupling(Affine(), dim=6, flip=True)])))


@ROWS.formula(
    "RealNVP's Jacobian",
    r"J = \begin{pmatrix} I & 0 \\ \ast & \mathrm{diag}(e^{s}) \end{pmatrix};"
    r"\quad \text{of the inverse: } \mathrm{diag}(e^{-s})",
    section="3. RealNVP, and the general law",
    at="tutorial 21, lecture 17.15",
    code="laws.Affine",
    exercise="05_affine_log_det",
)
def affine_jacobian() -> float:
    """the moved blocks of both directions by autograd: one inverts the other, both are diagonal"""
    layer, z = coupling(Affine(), dim=6), draw(6)
    there = jacobian(layer, z)[3:, 3:]
    back = torch.func.jacrev(lambda x: layer.inverse(x)[0])(layer(z)[0])[3:, 3:]
    return gap(torch.stack([there, back]), torch.stack([there.diagonal().diag(), (1.0 / there.diagonal()).diag()]))


@ROWS.formula(
    "RealNVP's inverse",
    r"z_2 = (x_2 - t(x_1)) \odot e^{-s(x_1)}",
    section="3. RealNVP, and the general law",
    at="tutorial 23, lecture 17.14",
    code="laws.Affine",
    exercise="05_affine_inverse",
)
def affine_inverse() -> float:
    """the layer's inverse, and the formula with its own s and t"""
    layer, x = coupling(Affine(), dim=6), draw(20, 6)
    t, s = layer.law(torch.zeros(20, 3), told(layer, x))
    return gap(layer.inverse(x)[0][:, 3:], (x[:, 3:] - t) * torch.exp(-s))


@ROWS.claim(
    "the inverse of RealNVP is x₂ − m ⊙ exp(−s)",
    "no",
    "brackets are missing: with s = 1, m = 2 the printed one gives 9.4191 for 3",
    section="Sources",
    at="lecture 17.14",
    code="laws.Affine",
    exercise="05_affine_inverse",
    bound=1e-3,
)
def without_brackets() -> float:
    """the printed formula at ε = 3, and 9.4191"""
    x = 3.0 * math.e + 2.0
    return gap(x - 2.0 * math.exp(-1.0), 9.4191)


@ROWS.claim(
    "the block of RealNVP's inverse is exp(s)",
    "no",
    "exp(−s): with s = 1 the printed factor gives a mass of e² = 7.3891",
    section="Sources",
    at="lecture 17.15",
    code="laws.Affine",
    exercise="05_affine_log_det",
    bound=1e-6,
)
def wrong_block() -> float:
    """the mass with the factor e at every x = e z + 2, and e²"""
    return gap(integral(lambda x: bell((x - 2.0) / math.e) * math.e, -40.0, 44.0), math.exp(2.0))


@ROWS.claim(
    "m is never inverted, so it may be anything: dense, convolutional, a transformer",
    "yes",
    "even rounding, which jumps: each column keeps its mass",
    section="4. m can be anything",
    at="review 23",
    code="transforms.Coupling",
    exercise="05_two_couplings",
)
def anything() -> float:
    """every claim with a staircase in the place of the network"""

    class Stairs(nn.Module):
        def forward(self, z: Tensor) -> Tensor:
            return torch.cat([z, 0.5 * z], -1).round()

    return worst(Coupling(Affine(), Stairs(), Partition(4)))


@ROWS.claim(
    "the law g must stay simple, for example affine",
    "no",
    "increasing is enough: splines end 0.009 nats above the floor of two moons, affine laws 0.085 (06 §11)",
    section="3. RealNVP, and the general law",
    at="review 24",
    code="laws.Law",
)
def any_law() -> float:
    """the law sinh(asinh z + t), which is in no paper: its slope by autograd, and by its formula"""
    z, t = draw(20).requires_grad_(), draw(20)
    slope = torch.autograd.grad(torch.sinh(torch.asinh(z) + t).sum(), z)[0]
    log_slope = torch.cosh(torch.asinh(z) + t).log() - 0.5 * torch.log1p(z.square())
    return gap(slope.log(), log_slope)


@ROWS.claim(
    "couplings alternate with permutations, which makes the stack say more",
    "yes",
    "without them x₁ = z₁ for ever, and the moons cost 0.1 nats more at "
    "least; which mixing matters less than that there is one",
    section="7. Who listens to whom: swaps, permutations, linear mixing",
    at="review 25",
    code="transforms.Permutation",
    exercise="05_never_moved",
)
def never_moved() -> float:
    """four couplings of the same half: its numbers before and after; with a permutation between, all claims"""
    same = Compose([coupling(Affine(), 6) for _ in range(4)])
    turned = Compose([coupling(Affine(), 6), Permutation([3, 4, 5, 0, 1, 2]), coupling(Affine(), 6)])
    z = draw(10, 6)
    return max(gap(same(z)[0][:, :3], z[:, :3]), worst(turned))


@ROWS.claim(
    "a map that changes volume suits real data better",
    "yes, where density varies",
    "a wide and a narrow blob: NICE cannot come below 0.9895 nats; on moons its stretch buys back all but 0.0358",
    section="8. Volume preserving or not",
    at="tutorial 22",
    code="models.nice",
    exercise="05_nice_log_prob",
)
def volume() -> float:
    """the highest density after any additive coupling, and that of the base"""
    flow, z = Flow(coupling(Additive(), 2), StandardNormal(2)), torch.zeros(1, 2)
    return gap(flow.log_prob(flow.transform(z)[0]).exp(), 1.0 / (2.0 * math.pi))


@ROWS.formula(
    "what keeping volume costs",
    r"\mathcal L \ge \log 2\pi + \frac{\mathbb E[A(x)]}{2\pi};\quad \text{with one stretch } 1 + \log\mathbb E[A(x)]",
    section="8. Volume preserving or not",
    at="tutorial 22",
    code="models.nice",
    bound=1e-4,
)
def price() -> float:
    """for a bell of deviation s in the plane, E[A] = 2πs²: the bound with a stretch, and its entropy 1 + log 2πs²"""
    s, r = 0.3, torch.linspace(0.0, 6.0, 200001)
    area = torch.trapezoid(torch.pi * (s * r).square() * r * torch.exp(-0.5 * r.square()), r)
    return gap(1.0 + area.log(), 1.0 + math.log(2.0 * math.pi * s**2))


@ROWS.formula(
    "the bridge",
    r"f \text{ continuous},\ p_Z > 0 \;\Rightarrow\; p_X > 0",
    section="11. What no coupling flow can do: the bridge",
    code="bases.NormalMixture",
)
def bridge() -> float:
    """the slope in the middle of the map from one bell to two at ±2.5 of deviation 0.5, and ½ e^{2 · 2.5²}"""
    middle = bell(torch.tensor(5.0)) / 0.5
    return gap(bell(torch.tensor(0.0)) / middle, 0.5 * math.exp(2.0 * 2.5**2))


@ROWS.claim(
    "RealNVP was among the first deep flows that make images, near the best of their time",
    "not measured here",
    "a date and a judgement; what a RealNVP makes of digits is on page 07, published bits beside ours on page 08 §9",
    section="Sources",
    at="review 26",
    code="models.real_nvp_image",
)
def among_the_first() -> float:
    """its couplings, on a chessboard and on channels, against autograd"""
    parts = (Checkerboard((2, 4, 4)), Channels((4, 2, 2)))
    return max(worst(shaken(Coupling(Affine(), ConvNet(part.kept, 2 * part.moved, 6, 1), part))) for part in parts)


@ROWS.formula(
    "linear mixing between couplings",
    r"\log\lvert\det J\rvert = \sum_k \sum_i s_i + \sum_k \log\lvert\det W_k\rvert",
    section="7. Who listens to whom: swaps, permutations, linear mixing",
    code="transforms.Linear",
    exercise="05_never_moved",
)
def mixing() -> float:
    """couplings with a matrix between them, against autograd"""
    return worst(Compose([coupling(Affine()), Linear(5), coupling(Affine(), flip=True)]))
