"""Compose, Inverse, Flow and the bases: order, densities, samples, and what they refuse."""

import math

import pytest
import torch
from scipy import stats

from flowlib import Compose, Flow, Inverse, Transform
from flowlib.bases import DiagonalNormal, NormalMixture, StandardNormal, Uniform
from flowlib.transforms import ElementwiseAffine, LeakyReLU, Linear, Logit, Planar, Radial, Sigmoid, Sylvester

DOUBLE = torch.float64
pytestmark = pytest.mark.usefixtures("double")


FLOWS = {
    "affine-1": lambda: Flow(ElementwiseAffine(1, 1.0, 2.0), StandardNormal(1)),
    "leaky-relu-1": lambda: Flow(LeakyReLU(1, 0.5), StandardNormal(1)),
    "sigmoid-1": lambda: Flow(Sigmoid(1), StandardNormal(1)),
    "logit-of-uniform": lambda: Flow(Logit(1), Uniform([0.0], [1.0])),
    "planar-1": lambda: Flow(Planar(1, u=2.0, w=1.5, b=0.3), StandardNormal(1)),
    "linear-2": lambda: Flow(Linear(2, matrix=[[1.0, 0.5], [0.0, 2.0]]), StandardNormal(2)),
    "planar-2": lambda: Flow(Planar(2, u=[2.0, 0.5], w=[1.0, -1.0], b=0.3), StandardNormal(2)),
    "planar-2-clamped": lambda: Flow(Planar(2, u=[-1.0, 0.2], w=[0.7, 0.0], b=0.0), StandardNormal(2)),
    "planar-on-uniform": lambda: Flow(Planar(2, u=[1.0, 0.5], w=[1.0, 1.0], b=0.0), Uniform([-1.0, -1.0], [1.0, 1.0])),
    "radial-2": lambda: Flow(Radial(2, z0=[0.5, 0.0], alpha=1.0, beta=3.0), StandardNormal(2)),
    "radial-2-pulling": lambda: Flow(Radial(2, z0=0.0, alpha=1.0, beta=-0.6), StandardNormal(2)),
    "sylvester-2": lambda: Flow(Sylvester(2, 2), StandardNormal(2)),
    "on-a-mixture": lambda: Flow(Planar(2, [1.0, 0.0], [0.0, 1.0], 0.0), NormalMixture([[-1.0, 0.0], [1.0, 1.0]], 0.5)),
    "stack": lambda: Flow(Compose([Planar(2), Radial(2), Planar(2)]), DiagonalNormal([0.0, 1.0], [1.0, 0.5])),
}


@pytest.mark.parametrize("name", FLOWS)
def test_the_density_has_mass_one_and_samples_agree_with_it(name: str) -> None:
    """The mass of a cell by midpoints equals, within its binomial error, the fraction of 200,000 samples in it."""
    torch.manual_seed(1)
    flow = FLOWS[name]().double()
    with torch.no_grad():
        samples = flow.sample(200_000)
        dim = samples.shape[1]
        low, high = samples.amin(0), samples.amax(0)
        cells, inside = (50, 400) if dim == 1 else (10, 80)
        n = cells * inside
        step = (high - low) / n
        axes = [a + s * (torch.arange(n, dtype=DOUBLE) + 0.5) for a, s in zip(low, step, strict=True)]
        grid = torch.cartesian_prod(*axes).reshape(-1, dim)
        mass = flow.log_prob(grid).exp().reshape([n] * dim) * step.prod()
    for axis in range(dim):
        mass = mass.unflatten(axis, (cells, inside)).sum(axis + 1)
    assert abs(mass.sum().item() - 1.0) < 1e-3
    index = ((samples - low) / (high - low) * cells).long().clamp_max(cells - 1)  # (n, D)
    counted = torch.zeros([cells] * dim, dtype=DOUBLE)
    counted.index_put_(tuple(index.T), torch.ones(len(samples), dtype=DOUBLE), accumulate=True)
    expected = mass * len(samples)
    likely = expected > 50
    deviations = ((counted - expected) / expected.sqrt())[likely]
    assert deviations.square().mean() < 1.6  # 1 for a right density, up to the roughness of the cells


