"""The rows of notebook 10: infinitely many small steps."""

import math

import torch
from torch import Tensor

from flowlib.course.formulas.proving import bell, draw, gap, integral, shaken, worst
from flowlib.course.formulas.row import Rows
from flowlib.course.stored import stored
from flowlib.nets import VelocityMLP
from flowlib.nets.field import Field
from flowlib.transforms.continuous import Continuous
from flowlib.transforms.density_ascent import DensityAscent
from flowlib.transforms.gaussianization import Gaussianization

ROWS = Rows("10_infinitely_many_small_steps")
START = 3.0  # the deviation of the data of section 1


def deviation(t: Tensor | float) -> Tensor:
    """s_t of the bell that drifts to a standard normal."""
    return (1.0 + (START**2 - 1.0) * torch.exp(-2.0 * torch.as_tensor(t))).sqrt()


def spread(x: Tensor, s: Tensor | float) -> Tensor:
    return bell(x / s) / s


class Shrink(Field):
    """v(t, x) = −0.7 x."""

    def forward(self, t: Tensor, x: Tensor, context: Tensor | None = None) -> Tensor:
        return -0.7 * x


@ROWS.formula(
    "a density by a map to noise",
    r"p_X(x) = p_Z(y(x))\,\lvert\det \partial y/\partial x\rvert",
    section="1. Why the name",
    at="wiki 6",
    code="Flow.log_prob",
    exercise="00_line_log_prob",
)
def by_a_map() -> float:
    """a bell of deviation 3 by y = x / 3, and its density"""
    x = draw(20)
    return gap(bell(x / START) / START, torch.distributions.Normal(0.0, START).log_prob(x).exp())


@ROWS.formula(
    "the drift of a bell",
    r"\frac{ds_t}{dt} = \frac{1}{s_t} - s_t,\quad \phi_t(x) = \frac{s_t}{s_0}\,x,\quad s_t \to 1",
    section="1. Why the name",
    at="wiki 7",
    code="transforms.DensityAscent",
)
def drift() -> float:
    """the closed form put into the equation by autograd, its start, and its end"""
    t = torch.linspace(0.0, 4.0, 20).requires_grad_()
    s = deviation(t)
    slope = torch.autograd.grad(s.sum(), t)[0]
    return max(gap(slope, 1.0 / s - s), gap(deviation(0.0), START), gap(deviation(30.0), 1.0))


@ROWS.formula(
    "the dual: what the drift claims for the data",
    r"\tilde\rho_t(x) = p_Z(\phi_t(x))\,\lvert\det \partial\phi_t/\partial x\rvert,"
    r"\quad \tilde\rho_0 = p_Z,\ \tilde\rho_t \to p_X",
    section="1. Why the name",
    at="wiki 8, wiki 9, wiki 15",
    code="viz.scrub_layers",
)
def dual() -> float:
    """its two ends for the bell: p_Z, and the density of the data"""
    x = draw(20)

    def claimed(t: float) -> Tensor:
        share = deviation(t) / START
        return bell(share * x) * share

    return max(gap(claimed(0.0), bell(x)), gap(claimed(30.0), spread(x, START)))


@ROWS.formula(
    "the data on their way",
    r"\rho_t(\phi_t(x)) = p_X(x) / \lvert\det \partial\phi_t/\partial x\rvert",
    section="1. Why the name",
    at="wiki 13",
    code="viz.scrub_layers",
)
def on_their_way() -> float:
    """the bell after t = 0.4 at φ_t(x), and that of the data over the stretch"""
    x, share = draw(20), deviation(0.4) / START
    return gap(spread(share * x, deviation(0.4)), spread(x, START) / share)


@ROWS.formula(
    "the likelihood rises",
    r"\frac{dL}{dt} = \int \rho_t^2\,\lvert\nabla\log p_Z - \nabla\log\rho_t\rvert^2 \ge 0",
    section="1. Why the name",
    at="wiki 10, wiki 11, wiki 12",
    code="training.fit_greedy",
    bound=1e-6,
)
def rises() -> float:
    """for a bell of deviation s: the integral on a grid, and (s⁻² − 1)² s / (4√π)"""
    s = 2.0
    found = integral(lambda z: spread(z, s).square() * (z / s**2 - z).square(), -30.0, 30.0)
    return gap(found, (s**-2 - 1.0) ** 2 * s / (4.0 * math.sqrt(math.pi)))


