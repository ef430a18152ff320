"""Scores of samples, each where its answer is known in closed form."""

import math

import pytest
import torch
from torch import Tensor

from flowlib.training import frechet, kernel_log_prob, nearest_neighbour_test, precision_recall, sliced_wasserstein

SCORES = [frechet, nearest_neighbour_test, precision_recall, sliced_wasserstein]


def normal(n: int, dim: int, seed: int) -> Tensor:
    return torch.randn(n, dim, dtype=torch.float64, generator=torch.Generator().manual_seed(seed))


def whitened(n: int, dim: int, seed: int) -> Tensor:
    """Points whose mean is exactly 0 and whose covariance is exactly the identity."""
    x = normal(n, dim, seed)
    x = x - x.mean(0)
    return x @ torch.linalg.inv(torch.linalg.cholesky(torch.cov(x.T))).T


def test_frechet_of_two_known_gaussians() -> None:
    draw = normal(8, 4, 0)
    a, b, shift = draw[:4], draw[4:], torch.tensor([1.0, -2.0, 0.5, 3.0], dtype=torch.float64)
    one, other = a @ a.T, b @ b.T
    values, vectors = torch.linalg.eig(one @ other)  # a matrix root by another way than the code's
    root = (vectors @ torch.diag(values.sqrt()) @ torch.linalg.inv(vectors)).real
    known = float(shift @ shift + torch.trace(one + other - 2 * root))
    found = frechet(whitened(50, 4, 1) @ a.T + shift, whitened(70, 4, 2) @ b.T)
    assert abs(found - known) < 1e-9 * known


def test_frechet_of_scaled_and_flat_sets() -> None:
    x = whitened(40, 3, 0)
    scales = torch.tensor([2.0, 0.5, 1.0], dtype=torch.float64)
    assert abs(frechet(x * scales, x) - float((scales - 1).square().sum())) < 1e-9
    assert frechet(x, x) < 1e-12
    flat = x * torch.tensor([1.0, 1.0, 0.0], dtype=torch.float64)  # a singular covariance
    assert abs(frechet(flat, x) - 1.0) < 1e-9
    assert abs(frechet(x[:, :1] * 3, x[:, :1]) - 4.0) < 1e-9


def test_frechet_is_biased_upwards_as_one_over_n() -> None:
    """Two sets of one law: in one dimension E[(μ₁ − μ₂)²] = 2 / n and E[(σ₁ − σ₂)²] ≈ 1 / n."""
    means = {n: sum(frechet(normal(n, 1, s), normal(n, 1, 10_000 + s)) for s in range(1500)) / 1500 for n in (25, 100)}
    assert abs(25 * means[25] - 3.0) < 0.4 and abs(100 * means[100] - 3.0) < 0.4


@pytest.mark.parametrize("dim", [1, 2, 5])
def test_sliced_wasserstein_of_a_moved_set(dim: int) -> None:
    x, move = normal(60, dim, 0), torch.arange(1.0, dim + 1, dtype=torch.float64)
    found = sliced_wasserstein(x + move, x, directions=20_000)
    assert abs(found - move.norm().item() / math.sqrt(dim)) < 0.03 * found  # the error of 20,000 directions
    assert sliced_wasserstein(x, x) == 0.0
    assert sliced_wasserstein(x[torch.randperm(60)], x) < 1e-12


def test_sliced_wasserstein_of_sets_of_two_sizes() -> None:
    x = normal(30, 2, 0)
    assert sliced_wasserstein(x.repeat(3, 1), x) < 1e-12
    one, other = torch.tensor([[0.0], [3.0]]), torch.tensor([[0.0], [0.0], [3.0]])  # a sixth of the mass goes by 3
    assert abs(sliced_wasserstein(one, other) - math.sqrt(9 / 6)) < 1e-12


