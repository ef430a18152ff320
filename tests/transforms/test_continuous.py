"""Continuous flows: the trace, the solver, its gradients, and what goes wrong."""

import math

import pytest
import torch
from torch import Tensor
from torch.func import jacrev, vmap

from flowlib import Flow
from flowlib.bases import StandardNormal
from flowlib.models import ffjord, flow_matching
from flowlib.nets import Field, VelocityMLP
from flowlib.transforms import Continuous
from tests.battery.case import Case
from tests.battery.cases import continuous
from tests.battery.gradients import check

pytestmark = pytest.mark.usefixtures("double")
HALF = torch.tensor(0.5, dtype=torch.float64)


def moved(dim: int = 2, hidden: tuple[int, ...] = (16, 16), context_dim: int = 0, size: float = 0.4) -> VelocityMLP:
    """A field that is not gentle."""
    torch.manual_seed(0)
    field = VelocityMLP(dim, hidden, context_dim)
    for parameter in field.parameters():
        torch.nn.init.normal_(parameter, std=size)
    return field


def points(n: int = 6, dim: int = 2) -> Tensor:
    return torch.randn(n, dim, generator=torch.Generator().manual_seed(1), dtype=torch.float64)


def log_det_by_autograd(transform: Continuous, z: Tensor) -> Tensor:
    return torch.linalg.slogdet(vmap(jacrev(lambda p: transform(p)[0]))(z)).logabsdet


class Linear(Field):
    """v = A x, whose flow is known: x(1) = e^A z, log |det| = tr A."""

    def __init__(self, matrix: list[list[float]]):
        super().__init__(len(matrix))
        self.matrix = torch.nn.Parameter(torch.tensor(matrix, dtype=torch.float64))

    def forward(self, t: Tensor, x: Tensor, context: Tensor | None = None) -> Tensor:
        return x @ self.matrix.mT


class Bursting(Field):
    """v = 20 x²: what starts above 0.05 is at infinity before t = 1."""

    def forward(self, t: Tensor, x: Tensor, context: Tensor | None = None) -> Tensor:
        return 20.0 * x.square()


class Wrong(Field):
    def forward(self, t: Tensor, x: Tensor, context: Tensor | None = None) -> Tensor:
        return x.sum(-1)


@pytest.mark.parametrize("hidden", [(16,), (16, 12), (16, 12, 8)])
@pytest.mark.parametrize("dim", [1, 2, 5])
def test_the_trace_is_that_of_the_jacobian(dim, hidden) -> None:
    field, x = moved(dim, hidden), points(dim=dim)
    exact = vmap(jacrev(lambda p: field(HALF, p)))(x).diagonal(dim1=-2, dim2=-1).sum(-1)
    for v, trace in (field.traced()(HALF, x), Field.traced(field)(HALF, x)):
        assert torch.allclose(v, field(HALF, x), atol=1e-14)
        assert torch.allclose(trace, exact, atol=1e-13)
    ours, general = (
        field.along(HALF, x, None, torch.ones(3, 6, dim)),
        Field.along(field, HALF, x, None, torch.ones(3, 6, dim)),
    )
    assert all(torch.allclose(a, b, atol=1e-13) for a, b in zip(ours, general, strict=True))


def test_a_linear_field_has_the_matrix_exponential() -> None:
    field, z = Linear([[0.3, -1.0], [0.8, -0.5]]), points()
    for arguments in ({}, {"tolerance": 1e-9}, {"adjoint": True}):
        x, log_det = Continuous(field, **arguments)(z)
        assert torch.allclose(x, z @ torch.linalg.matrix_exp(field.matrix).mT, atol=1e-7)
        assert torch.allclose(log_det, torch.tensor(-0.2), atol=1e-9)


@pytest.mark.parametrize("recipe", [ffjord, flow_matching])
def test_log_det_at_the_defaults(recipe) -> None:
    """1e-5 beside autograd through the flow map, at a field as the recipe begins with, moved."""
    torch.manual_seed(0)
    layer = recipe().transform.layers()[0]
    with torch.no_grad():
        for parameter in layer.parameters():
            parameter += 0.1 * torch.randn_like(parameter)
    z = points(50)
    assert (layer(z)[1] - log_det_by_autograd(layer, z)).abs().max() < 1e-6


