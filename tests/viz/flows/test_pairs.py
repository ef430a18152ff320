"""The grid of columns and pairs."""

from collections.abc import Callable

import numpy as np
import pytest
import torch
from torch import Tensor

from flowlib.models import maf
from flowlib.viz import pairs
from flowlib.viz.engine.theme import COLOURS, rgb
from flowlib.viz.flows.pairs import in_words, window


def rows(n: int = 300, dim: int = 4) -> Tensor:
    return torch.randn(n, dim, generator=torch.Generator().manual_seed(1))


def near(picture, name: str) -> int:
    """How many pixels have nearly this colour of the theme."""
    return int((np.abs(picture.array() - rgb(COLOURS[name])).max(-1) < 40).sum())


def test_a_grid_of_panels_and_a_text() -> None:
    torch.manual_seed(0)
    expected = torch.rand(1)
    flow = maf(4, layers=2)
    torch.manual_seed(0)
    picture = pairs(flow, rows(), n=200)
    assert torch.equal(torch.rand(1), expected)
    assert len(picture.figure.axes) == 4 + 6
    text = "200 points in blue beside 300 rows of data in amber: histograms and pairs of x₁, x₂, x₃, x₄"
    assert picture.text == text
    shown, told = picture._repr_mimebundle_()
    assert shown["image/png"][:4] == b"\x89PNG" and told["image/png"]["alt"] == text
    assert shown["image/png"] == pairs(flow, rows(), n=200).png()


def test_data_are_amber_and_samples_blue() -> None:
    alone, both = pairs(rows()), pairs(rows(), rows() + 1.0)
    assert near(alone, "data") > 50 and near(alone, "base") == 0
    assert near(both, "data") > 50 and near(both, "base") > 50


def test_units_and_places_of_columns_do_not_matter() -> None:
    x = rows().double()
    far = 1e8 + 1e-3 * x
    near_by = pairs((far - 1e8) * 1e3)
    for one, other in zip(pairs(far).figure.axes, near_by.figure.axes, strict=True):
        for line, again in zip(one.lines, other.lines, strict=True):
            assert np.allclose(line.get_xydata(), again.get_xydata(), atol=1e-5)
    assert in_words(*window(far[:, 0].numpy())).startswith("1e+08\n± 0.00")
    assert in_words(-3.04, 0.96) == "−1\n± 2"


def test_columns_and_names() -> None:
    picture = pairs(rows(dim=12), columns=[10, 3])
    assert "histograms and pairs of x₁₁, x₄" in picture.text and len(picture.figure.axes) == 3
    assert "x₈" in pairs(rows(dim=12)).text and "x₉" not in pairs(rows(dim=12)).text
    assert "histograms and pairs of a, b, c, d" in pairs(rows(), names="abcd").text
    assert len(pairs(rows(dim=1)).figure.axes) == 1


def test_rows_that_are_not_finite_and_columns_that_are_constant() -> None:
    x = rows()
    x[3, 1], x[:, 2] = torch.nan, 7.0
    assert pairs(x).text.startswith("299 points")


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: pairs(rows(), rows(dim=3)), "the data have 3 columns, the points 4"),
        (lambda: pairs(torch.zeros(3)), r"points must have shape \(N, D\), one row or more; got \(3,\)"),
        (lambda: pairs(rows(), torch.zeros(0, 4)), r"data must have shape"),
        (lambda: pairs(rows() * torch.nan), "every row of points has nan or inf"),
        (lambda: pairs(rows(), columns=[0, 4]), r"columns must be numbers from 0 to 3; got \[0, 4\]"),
        (lambda: pairs(rows(), names=["a"]), "names must hold one name for each of 4 columns; got 1"),
    ],
)
def test_bad_arguments(make: Callable, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        make()