def test_nearest_neighbours_of_the_same_of_others_and_of_copies() -> None:
    x, y = normal(1000, 2, 0), normal(1000, 2, 1)
    assert abs(nearest_neighbour_test(x, y) - 0.5) < 0.06  # five deviations of 2,000 answers
    assert nearest_neighbour_test(x + 50.0, y) == 1.0
    assert nearest_neighbour_test(y.clone(), y) == 0.0
    tied = torch.tensor([[0.0], [2.0]]), torch.tensor([[1.0], [3.0]])
    assert nearest_neighbour_test(*tied) == 0.0
    assert nearest_neighbour_test(torch.zeros(4, 2), torch.zeros(4, 2)) == 0.5  # all at one place: nobody can tell


def test_half_of_the_data_missing() -> None:
    """Two clouds far apart, of which samples know one: recall is the other's share, and precision does not see it."""
    left, right = normal(300, 2, 0), normal(100, 2, 1) + 100.0
    data, half = torch.cat([left, right]), left[:200] + 1e-9
    assert precision_recall(half, data) == (1.0, pytest.approx(0.75, abs=0.02))
    assert precision_recall(data, half).recall == 1.0
    assert precision_recall(data, half).precision == precision_recall(half, data).recall


def test_samples_that_are_half_noise() -> None:
    data = normal(300, 2, 0)
    mixed = torch.cat([data[:150] + 1e-9, 1000.0 * torch.arange(1.0, 151.0).repeat(2, 1).T])
    assert precision_recall(mixed, data, k=4).precision == 0.5


def test_a_kernel_density_has_the_mean_of_its_gaussians() -> None:
    centres, x = normal(5, 3, 0), normal(4, 3, 1)
    law = torch.distributions.Normal(centres, 0.7)
    known = law.log_prob(x[:, None]).sum(-1).exp().mean(1).log()
    assert torch.allclose(kernel_log_prob(x, centres, 0.7), known, atol=1e-10)
    line = torch.linspace(-9.0, 9.0, 2001, dtype=torch.float64)[:, None]
    assert abs(kernel_log_prob(line, normal(6, 1, 0), 0.5).exp().sum().item() * 0.009 - 1.0) < 1e-3
    with pytest.raises(ValueError, match="width must be a finite number greater than 0; got 0"):
        kernel_log_prob(x, centres, 0)


@pytest.mark.parametrize("score", SCORES)
def test_scores_leave_the_random_state_and_do_not_depend_on_the_order(score) -> None:
    x, y = normal(50, 3, 0).float(), normal(50, 3, 1).float()
    state = torch.get_rng_state()
    value = score(x, y)
    assert torch.equal(state, torch.get_rng_state())
    assert score(x.flip(0), y.flip(0)) == pytest.approx(value, abs=1e-9)


@pytest.mark.parametrize("score", SCORES)
@pytest.mark.parametrize(
    ("samples", "says"),
    [
        (torch.zeros(5), r"samples must be a tensor of points as rows, \(n, D\); got shape \(5,\)"),
        ([[0.0, 1.0]], "got list"),
        (torch.zeros(0, 2), r"got shape \(0, 2\)"),
        (torch.full((9, 2), torch.nan), "samples must be finite; there is nan or inf in it"),
        (torch.zeros(9, 3), r"both sets must have one dimension; got \(9, 3\) and \(9, 2\)"),
    ],
)
def test_what_is_no_set_of_points_is_refused(score, samples, says: str) -> None:
    with pytest.raises(ValueError, match=score.__name__ + ".*" + says):
        score(samples, normal(9, 2, 0))


def test_too_few_and_unequal_sets_are_refused() -> None:
    x = normal(9, 2, 0)
    with pytest.raises(ValueError, match=r"as many samples as points of reference; got 8 and 9\. Leave some out"):
        nearest_neighbour_test(x[:8], x)
    with pytest.raises(ValueError, match="precision_recall needs 4 points or more in each set; samples has 3"):
        precision_recall(x[:3], x)
    with pytest.raises(ValueError, match="frechet needs 2 points or more in each set; reference has 1"):
        frechet(x, x[:1])
    with pytest.raises(ValueError, match="k must be a whole number, 1 or more; got 0"):
        precision_recall(x, x, k=0)
    with pytest.raises(ValueError, match="directions must be a whole number"):
        sliced_wasserstein(x, x, directions=2.5)
