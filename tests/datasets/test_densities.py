"""The truth behind every loss: samples, log-densities and entropies of the data sets agree with each other."""

import math
import os
from pathlib import Path

import pytest
import torch

from flowlib.datasets import energies, tables, toy
from flowlib.datasets.density import grid

DENSITIES = [toy.get(name) for name in toy.NAMES]
ENERGIES = [energies.get(name) for name in energies.NAMES]
ALL = DENSITIES + ENERGIES
each = pytest.mark.parametrize("density", ALL, ids=lambda density: density.name)
DEAR = {"two_spirals"}  # 0.2 ms a point
STORED = [(name, noise) for name, noise in toy.ENTROPIES]


@pytest.mark.parametrize(("name", "noise"), STORED, ids=lambda value: str(value)[:7])
def test_stored_entropy_is_that_of_the_density(name, noise):
    density = getattr(toy, name)(noise)
    entropy, mass = density.integrate(density.scale / (1.5 if name in DEAR else 2))
    assert mass == pytest.approx(1.0, abs=1e-9)
    assert abs(entropy - density.entropy) <= density.entropy_error + 2e-6  # the step is wider than for the stored value


@each
def test_entropy_is_the_mean_of_minus_log_prob(density):
    x = density.sample(2_000 if density.name in DEAR else 20_000, seed=3).double()
    surprise = -density.log_prob(x)
    assert surprise.isfinite().all()
    bound = 5 * surprise.std().item() / math.sqrt(len(x)) + density.entropy_error
    assert abs(surprise.mean().item() - density.entropy) <= bound


@each
def test_samples_fall_where_the_density_is(density):
    """Counts in the unit cells of [−4, 4]², and outside, against the density integrated over each cell."""
    n, side, fine = 10_000, 8, 12
    centres = (torch.arange(side * fine, dtype=torch.float64) + 0.5) / fine - 4
    p = density.log_prob(torch.cartesian_prod(centres, centres)).exp() / fine**2
    expected = n * p.view(side, fine, side, fine).sum((1, 3)).flatten()
    cell = (density.sample(n, seed=5) + 4).floor().long()
    inside = ((cell >= 0) & (cell < side)).all(-1)
    counts = torch.bincount(cell[inside] @ torch.tensor([side, 1]), minlength=side**2).double()
    expected, counts = (torch.cat([value, (n - value.sum()).view(1)]) for value in (expected, counts))
    assert counts[expected < 1e-3].sum() == 0
    full = expected > 5
    chi2 = ((counts - expected).square() / expected)[full].sum().item()
    assert chi2 < full.sum() + 5 * math.sqrt(2 * full.sum())


@each
def test_samples(density):
    state = torch.random.get_rng_state()
    x = density.sample(300, seed=1)
    assert x.shape == (300, 2) and x.dtype == torch.float32
    assert x.equal(density.sample(300, seed=1)) and not x.equal(density.sample(300, seed=2))
    assert density.sample(0).shape == (0, 2)
    assert torch.random.get_rng_state().equal(state)
    assert (density.sample(2000).abs() < density.window).all(-1).double().mean() > 0.93


@each
def test_log_prob_shapes_and_values_that_trip(density):
    x = density.sample(6)
    value = density.log_prob(x)
    assert value.shape == (6,) and value.dtype == torch.float32
    assert density.log_prob(x.view(2, 3, 2)).equal(value.view(2, 3))
    assert density.log_prob(x[0]).shape == () and density.log_prob(x[:0]).shape == (0,)
    assert density.log_prob(x.double()).dtype == torch.float64
    x[2, 0] = math.nan
    again = density.log_prob(x)
    assert again[2].isnan() and again[[0, 1, 3, 4, 5]].equal(value[[0, 1, 3, 4, 5]])
    assert (density.log_prob(torch.tensor([[30.0, 30.0], [-1e3, 1.0]])) < -20).all()
    with pytest.raises(ValueError, match=r"expects a float tensor of shape \(\.\.\., 2\); got shape \(6, 3\)"):
        density.log_prob(torch.zeros(6, 3))


