"""A density on pixels: by the inverse, or by carrying a mesh forward, whichever the flow says is cheap."""

import math

import pytest
import torch

from flowlib import Flow, Transform
from flowlib.bases import StandardNormal
from flowlib.core import Base, Cost
from flowlib.models import iaf, maf, planar_flow, real_nvp
from flowlib.transforms import Planar, stacked
from flowlib.viz.engine.evaluate import evaluating
from flowlib.viz.flows.painted import density_on, painted
from flowlib.viz.flows.plane import base_range, mass, pixels

WINDOW = (-4.0, 4.0), (-4.0, 4.0)


class Turned(Transform):
    """A family that nobody listed, with words of its own: x = z turned by a quarter. It counts its calls."""

    def __init__(self, forward: float, inverse: float):
        super().__init__([2])
        self.costs = Cost("a stroll to the roots of a tree", forward), Cost("a hike", inverse)
        self.calls = []

    def forward(self, z, context=None):
        self.calls.append("forward")
        return torch.stack([-z[..., 1], z[..., 0]], -1), z.new_zeros(z.shape[:-1])

    def inverse(self, x, context=None):
        self.calls.append("inverse")
        return torch.stack([x[..., 1], -x[..., 0]], -1), x.new_zeros(x.shape[:-1])


@pytest.mark.parametrize(
    ("forward", "inverse", "way"),
    [
        (1, 1, "inverse"),
        (1, 4, "inverse"),
        (1, 5, "forward"),
        (2, 10, "forward"),
        (3, 10, "inverse"),
        (9, 1, "inverse"),
    ],
)
def test_the_costs_choose_the_direction(forward, inverse, way):
    flow = Flow(Turned(forward, inverse), StandardNormal(2))
    density = density_on(flow, *WINDOW, 80)
    assert set(flow.transform.calls) == {way}
    assert torch.allclose(density, StandardNormal(2).log_prob(pixels(*WINDOW, 80)[0]).exp(), atol=2e-3)


@pytest.mark.parametrize(
    ("make", "forward"),
    [
        (planar_flow, True),
        (lambda: planar_flow(fast="density"), False),
        (real_nvp, False),
        (maf, False),
        (iaf, False),  # its inverse takes two steps, less than a mesh
    ],
)
def test_recipes_are_drawn_in_their_cheap_direction(make, forward):
    flow = make().eval()
    with evaluating():
        mesh, exact = painted(flow, *WINDOW, 30), flow.log_prob(pixels(*WINDOW, 30)[0]).exp()
        assert torch.equal(density_on(flow, *WINDOW, 30), mesh if forward else exact)


class Tent(Base):
    """A base that nobody listed, on a square: along each axis a tent from −1 to 1, p = (1 − |z₁|) (1 − |z₂|)."""

    def __init__(self):
        super().__init__([2])
        self.box = torch.tensor([-1.0, -1.0]), torch.tensor([1.0, 1.0])

    def log_prob(self, z):
        return (1 - z.abs()).clamp_min(0.0).log().sum(-1)

    def sample(self, n, temperature=1.0):
        return torch.rand(n, 2) + torch.rand(n, 2) - 1


def test_a_base_says_the_box_it_lives_in():
    assert base_range(Tent()) == [(-1.0, 1.0), (-1.0, 1.0)]
    flow = Flow(Turned(1, 10), Tent())
    assert mass(flow, base_range(Tent())) == pytest.approx(1.0, abs=1e-3)
    total = float(density_on(flow, *WINDOW, 200).sum()) * (8 / 200) ** 2
    assert math.isclose(total, 1.0, abs_tol=0.02)


def test_painting_forward_agrees_with_the_inverse():
    torch.manual_seed(3)
    flow = Flow(stacked([Planar(2) for _ in range(4)]), StandardNormal(2))
    with evaluating():
        painting = painted(flow, (-4.0, 4.0), (-4.0, 4.0), 120)
        exact = flow.log_prob(pixels((-4.0, 4.0), (-4.0, 4.0), 120)[0]).exp()
    error = (painting - exact).abs()
    assert float(error.mean()) < 0.01 * float(exact.max()) and float(error.quantile(0.99)) < 0.1 * float(exact.max())


def test_painting_leaves_no_holes_where_space_is_stretched():
    flow = Flow(Planar(2, u=[6.0, 0.0], w=[2.0, 0.0], b=0.0), StandardNormal(2))
    with evaluating():
        painting = painted(flow, (-4.0, 4.0), (-4.0, 4.0), 200)
    assert float(painting[80:120].min()) > 0.0
