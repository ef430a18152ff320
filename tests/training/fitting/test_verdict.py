"""One verdict at the end of a fit: what looks good and is useless is named, with its row or column."""

import matplotlib.pyplot as plt
import pytest
import torch
from torch import Tensor

from flowlib import Compose, Flow
from flowlib.bases import StandardNormal
from flowlib.datasets import toy
from flowlib.training import fit, fit_energy, verdict
from flowlib.transforms import Planar, Sigmoid
from flowlib.viz import losses
from tests.training.fitting.examples import Bowl, Moved, points, small

MOONS = toy.two_moons(0.1).sample(1000, seed=1)


def integers(x: Tensor) -> Tensor:
    return torch.stack([x[:, 0], (3 * x[:, 1]).round()], 1)


def with_an_atom(x: Tensor) -> Tensor:
    x = x.clone()
    x[: len(x) // 10, 0] = 0.0
    return x


def far_row(x: Tensor) -> Tensor:
    x = x.clone()
    x[7, 1] = 1e6
    return x


DATA = {
    "integers": (integers, "Column 1 repeats its values: 7 different ones in 1,000 rows"),
    "an atom": (with_an_atom, "Column 0 repeats its values: 901 different ones in 1,000 rows, 0 alone in 100"),
    "both columns": (lambda x: integers(x).roll(1, 1).round(), "Column 0 (and 1 more columns) repeats"),
    "a far row": (far_row, "Row 7 has 1e+06 in column 1"),
    "rows twice": (lambda x: torch.cat([x, x]), "1,000 of 2,000 rows stand there more than once (row "),
}


@pytest.mark.parametrize("name", DATA)
def test_what_is_the_matter_with_data(name: str) -> None:
    spoil, sentence = DATA[name]
    assert sentence in " ".join(verdict.of_data(spoil(MOONS)))
    assert sentence in " ".join(verdict.of_data(1e6 * spoil(MOONS.double()) / 1e6))


@pytest.mark.parametrize("x", [MOONS, 1e9 + MOONS.double(), 1e-9 * MOONS, torch.randn(50, 60), torch.rand(20, 1, 4, 4)])
def test_good_data_are_left_in_peace(x: Tensor) -> None:
    assert verdict.of_data(x) == []


def test_a_good_fit_has_no_verdict() -> None:
    history = fit(small(), Moved(), steps=60, batch=256)
    assert history.verdict == "" and "Verdict" not in repr(history)


def test_discrete_columns_are_named_by_a_fit_and_its_picture() -> None:
    history = fit(small(), integers(MOONS), steps=5)
    assert history.verdict.startswith("Column 1 repeats") and "UniformDequantize" in history.verdict
    assert repr(history).splitlines()[1].startswith("Verdict: Column 1 repeats")
    figure, ax = plt.subplots()
    losses(history, ax)
    assert "Verdict: Column 1 repeats" in ax.get_xlabel()
    plt.close(figure)


def test_a_best_step_of_zero_is_said() -> None:
    history = fit(small(), MOONS, steps=20, lr=3.0)
    assert history.best_step == 0 and history.verdict.startswith("The best step is 0 of 20")


def test_a_loss_below_the_floor_is_said() -> None:
    history = fit(small(), MOONS, steps=20, entropy=3.0)
    assert "nats below the floor" in history.verdict and "prove(flow.transform)" in history.verdict


def test_a_loss_that_no_shape_explains_is_said() -> None:
    """Ten nats a dimension below the Gaussian of the same spread: 2 · 10 and a little more."""
    gaussian = -torch.distributions.Normal(MOONS.mean(0), MOONS.std(0)).log_prob(MOONS).sum(-1).mean().item()
    assert verdict.beside_a_gaussian(MOONS, gaussian - 19.9) == []
    assert "than any shape explains" in verdict.beside_a_gaussian(MOONS, gaussian - 20.1)[0]


def test_a_fit_that_has_hardly_begun_is_said() -> None:
    flow = Flow(Planar(2, [0.1, 0.0], [1.0, 0.0], 0.0), StandardNormal(2))
    assert "above that of a Gaussian" in fit(flow, points() + 30, steps=3).verdict


def test_an_energy_without_a_floor_is_said() -> None:
    history = fit_energy(small(), lambda x: -Bowl()(x), steps=300)
    assert "U is lower still" in history.verdict and "Is the sign of U turned?" in history.verdict
    assert fit_energy(small(), Bowl(), steps=30).verdict == ""


def test_a_row_without_a_density_is_named() -> None:
    """Exact zeros at the end of the interval that a Sigmoid gives."""
    x = torch.rand(200, 2, generator=torch.Generator().manual_seed(0))
    x[31] = 0.0
    flow = Flow(Compose([Planar(2, 0.0, 0.0, 0.0), Sigmoid(2)]), StandardNormal(2))
    with pytest.raises(FloatingPointError, match=r"for 1 of 200 points .* the first is row 31, \[0, 0\]"):
        fit(flow, x, steps=3)