@each
def test_gradient_of_log_prob(density):
    x = density.sample(4, seed=2).double().requires_grad_()
    assert torch.autograd.gradcheck(density.log_prob, (x,), eps=1e-6, atol=1e-4)


def test_known_entropies():
    assert toy.two_moons(noise=0.1).entropy == pytest.approx(1.0076, abs=1e-4)
    assert toy.eight_gaussians().entropy == pytest.approx(2.8316, abs=1e-4)
    assert toy.checkerboard().entropy == pytest.approx(math.log(32))
    assert toy.banana().entropy == toy.funnel().entropy == pytest.approx(math.log(math.pi * math.e))
    # the two moons hardly touch: which one a point is on is worth log 2, a bit less where they could be confused
    assert 0 < toy.one_moon().entropy + math.log(2) - toy.two_moons().entropy < 0.005


def test_entropy_is_integrated_where_it_is_not_stored():
    density = toy.eight_gaussians(noise=0.1)
    separate = math.log(8) + math.log(2 * math.pi * math.e * 0.01)
    assert density.entropy == pytest.approx(separate, abs=density.entropy_error) and density.entropy_error < 1e-6


def test_two_moons_are_those_of_scikit_learn():
    make_moons = pytest.importorskip("sklearn.datasets").make_moons
    x, _ = make_moons(20_000, noise=0.1, random_state=0)
    surprise = -toy.two_moons(noise=0.1).log_prob(torch.from_numpy(x))
    assert abs(surprise.mean().item() - 1.0076) < 5 * surprise.std().item() / math.sqrt(len(x))


def test_pinwheel_sums_over_its_folds():
    """Where the map folds there are more solutions than arms; the density on a grid still has mass 1."""
    pinwheel = toy.pinwheel(noise=0.3)
    points, area = grid(((-7.0, 7.0), (-7.0, 7.0)), 0.1)
    row, _ = pinwheel.solve(points.norm(dim=-1) / 2, torch.atan2(points[:, 1], points[:, 0]))
    assert row.bincount().max() > 5
    assert (pinwheel.log_prob(points).exp().sum() * area).item() == pytest.approx(1.0, abs=3e-3)


@pytest.mark.parametrize("energy", ENERGIES, ids=lambda energy: energy.name)
def test_energies(energy):
    assert energy.integrate_z(0.05) == pytest.approx(energy.log_z, abs=energy.log_z_error + 1e-8)
    entropy, mass = energy.integrate(0.05)
    assert mass == pytest.approx(1.0, abs=1e-8)
    assert entropy == pytest.approx(energy.entropy, abs=energy.entropy_error)
    z = 2 * torch.randn(3, 4, 2, generator=torch.Generator().manual_seed(0))
    assert energy(z).shape == (3, 4) and energy(z).dtype == torch.float32
    assert torch.allclose(energy.log_prob(z), -energy(z) - energy.log_z)
    far = torch.tensor([[0.0, 0.0], [1e3, -1e3]], requires_grad=True)
    energy(far).sum().backward()
    assert energy(far).isfinite().all() and far.grad.isfinite().all()


def test_energies_are_those_of_the_paper():
    z = torch.tensor([[2.0, 0.0], [1.0, 1.0], [1.0, -2.0], [4.0, -3.0]], dtype=torch.float64)
    assert energies.u1(z[0]).item() == pytest.approx(0.0, abs=1e-9)  # on the ring, at a centre
    assert energies.u2(z[1]).item() == pytest.approx(0.0)  # sin(π/2) = 1
    assert energies.u3(z[2]).item() == pytest.approx(0.0, abs=1e-9)  # 1 − 3 e⁰ = −2, the second ridge
    assert energies.u4(z[3]).item() == pytest.approx(0.0, abs=1e-6)  # sin(2π) − 3 · sigmoid(10)