def test_backwards_in_time_is_the_inverse_and_the_path_ends_at_the_map() -> None:
    layer, z = Continuous(moved(size=0.3), steps=64), points()
    x, log_det = layer(z)
    again, back = layer.inverse(x)
    assert (again - z).abs().max() < 1e-8 and (back + log_det).abs().max() < 1e-8
    path = list(layer.trace(z))
    assert len(path) == 65 and torch.equal(path[0][0], z) and not path[0][1].any()
    assert torch.equal(path[-1][0], x) and torch.equal(path[-1][1], log_det)


def test_equal_steps_are_those_of_torchdiffeq() -> None:
    from torchdiffeq import odeint

    field, z = moved(), points()
    layer = Continuous(field, steps=5)
    for t0, t1, mine in ((0.0, 1.0, layer(z)[0]), (1.0, 0.0, layer.inverse(z)[0])):
        theirs = odeint(field, z, torch.linspace(t0, t1, 6), method="rk4")[-1]
        assert torch.allclose(mine, theirs, atol=1e-13)


def test_the_error_falls_with_the_fourth_power_of_the_step() -> None:
    field, z = moved(), points()
    exact = Continuous(field, tolerance=1e-12)(z)
    errors = [
        [(a - b).abs().max().item() for a, b in zip(Continuous(field, n)(z), exact, strict=True)] for n in (16, 32)
    ]
    for coarse, fine in zip(*errors, strict=True):
        assert 12 < coarse / fine < 20


@pytest.mark.parametrize("arguments", [{}, {"tolerance": 1e-6}, {"adjoint": True}, {"probes": 2}], ids=str)
def test_a_bad_row_ends_and_stays_alone(arguments) -> None:
    layer, z = Continuous(moved(), **arguments).eval(), points()
    for call in (layer.forward, layer.inverse):
        expected = call(z)
        for bad in (torch.nan, torch.inf, -torch.inf):
            spoiled = z.clone()
            spoiled[2, 0] = bad
            got = call(spoiled)
            assert not got[0][2].isfinite().all()
            for a, b in zip(got, expected, strict=True):
                assert torch.allclose(
                    a[[0, 1, 3, 4, 5]], b[[0, 1, 3, 4, 5]], atol=1e-5 if "tolerance" in arguments else 1e-14
                )
            if math.isnan(bad):
                assert got[0][2].isnan().all() and got[1][2].isnan()


def test_a_row_does_not_depend_on_its_batch_mates() -> None:
    field, z = moved(), points(40)
    far = torch.cat([z[:1], 100.0 * z[1:]])
    for arguments in ({}, {"probes": 3}, {"adjoint": True}):
        layer = Continuous(field, **arguments).eval()
        alone = layer(z[:1])
        for batch in (z, far):
            assert all(torch.allclose(a[:1], b, atol=1e-14, rtol=0) for a, b in zip(layer(batch), alone, strict=True))
    layer = Continuous(field, tolerance=1e-8)  # steps are shared: the same to the tolerance
    alone = layer(z[:1])
    for batch in (z, far):
        assert all((a[:1] - b).abs().max() < 1e-6 for a, b in zip(layer(batch), alone, strict=True))


@pytest.mark.parametrize("tolerance", [None, 1e-8])
def test_the_adjoint_has_the_gradient_of_the_steps(tolerance) -> None:
    field, z, context = moved(context_dim=1), points().requires_grad_(), torch.full((6, 1), 0.3, requires_grad=True)
    gradients = []
    for adjoint in (False, True):
        layer = Continuous(field, steps=64, tolerance=tolerance, adjoint=adjoint)
        x, log_det = layer.inverse(z, context)
        wanted = [z, context, *field.parameters()]
        gradients.append(torch.autograd.grad((x.square().sum(-1) + log_det).sum(), wanted))
    for direct, adjoint in zip(*gradients, strict=True):
        assert (direct - adjoint).abs().max() < 1e-5 * (1 + direct.abs().max())


def test_probes_estimate_the_log_determinant_without_bias() -> None:
    field, z = moved(3, size=0.5), points(1, 3)
    exact = Continuous(field)(z)[1].item()
    layer = Continuous(field, probes=1)
    x, draws = layer(z.expand(10_000, 3))
    assert (x - x[0]).abs().max() < 1e-13  # the way does not depend on the noise
    assert abs(draws.mean().item() - exact) < 4 * draws.std().item() / 100
    assert draws.std() > 0.01
    layer.eval()
    assert torch.equal(layer(z)[1], layer(z)[1]) and torch.equal(layer(z)[1], Continuous(field, probes=1).eval()(z)[1])


