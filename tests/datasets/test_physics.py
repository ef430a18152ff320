"""Simulators: two moons against its likelihood on a grid, the pendulum against its energy, and runs that fail."""

import math

import pytest
import torch
from torch import Tensor

from flowlib.datasets import Pendulum, Simulator, TwoMoons


def test_the_likelihood_of_two_moons_has_mass_one() -> None:
    side = torch.linspace(-0.2, 0.2, 1201, dtype=torch.float64)
    x = torch.cartesian_prod(side + 0.25, side)
    mass = TwoMoons().log_likelihood(x, torch.zeros(2, dtype=torch.float64)).exp().sum() * (side[1] - side[0]) ** 2
    assert abs(mass - 1.0) < 0.02  # the density jumps to zero at the ends of the half-moon


def test_posterior_samples_are_as_dense_as_the_likelihood_says() -> None:
    task, x = TwoMoons(), torch.tensor([0.05, 0.3], dtype=torch.float64)
    side = torch.linspace(-1.0, 1.0, 2001, dtype=torch.float64)
    theta = torch.cartesian_prod(side, side)
    p = task.log_likelihood(x, theta).exp()
    p /= p.sum()
    samples = task.posterior(x, 40_000)
    for statistic in (lambda t: t[:, 0].abs(), lambda t: t[:, 1].square(), lambda t: (t.sum(-1) > 0).double()):
        expected = (p * statistic(theta)).sum()
        spread = ((p * statistic(theta).square()).sum() - expected.square()).sqrt() / math.sqrt(len(samples))
        assert abs(statistic(samples).mean() - expected) < 6 * spread + 1e-3
    assert task.log_likelihood(x, samples).isfinite().all() and (samples.abs() <= 1).all()


def test_an_observation_that_nothing_explains() -> None:
    with pytest.raises(ValueError, match=r"no θ in the box \[−1, 1\]² explains x = \[5\.0, 0\.0\]"):
        TwoMoons().posterior(torch.tensor([5.0, 0.0]), 10)


def test_a_pendulum_without_friction_comes_back() -> None:
    length = torch.tensor([[1.0, 0.0]], dtype=torch.float64)
    fine, coarse = Pendulum(), Pendulum()
    fine.STEPS = 1600
    assert torch.allclose(fine.angles(length), coarse.angles(length), atol=1e-3)
    assert fine.angles(length).abs().max() <= 1.5
    still = Pendulum().angles(torch.tensor([[1.0, 1.0]], dtype=torch.float64))
    assert still[0, -1].abs() < 0.5  # friction has slowed it down


def test_pairs_come_by_seed_and_lie_in_the_box() -> None:
    task = Pendulum()
    (theta, x), (again, _) = task.pairs(50, seed=3), task.pairs(50, seed=3)
    assert torch.equal(theta, again) and theta.shape == (50, 2) and x.shape == (50, 8)
    assert (theta > torch.tensor(task.low)).all() and (theta < torch.tensor(task.high)).all()
    assert theta.dtype == x.dtype == torch.float32


class Failing(Simulator):
    def __init__(self, answer: Tensor):
        super().__init__(("a", "b"), (0.0, 0.0), (1.0, 1.0), 2)
        self.answer = answer

    def run(self, theta: Tensor, generator: torch.Generator) -> Tensor:
        return self.answer


def test_a_run_that_fails_is_named() -> None:
    answer = torch.zeros(3, 2)
    answer[1, 0] = math.nan
    with pytest.raises(ValueError, match=r"nan or inf for 1 of 3 parameters, first for a = 0\.\d+, b = 0\.\d+"):
        Failing(answer).pairs(3)
    with pytest.raises(ValueError, match=r"observations of shape \(3, 2\); got \(3,\)"):
        Failing(torch.zeros(3)).pairs(3)
    with pytest.raises(NotImplementedError, match="must define run"):
        Simulator(("a",), (0.0,), (1.0,), 1).pairs(2)