BAD = [
    (lambda: toy.two_moons(noise=0), "two_moons: noise must be a finite number greater than 0; got 0"),
    (lambda: toy.two_moons(-0.1), "two_moons: noise must be a finite number greater than 0; got -0.1"),
    (lambda: toy.pinwheel(math.nan), "pinwheel: noise must be a finite number greater than 0; got nan"),
    (lambda: toy.two_moons("small"), "two_moons: noise must be a finite number greater than 0; got 'small'"),
    (lambda: toy.two_moons().sample(-1), "two_moons.sample: n must be a whole number, 0 or more; got -1"),
    (lambda: toy.two_moons().sample(5, seed=-1), "two_moons.sample: seed must be a whole number, 0 or more; got -1"),
    (lambda: energies.u1.sample(2.5), "u1.sample: n must be a whole number, 0 or more; got 2.5"),
    (lambda: toy.get("three_moons"), "toy.get: name must be one of 'one_moon', 'two_moons', "),
    (lambda: energies.get("u5"), "energies.get: name must be one of 'u1', 'u2', 'u3', 'u4'; got 'u5'"),
    (lambda: energies.u2(torch.zeros(3)), "u2 expects a float tensor of shape (..., 2); got shape (3,)"),
]


@pytest.mark.parametrize(("call", "message"), BAD, ids=[message[:40] for _, message in BAD])
def test_bad_input(call, message):
    with pytest.raises(ValueError) as error:
        call()
    assert message in str(error.value)


def test_repr():
    assert repr(toy.two_moons()) == "two_moons(noise=0.1)" and repr(toy.checkerboard()) == "checkerboard()"
    assert repr(energies.u2) == "u2: log Z = 2.1429, entropy 2.6724 nats"


def check_table(table, rows, dim):
    assert (len(table.train), len(table.validation), len(table.test)) == rows and table.dim == dim
    assert table.train.dtype == torch.float32 and table.train.isfinite().all()
    assert table.train.mean(0).abs().max() < 1e-3
    assert (table.train.std(0, correction=0) - 1).abs().max() < 1e-3


def test_wine():
    pytest.importorskip("sklearn")
    check_table(tables.wine(), (107, 35, 36), 13)
    assert tables.wine().test.equal(tables.wine().test)


def test_gaussian_baseline_of_gaussian_rows_is_their_entropy():
    mix = torch.tensor([[1.0, 0.0], [2.0, 0.5]], dtype=torch.float64)
    rows = torch.randn(40_000, 2, dtype=torch.float64, generator=torch.Generator().manual_seed(0)) @ mix.T
    entropy = math.log(2 * math.pi * math.e) + math.log(0.5)
    assert tables.gaussian_baseline(rows[:20_000], rows[20_000:]) == pytest.approx(-entropy, abs=0.04)


def have(file):
    return (Path(os.environ.get("FLOWLIB_DATA") or "nowhere") / "tabular" / file).is_file()


@pytest.mark.skipif(not have("protein_casp.npz"), reason="FLOWLIB_DATA has no protein table")
def test_protein():
    table = tables.protein()
    check_table(table, (36_584, 4_573, 4_573), 10)
    assert table.baseline == pytest.approx(-5.309, abs=1e-3)


@pytest.mark.skipif(not have("bsds300_like_8x8_patches.npz"), reason="FLOWLIB_DATA has no patches")
def test_patches():
    table = tables.patches()
    check_table(table, (200_000, 20_000, 50_000), 63)
    assert table.in_original_units(table.baseline) == pytest.approx(96.72, abs=0.01)


@pytest.mark.parametrize("call", [tables.protein, tables.patches], ids=["protein", "patches"])
def test_tables_say_what_to_set(call, monkeypatch, tmp_path):
    monkeypatch.delenv("FLOWLIB_DATA", raising=False)
    with pytest.raises(
        FileNotFoundError, match=r"FLOWLIB_DATA is not set\. Set FLOWLIB_DATA to a folder that holds tab"
    ):
        call()
    monkeypatch.setenv("FLOWLIB_DATA", str(tmp_path))
    with pytest.raises(FileNotFoundError, match="the folder that FLOWLIB_DATA names does not hold it"):
        call()
    monkeypatch.setenv("FLOWLIB_DATA", str(tmp_path / "nowhere"))
    with pytest.raises(FileNotFoundError, match=r"FLOWLIB_DATA names .*nowhere, which is not a folder"):
        call()