def test_noise_is_held_during_a_solve() -> None:
    """Forward and back with the same draws of noise cancel; they would not if it were drawn anew at each step."""
    layer, z = Continuous(moved(3, size=0.3), steps=64, probes=2), points(dim=3)
    torch.manual_seed(5)
    x, there = layer(z)
    torch.manual_seed(5)
    back = layer.inverse(x)[1]
    assert (there + back).abs().max() < 1e-7


def test_effort_of_a_rotation() -> None:
    """A turn by one radian: every point goes as far as its radius, and ‖∂v/∂z‖² = 2."""
    z = points()
    for arguments in ({}, {"probes": 2}):
        energy, bending = Continuous(Linear([[0.0, -1.0], [1.0, 0.0]]), **arguments).effort(z)
        assert torch.allclose(energy, z.square().sum(-1), atol=1e-7) and torch.allclose(bending, torch.tensor(2.0))


def test_compiles_whole() -> None:
    check["compiles whole"](Case("continuous-one-step", lambda: continuous(2, steps=1), 2))


def test_mass_is_one() -> None:
    flow = Flow(Continuous(moved()), StandardNormal(2))
    line = torch.linspace(-9, 9, 181)
    grid = torch.cartesian_prod(line, line)
    with torch.no_grad():
        mass = flow.log_prob(grid).exp().sum().item() * (line[1] - line[0]).item() ** 2
    assert mass == pytest.approx(1.0, abs=1e-4)


def test_a_solver_that_cannot_reach_its_tolerance() -> None:
    with pytest.raises(RuntimeError, match=r"solver cannot reach the tolerance 1e-06 .* t = 0 to t = 1"):
        Continuous(Bursting(1), tolerance=1e-6, adjoint=True)(torch.tensor([[0.2]]))
    with pytest.raises(RuntimeError, match="too few digits"):
        Continuous(moved().float(), tolerance=1e-12)(points().float())


def test_the_way_back_of_the_adjoint_that_cannot_reach_its_tolerance() -> None:
    """v = −300 x: on the way there all points come together, on the way back every error grows by e³⁰⁰."""
    layer = Continuous(Linear([[-300.0]]), tolerance=1e-6, adjoint=True)
    x, _ = layer(torch.tensor([[0.2]], requires_grad=True))
    with pytest.raises(RuntimeError, match=r"reach the tolerance 1e-06 .* t = 1 to t = 0 backwards for the gradient"):
        x.sum().backward()


def test_wrong_arguments() -> None:
    with pytest.raises(
        ValueError, match=r"Wrong: the field must return .* shape \(6, 2\) for x \(6, 2\); got shape \(6,\)"
    ):
        Continuous(Wrong(2))(points())
    with pytest.raises(TypeError, match=r"Continuous expects a Field.*got Linear"):
        Continuous(torch.nn.Linear(2, 2))
    with pytest.raises(NotImplementedError, match="Field must define forward"):
        Continuous(Field(2))(points())
    for name, value in (("steps", 0), ("probes", -1), ("tolerance", 0.0)):
        with pytest.raises(ValueError, match=f"Continuous: {name} must be .*; got {value}"):
            Continuous(moved(), **{name: value})
    for arguments, words in (
        ({"dim": 0}, "dim must"),
        ({"hidden": []}, "at least one"),
        ({"hidden": 8}, "must be a list"),
    ):
        with pytest.raises(ValueError, match=words):
            VelocityMLP(**{"dim": 2, **arguments})
    with pytest.raises(ValueError, match="needs a context"):
        Continuous(moved(context_dim=2))(points())


def test_it_says_what_it_is() -> None:
    assert Continuous(moved()).describe() == "Continuous: VelocityMLP 2 → 16 → 16 → 2, 32 steps, exact trace"
    layer = Continuous(moved(), tolerance=1e-5, probes=3, adjoint=True)
    assert layer.describe().endswith("steps by tolerance 1e-05, trace by 3 probes, adjoint")
    assert str(Continuous(moved(), 8).costs[0]) == "32 evaluations of the field"
