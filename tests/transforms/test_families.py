"""Planar, radial, Sylvester and linear flows where they are hard: at the edges of invertibility and at extremes."""

import math

import pytest
import torch
from torch import Tensor

from flowlib import Transform
from flowlib.transforms import Linear, Planar, Radial, Rotation, Sylvester
from flowlib.transforms.planar import SLOPE_FLOOR, admissible

DOUBLE = torch.float64
pytestmark = pytest.mark.usefixtures("double")
PRODUCTS = [-1e3, -20.0, -5.0, -1.0, -1e-9, 0.0, 1e-9, 5.0, 100.0, 1e3]


def assert_exact(transform: Transform, z: Tensor, tolerance: float = 1e-10) -> None:
    """Inverse to `tolerance`, and finite log-dets and gradients both ways."""
    transform = transform.double()
    x, log_det = transform(z)
    back, log_det_back = transform.inverse(x)
    assert ((back - z).abs() / (1 + z.abs())).max() < tolerance
    assert (log_det + log_det_back).abs().max() < 1e-6
    for value in (x, log_det, back, log_det_back):
        assert value.isfinite().all()
        if value.requires_grad:
            gradients = torch.autograd.grad(
                value.sum(), list(transform.parameters()), retain_graph=True, allow_unused=True
            )
            assert all(g is None or g.isfinite().all() for g in gradients)


@pytest.mark.parametrize("product", PRODUCTS)
@pytest.mark.parametrize("dim", [1, 2, 5])
def test_planar_inverse_at_every_product(product: float, dim: int) -> None:
    w = torch.ones(dim, dtype=DOUBLE) / dim
    z = torch.cat([3 * torch.randn(200, dim, dtype=DOUBLE), torch.zeros(1, dim, dtype=DOUBLE)])
    assert_exact(Planar(dim, u=torch.full((dim,), product, dtype=DOUBLE), w=w, b=0.0), z)


@pytest.mark.parametrize("product", PRODUCTS)
def test_planar_products_stay_above_minus_one(product: float) -> None:
    flow = Planar(2, u=[product, 3.0], w=[1.0, 0.0], b=0.0).double()
    assert flow.w @ flow.u_hat >= -(1 - SLOPE_FLOOR) - 1e-9
    if product >= 0:
        assert torch.equal(flow.u_hat, flow.u)


def test_admissible_is_smooth_at_zero_and_monotone() -> None:
    x = torch.linspace(-50, 50, 2001, dtype=DOUBLE, requires_grad=True)
    m = admissible(x)
    slope = torch.autograd.grad(m.sum(), x)[0]
    assert (m > -1).all() and (m.diff() >= 0).all() and (m.diff()[900:] > 0).all()
    for side in (-1e-12, 0.0, 1e-12):
        at = torch.tensor(side, dtype=DOUBLE, requires_grad=True)
        assert torch.autograd.grad(admissible(at), at)[0].item() == pytest.approx(1.0)
    assert slope.isfinite().all()


def test_planar_with_w_zero_is_a_shift_and_u_hat_does_not_explode_near_it() -> None:
    assert_exact(Planar(2, u=[3.0, -4.0], w=[0.0, 0.0], b=0.7), torch.randn(50, 2, dtype=DOUBLE))
    near = Planar(2, u=[-3.0, 4.0], w=[1e-7, 0.0], b=0.7).double()
    assert (near.u_hat - near.u).abs().max() < 1e-5


def test_a_planar_flow_that_folds_is_no_bijection() -> None:
    flow = Planar(1, u=-3.0, w=1.0, b=0.0, constrain=False).double()
    z = torch.linspace(-4, 4, 101, dtype=DOUBLE).unsqueeze(-1)
    x, _ = flow(z)
    assert (x.diff(dim=0) < 0).any()  # no longer increasing
    back, _ = flow.inverse(x)
    assert (flow(back)[0] - x).abs().max() < 1e-10  # a point that lands on x ...
    assert (back - z).abs().max() > 1  # ... but not the one it came from


@pytest.mark.parametrize("alpha", [1e-8, 1e-3, 1.0, 50.0])
@pytest.mark.parametrize("beta", [-1e3, -1.0, 0.0, 1.0, 1e3])
@pytest.mark.parametrize("dim", [1, 2, 5])
def test_radial_inverse_everywhere(alpha: float, beta: float, dim: int) -> None:
    z = torch.cat([3 * torch.randn(200, dim, dtype=DOUBLE), torch.zeros(1, dim, dtype=DOUBLE)])  # the centre too
    assert_exact(Radial(dim, z0=0.0, alpha=alpha, beta=beta), z)