def test_compose_applies_the_first_transform_first() -> None:
    double_then_add = Compose([ElementwiseAffine(1, scale=2.0), ElementwiseAffine(1, shift=1.0)])
    assert double_then_add(torch.tensor([3.0]))[0].item() == 7.0
    assert double_then_add.inverse(torch.tensor([7.0]))[0].item() == pytest.approx(3.0)


def test_trace_starts_at_z_and_ends_at_x() -> None:
    torch.manual_seed(0)
    flow, z = Compose([Planar(2), Radial(2), Linear(2)]), torch.randn(4, 2)
    states = list(flow.trace(z))
    assert len(states) == 4
    assert torch.equal(states[0][0], z) and torch.equal(states[0][1], torch.zeros(4))
    assert all(torch.equal(a, b) for a, b in zip(states[-1], flow(z), strict=True))


def test_a_transform_without_methods_says_which_one_is_missing() -> None:
    for call in (Transform([2]).forward, Transform([2]).inverse, Inverse(Transform([2]))):
        with pytest.raises(NotImplementedError, match="Transform must define"):
            call(torch.zeros(2))


def test_linear_flow_is_the_gaussian_with_covariance_a_at() -> None:
    a, b = torch.tensor([[1.0, 0.5], [-0.3, 2.0]], dtype=DOUBLE), torch.tensor([1.0, -1.0], dtype=DOUBLE)
    x = torch.randn(10, 2, dtype=DOUBLE)
    gaussian = torch.distributions.MultivariateNormal(b, a @ a.T)
    for parametrization in ("lu", "svd", "qr"):
        flow = Flow(Linear(2, parametrization, a, b), StandardNormal(2).double())
        assert torch.allclose(flow.log_prob(x), gaussian.log_prob(x))


def test_bits_are_nats_over_log_two_and_dimensions() -> None:
    flow, x = Flow(Compose([], [3]), StandardNormal(3)), torch.randn(5, 3)
    assert torch.allclose(flow.bits_per_dim(x), -flow.log_prob(x) / math.log(2) / 3)


@pytest.mark.parametrize(
    ("base", "reference"),
    [
        (StandardNormal(2), lambda z: stats.norm.logpdf(z).sum(-1)),
        (DiagonalNormal([1.0, -1.0], [0.5, 2.0]), lambda z: stats.norm.logpdf(z, [1, -1], [0.5, 2]).sum(-1)),
        (Uniform([-1.0, 0.0], [1.0, 3.0]), lambda z: stats.uniform.logpdf(z, [-1, 0], [2, 3]).sum(-1)),
    ],
    ids=lambda value: type(value).__name__,
)
def test_bases_agree_with_scipy(base, reference) -> None:
    torch.manual_seed(0)
    z = torch.cat([base.sample(50), 3 * torch.randn(50, 2)]).double()
    expected = torch.as_tensor(reference(z.numpy()))
    assert torch.allclose(base.double().log_prob(z), expected)


def test_mixture_density_and_weights() -> None:
    torch.manual_seed(0)
    base = NormalMixture([[-3.0], [3.0]], [[0.5], [1.0]], weights=[3.0, 1.0]).double()
    z = torch.linspace(-6, 6, 50, dtype=DOUBLE).unsqueeze(-1)
    expected = 0.75 * stats.norm.pdf(z[:, 0], -3, 0.5) + 0.25 * stats.norm.pdf(z[:, 0], 3, 1.0)
    assert torch.allclose(base.log_prob(z).exp(), torch.as_tensor(expected))
    assert (base.sample(20_000) < 0).double().mean().item() == pytest.approx(0.75, abs=0.02)
    assert base.sample(0).shape == (0, 1)


def test_bases_keep_nan_and_give_zero_density_outside() -> None:
    box = Uniform([0.0], [1.0])
    assert box.log_prob(torch.tensor([[torch.nan], [2.0], [torch.inf], [0.5]])).tolist()[1:] == [
        -math.inf,
        -math.inf,
        0.0,
    ]
    for base in (box, StandardNormal(1), NormalMixture([[0.0], [1.0]])):
        assert base.log_prob(torch.tensor([torch.nan])).isnan()


def test_temperature_scales_the_spread_of_normal_samples() -> None:
    torch.manual_seed(0)
    flow = Flow(Compose([], [1]), DiagonalNormal([5.0], [2.0]))
    assert flow.sample(20_000, temperature=0.5).std().item() == pytest.approx(1.0, abs=0.02)
    assert flow.sample(0).shape == (0, 1)