@ROWS.claim(
    "the limit of the drift is a local minimizer of L",
    "no",
    "a maximizer: L is ascended, by 0.1587 and 0.3343 nats a unit of time for bells of deviation 2 and 3",
    section="1. Why the name",
    at="wiki 11",
    code="training.fit_greedy",
    bound=1e-5,
)
def maximizer() -> float:
    """the rate of L by a tiny step of the printed drift on a bell of deviation 2, and the formula's 0.15867"""
    s, e = 2.0, 1e-6

    def claimed(z: Tensor) -> Tensor:
        v = spread(z, s) * (z / s**2 - z)
        slope = spread(z, s) * ((s**-2 - 1.0) - z.square() / s**2 * (s**-2 - 1.0))
        return -0.5 * (z + e * v).square() + torch.log1p(e * slope) + 0.5 * z.square()

    rate = integral(lambda z: spread(z, s) * claimed(z) / e, -30.0, 30.0)
    return gap(rate, (s**-2 - 1.0) ** 2 * s / (4.0 * math.sqrt(math.pi)))


@ROWS.formula(
    "the printed drift is the velocity times the density",
    r"\frac{\rho_t}{p_Z}\nabla p_Z - \nabla\rho_t = \rho_t\,(\nabla\log p_Z - \nabla\log\rho_t)",
    section="1. Why the name",
    at="wiki 12",
    code="transforms.DensityAscent",
)
def printed_drift() -> float:
    """both sides by autograd, for a bell of deviation 2"""
    z = draw(20).requires_grad_()
    rho, base = spread(z, 2.0), bell(z)
    up, down = (torch.autograd.grad(p.sum(), z, retain_graph=True)[0] for p in (base, rho))
    logs = [torch.autograd.grad(p.log().sum(), z, retain_graph=True)[0] for p in (base, rho)]
    return gap(rho / base * up - down, rho * (logs[0] - logs[1]))


@ROWS.formula(
    "a density seen from a moving point",
    r"\frac{d\rho_t}{dt} = \frac{\partial\rho_t}{\partial t} + \nabla\rho_t \cdot \frac{dz}{dt}",
    section="5. From small steps to an equation",
    at="wiki 14",
    code="transforms.Continuous",
)
def moving_point() -> float:
    """both sides for the bell of section 1 by autograd, and −ρ ∂v/∂z"""
    t = torch.tensor(0.4).requires_grad_()
    z = draw(10).requires_grad_()
    rho, velocity = spread(z, deviation(t)), (deviation(t) ** -2 - 1.0) * z
    by_place = torch.autograd.grad(rho.sum(), z, retain_graph=True)[0]
    by_time = torch.stack([torch.autograd.grad(each, t, retain_graph=True)[0] for each in rho])
    return gap(by_time + by_place * velocity, -rho * (deviation(t) ** -2 - 1.0))


@ROWS.claim(
    "the name was first Tabak and Vanden-Eijnden's (2010), for data that flow to normality",
    "yes",
    "as far as we know; run backwards, the same drift makes data of noise",
    section="1. Why the name",
    at="wiki 4, wiki 5, wiki 15",
    code="transforms.DensityAscent",
    bound=1e-6,
)
def two_walks() -> float:
    """one drift, solved: backwards it stretches noise by s_0 / s_t, forwards it shrinks by as much"""

    class Backwards(Field):
        def forward(self, t: Tensor, x: Tensor, context: Tensor | None = None) -> Tensor:
            return (1.0 - deviation(1.0 - t) ** -2) * x

    walk, noise = Continuous(Backwards(1), steps=32), draw(10, 1)
    stretch = START / deviation(1.0)
    return max(gap(walk(noise)[0], stretch * noise), gap(walk.inverse(noise)[0], noise / stretch))


@ROWS.system(
    "density ascent",
    r"\beta^\ast = \frac{\mathbb E[\mathrm{tr} J - x \cdot v]}{\mathbb E[\lVert v\rVert^2 + \mathrm{tr} J^2]},"
    r"\quad \text{gain } \frac{a^2}{2b}",
    section="2. One elementary step",
    at="wiki 12, wiki 16",
    code="models.density_ascent",
    exercise="10_best_strength",
    bound=1e-6,
)
def ascent() -> float:
    """for v = x on normal data of deviation 1.01: β* = a / b to first order; and every claim of a learned layer"""
    layer = DensityAscent(2)
    layer.learn(draw(500, 2) * torch.tensor([0.5, 1.0]))
    s = 1.0001  # a = 1 − s², b = s² + 1; the best stretch is 1/s − 1
    return max(worst(layer), gap((1.0 - s**2) / (s**2 + 1.0), 1.0 / s - 1.0))