def test_radial_takes_alpha_and_beta_as_given_where_they_are_admissible() -> None:
    flow = Radial(2, z0=[1.0, 2.0], alpha=0.7, beta=2.5).double()
    assert flow.alpha.item() == pytest.approx(0.7, abs=1e-5)
    assert flow.beta_hat.item() == 2.5
    assert (Radial(2, alpha=0.7, beta=-9.0).beta_hat > -0.7).item()


def test_radial_matches_the_printed_determinant() -> None:
    flow, z = Radial(4, z0=0.5, alpha=1.3, beta=2.0).double(), torch.randn(6, 4, dtype=DOUBLE)
    r, alpha, beta = (z - 0.5).norm(dim=-1), flow.alpha, flow.beta_hat
    h, slope = 1 / (alpha + r), -1 / (alpha + r) ** 2
    printed = (1 + beta * h) ** 3 * (1 + beta * h + beta * slope * r)
    assert torch.allclose(flow(z)[1], printed.log())


def test_sylvester_with_one_ridge_is_planar() -> None:
    torch.manual_seed(0)
    many, z = Sylvester(3, 1).double(), torch.randn(20, 3, dtype=DOUBLE)
    q, r, r_tilde, _ = many.matrices()
    one = Planar(3, u=(q * r).squeeze(-1), w=(q * r_tilde).squeeze(-1), b=many.b[0]).double()
    for a, b in zip(many(z), one(z), strict=True):
        assert torch.allclose(a, b)


def test_gradients_of_the_sylvester_inverse_cost_the_same_for_many_ridges() -> None:
    def graph(ridges: int) -> int:
        """The nodes that autograd keeps of one inverse."""
        torch.manual_seed(0)
        x = Sylvester(12, ridges).inverse(torch.randn(4, 12))[0]
        found, new = set(), {x.grad_fn}
        while new:
            found |= new
            new = {parent for node in new for parent, _ in node.next_functions if parent} - found
        return len(found)

    assert graph(12) == graph(2)


def test_sylvester_products_at_the_edge() -> None:
    torch.manual_seed(0)
    flow = Sylvester(4, 3).double()
    with torch.no_grad():
        flow.r.copy_(torch.tensor([-1e3, -1.0, 1e3]))
        flow.r_tilde.copy_(torch.tensor([1.0, 1.0, 1.0]))
    assert_exact(flow, 3 * torch.randn(200, 4, dtype=DOUBLE))
    with torch.no_grad():
        flow.r_tilde.zero_()
    assert_exact(flow, 3 * torch.randn(200, 4, dtype=DOUBLE))


def test_sylvester_moves_continuously_with_its_directions() -> None:
    """The Q of a QR decomposition flips its sign where a diagonal entry passes zero; the flow must not."""
    torch.manual_seed(0)
    flow, z = Sylvester(2, 2).double(), torch.randn(5, 2, dtype=DOUBLE)
    outputs = []
    for entry in (-1e-9, 1e-9):
        with torch.no_grad():
            flow.directions.copy_(torch.tensor([[entry, 0.3], [1.0, 0.5]]))
            outputs.append(flow(z)[0])
    assert (outputs[0] - outputs[1]).abs().max() < 1e-6


@pytest.mark.parametrize("parametrization", ["lu", "svd", "qr"])
@pytest.mark.parametrize("dim", [1, 2, 7])
def test_linear_starts_from_the_given_matrix(parametrization: str, dim: int) -> None:
    torch.manual_seed(dim)
    matrix = torch.randn(dim, dim, dtype=DOUBLE)
    flow = Linear(dim, parametrization, matrix)
    assert torch.allclose(flow.matrix, matrix)
    assert torch.allclose(flow(torch.zeros(dim, dtype=DOUBLE))[1], torch.linalg.slogdet(matrix).logabsdet)
    assert sum(p.numel() for p in flow.parameters()) == dim * dim + dim


@pytest.mark.parametrize("parametrization", ["lu", "svd", "qr"])
def test_linear_cannot_become_singular(parametrization: str) -> None:
    flow = Linear(3, parametrization).double()
    with torch.no_grad():
        flow.factors.raw.fill_diagonal_(-30.0)
    x, log_det = flow(torch.randn(4, 3, dtype=DOUBLE))
    assert log_det.isfinite().all() and flow.inverse(x)[0].isfinite().all()


def test_rotation_in_the_plane_turns_counter_clockwise() -> None:
    x, _ = Rotation(2, angles=math.pi / 6).double()(torch.tensor([1.0, 0.0], dtype=DOUBLE))
    assert torch.allclose(x, torch.tensor([3.0, 1.0], dtype=DOUBLE).sqrt() / 2, atol=1e-6)
