"""c2st, ranks and coverage, on a conditional Gaussian whose posterior is known."""

import math

import pytest
import torch
from torch import Tensor

from flowlib.training import c2st, coverage, ranks


class Normal:
    """q(θ | x) = N(gain x + shift, width²): the posterior of θ ~ N(0, 1), x = θ + noise is gain ½, width √½."""

    def __init__(self, gain: float = 0.5, shift: float = 0.0, width: float = math.sqrt(0.5)):
        self.gain, self.shift, self.width = gain, shift, width

    def sample(self, n: tuple[int, int], x: Tensor) -> Tensor:
        return self.gain * x + self.shift + self.width * torch.randn(*n, 1)

    def log_prob(self, theta: Tensor, x: Tensor) -> Tensor:
        return -0.5 * ((theta - self.gain * x - self.shift) / self.width).square().sum(-1)


def joint(n: int = 2000) -> tuple[Tensor, Tensor]:
    generator = torch.Generator().manual_seed(0)
    theta = torch.randn(n, 1, generator=generator)
    return theta, theta + torch.randn(n, 1, generator=generator)


@pytest.mark.parametrize(
    ("q", "holds"),
    [
        (Normal(), True),
        (Normal(width=0.3), False),
        (Normal(width=1.5), False),
        (Normal(gain=0.0, width=1.0), True),  # the prior: calibrated, and useless
    ],
    ids=["posterior", "too sure", "too wide", "prior"],
)
def test_coverage(q: Normal, holds: bool) -> None:
    theta, x = joint()
    shares = coverage(q, theta, x)
    off = max(abs((shares < level).double().mean() - level) for level in (0.5, 0.8, 0.95))
    assert off < 0.04 if holds else off > 0.08


def test_ranks_see_a_shift_that_coverage_sees_as_well() -> None:
    theta, x = joint()
    fair, shifted = ranks(Normal(), theta, x, n=99), ranks(Normal(shift=0.5), theta, x, n=99)
    assert fair.shape == (2000, 1) and fair.min() >= 0 and fair.max() <= 99
    assert abs(fair.double().mean() - 49.5) < 6 * 29 / math.sqrt(2000)
    assert shifted.double().mean() < 35
    assert torch.equal(fair, ranks(Normal(), theta, x, n=99))


def test_a_classifier_cannot_tell_the_same_from_the_same() -> None:
    generator = torch.Generator().manual_seed(0)
    one, other = torch.randn(2, 500, 2, generator=generator)
    assert abs(c2st(one, other, folds=2) - 0.5) < 0.08
    assert c2st(one, other + 4.0, folds=2) > 0.95
    with pytest.raises(ValueError, match=r"equally many points, \(n, D\) each; got \(500, 2\) and \(400, 2\)"):
        c2st(one, other[:400])