@ROWS.system(
    "Gaussianization",
    r"z_i = \Phi^{-1}(F_i(y_i)),\quad \text{turn, repeat}",
    section="4. Gaussianization: whole coordinates at once",
    at="wiki 17",
    code="models.gaussianization",
    exercise="01_uniform_to_normal",
)
def gaussianization() -> float:
    """a learned round, against autograd"""
    layer = Gaussianization(3)
    layer.learn(draw(300, 3).exp())
    return worst(layer)


@ROWS.claim(
    "Gaussianization is a similar idea, without a flow",
    "yes",
    "greedy rounds, each lowers the KL; here a layer like others: 0.17 nats above the floor, 0.06 trained together",
    section="4. Gaussianization: whole coordinates at once",
    at="wiki 17",
    code="models.gaussianization",
    bound=0.01,
)
def trained_together() -> float:
    """the means of both rows as stored, and 0.1655 and 0.0611"""
    gaps = {row["family"]: sum(row["gaps"]) / 2.0 for row in stored("small_steps")["rows"]}
    found = [gaps["Gaussianization"], gaps["Gaussianization, then trained"]]
    return gap(torch.tensor(found), torch.tensor([0.1655, 0.0611]))


@ROWS.formula(
    "instantaneous change of variables",
    r"\frac{dz}{dt} = v(t, z),\quad \log\lvert\det \tfrac{\partial x}{\partial z}\rvert = \int_0^1 \mathrm{tr}"
    r"\frac{\partial v}{\partial z}\,dt",
    section="5. From small steps to an equation",
    at="wiki 2",
    code="transforms.Continuous",
    exercise="10_euler_flow",
    bound=1e-8,
)
def instantaneous() -> float:
    """the field −0.7 x: where it ends, e^{−0.7} z, and the log-determinant −0.7 D"""
    layer, z = Continuous(Shrink(3), steps=32), draw(10, 3)
    x, log_det = layer(z)
    return max(gap(x, math.exp(-0.7) * z), gap(log_det, torch.full((10,), -2.1)))


@ROWS.system(
    "neural ODE (FFJORD)",
    r"\frac{d}{dt}\log p_t(z_t) = -\mathrm{tr}\frac{\partial v}{\partial z}",
    section="6. A continuous flow",
    code="models.ffjord",
    exercise="10_enough_steps",
    bound=1e-6,
)
def ffjord() -> float:
    """a gentle network, against autograd through all steps"""
    return worst(Continuous(shaken(VelocityMLP(2, [8]), by=0.1), steps=32))


@ROWS.system(
    "flow matching",
    r"\min_v \mathbb E\lVert v(t, x_t) - (x - z)\rVert^2 \;\Rightarrow\; v(t, y) = \mathbb E[x - z \mid x_t = y]",
    section="8. Training: by likelihood, and without it",
    code="models.flow_matching",
    exercise="10_matching_loss",
    bound=1e-6,
)
def matching() -> float:
    """normal data of deviation 3: the mean field solved from z, and the map 3 z"""

    class Mean(Field):
        def forward(self, t: Tensor, x: Tensor, context: Tensor | None = None) -> Tensor:
            return (9.0 * t - (1.0 - t)) / ((1.0 - t) ** 2 + 9.0 * t**2) * x

    z = draw(10, 2)
    x, log_det = Continuous(Mean(2), steps=100)(z)
    return max(gap(x, 3.0 * z), gap(log_det, torch.full((10,), 2.0 * math.log(3.0))))


@ROWS.formula(
    "log p of a flow-matching model",
    r"\log p_X(x) = \log p_Z(z) + \int_1^0 \mathrm{tr}\frac{\partial v}{\partial z}\,dt,\quad \text{solved from } x",
    section="8. Training: by likelihood, and without it",
    code="models.flow_matching",
    exercise="10_log_prob",
    bound=1e-6,
)
def log_p() -> float:
    """the field −0.7 x: by solving backwards, and the bell of deviation e^{−0.7}"""
    x = draw(10, 1)
    z, log_det = Continuous(Shrink(1), steps=32).inverse(x)
    found = bell(z[:, 0]).log() + log_det
    return gap(found, spread(x[:, 0], math.exp(-0.7)).log())
