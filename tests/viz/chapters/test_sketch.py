"""A drawn curve against the true one: what is hidden, what is shown, and what is said of them."""

import math

import numpy as np
import pytest
import torch

from flowlib.bases import StandardNormal
from flowlib.viz import Area, Lines, sketch
from flowlib.viz.engine.canvas import unpack
from tests.viz.planar_explorer import head

PLACES = torch.linspace(-4.0, 4.0, 81)


def bell(x: torch.Tensor) -> torch.Tensor:
    return StandardNormal(1).log_prob(x.unsqueeze(-1)).exp()


def sheet(truth=bell, **more):
    return sketch(truth, (-4.0, 4.0), (0.0, 1.0), alt="a sheet", density=True, **more)


def test_nothing_of_the_truth_is_there_before_it_is_shown() -> None:
    one, other = sheet(), sheet(lambda x: 0.1 + 0 * x)
    assert one.canvas.frame == other.canvas.frame and one.png() == other.png() and repr(one) == repr(other)
    drawn = (0.2 * PLACES.cos().abs()).tolist()
    for explorer in (one, other):
        explorer.set(curve=drawn)
    assert one.canvas.frame == other.canvas.frame and one.scene.numbers == []
    for explorer in (one, other):
        explorer.set(truth="show")
    assert one.canvas.frame != other.canvas.frame


def test_the_truth_is_laid_over_the_drawn_curve() -> None:
    explorer = sheet()
    explorer.set(curve=bell(PLACES).tolist(), truth="show")
    (area,) = (layer for layer in explorer.scene.panels[0].layers if isinstance(layer, Area))
    truth, drawn = (layer for layer in explorer.scene.panels[0].layers if isinstance(layer, Lines))
    assert (area.color, truth.color, drawn.color) == ("data", "data", "light")
    assert torch.allclose(drawn.points[0, :, 1], bell(PLACES))
    assert torch.allclose(truth.points[0, ::5], drawn.points[0], atol=1e-5)
    assert explorer.scene.numbers[0] == ("The mass under your curve is", "1.00; a density has 1.")


def test_a_part_is_compared_where_it_is_drawn() -> None:
    explorer = sheet()
    explorer.set(curve=[0.4 if x >= 2.95 else None for x in PLACES.tolist()], truth="show")
    mass, worst = (text for _, text in explorer.scene.numbers)
    assert mass == "0.42; a density has 1."  # 0.4 from 3 to 4, and half a step on the left
    assert worst == "x = 4: it is 0.4 too high."
    explorer.set(curve=[0.0 if x < 0.05 else None for x in PLACES.tolist()])
    assert explorer.scene.numbers[1][1] == "x = 0: it is 0.4 too low."


def test_who_draws_nothing_may_look() -> None:
    explorer = sheet()
    explorer.set(truth="show")
    assert not explorer.error and explorer.scene.numbers == [
        ("You have drawn nothing:", "there is nothing to compare.")
    ]


def test_a_hand_draws_and_a_reset_wipes() -> None:
    explorer = sheet()
    assert head(explorer)["pen"] == {"name": "curve", "panel": -1, "heights": [None] * 81}
    heights = [None] * 40 + [0.5] * 41
    explorer.canvas.hand = {"name": "curve", "at": heights, "count": 3}
    assert head(explorer)["pen"]["heights"] == heights and head(explorer)["hand"] == 3
    assert explorer.values["curve"].isnan().sum() == 40
    assert "curve = 41 of 81 places drawn" in repr(explorer)
    explorer.set(**explorer._start)
    assert head(explorer)["pen"]["heights"] == [None] * 81


def test_a_given_curve_is_there_from_the_start() -> None:
    explorer = sheet(given=("a bell", bell))
    layers = unpack(explorer.canvas.frame)["panels"][0]["layers"]
    assert layers[0]["kind"] == "lines" and layers[0]["dash"]
    assert np.allclose(layers[0]["points"][0, 200], [0.0, 1 / math.sqrt(2 * math.pi)], atol=1e-6)
    assert "a bell, dashed" in [layer.get("text") for layer in layers]


@pytest.mark.parametrize(
    ("make", "error", "message"),
    [
        (lambda: sheet(3.0), TypeError, r"truth is 3.0; expected a function y\(x\)"),
        (lambda: sheet(lambda x: x[:, None]), ValueError, r"truth made \(401, 1\) of x \(401,\); expected one height"),
        (lambda: sheet(torch.log), ValueError, "truth is not finite at x = -4; choose xlim where it is"),
        (lambda: sheet(given=("a", None)), TypeError, "given is None; expected a function"),
        (lambda: sheet().set(curve=[0.0]), ValueError, "curve has 1 heights; expected 81, None for none"),
    ],
)
def test_bad_arguments(make, error, message) -> None:
    with pytest.raises(error, match=message):
        make()
