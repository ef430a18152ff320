"""The explorers of notebook 09: a fixed point as a cobweb, and a series cut off or cut by chance."""

import math

import pytest
import torch

from flowlib.viz import cobweb, cut_or_chance
from flowlib.viz.chapters.contraction import Series

B = torch.tensor([1.0, 0.5, -0.4, -0.8], dtype=torch.float64)


def wave(z, L):
    return L / 2 * torch.sin(2 * z)


def said(scene) -> dict[str, str]:
    return dict(scene.numbers)


@pytest.mark.parametrize("L", [0.0, 0.5, 0.8])
def test_the_search_ends_at_the_solution_from_everywhere(L):
    explorer = cobweb(wave)
    for start in (-3.0, 0.4, 3.0):
        z = float(said(explorer.scene_at(L=L, k=40, at=(start, 1.0)))["z after 40 steps"].replace("−", "-"))
        assert abs(z + L / 2 * math.sin(2 * z) - 1.0) < 1e-3


def test_no_step_is_longer_than_the_bound():
    explorer = cobweb(wave)
    for L in (0.3, 0.8, 0.95, 1.5):
        bound, dots = explorer.scene_at(L=L, k=40).panels[2].layers[:2]
        assert (
            torch.as_tensor(dots.points)[:, 1] <= torch.as_tensor(bound.points)[0, :, 1].clamp(min=-14) + 1e-9
        ).all()


def test_what_breaks_beyond_one():
    explorer = cobweb(wave)
    assert said(explorer.scene_at(L=0.95, at=(0.0, 1.6)))["solutions of z + g(z) = x"] == "1"
    folded = explorer.scene_at(L=1.5, at=(0.0, 1.6))
    assert said(folded)["solutions of z + g(z) = x"] == "3" and folded.light == (False, "L < 1 is violated")
    cycles = explorer.scene_at(L=1.5, k=40, at=(2.6, 0.3))
    assert said(cycles)["solutions of z + g(z) = x"] == "1" and float(said(cycles)["|x − z − g(z)|"]) > 1.0


@pytest.mark.parametrize("L", [0.3, 0.6, 0.8])
def test_a_roulette_is_right_on_average(L):
    series = Series(B, L)
    assert series.exact == pytest.approx(float(torch.logdet(torch.eye(4, dtype=torch.float64) + torch.diag(L * B))))
    for m in (4, 8, 12):
        answers, often = series.roulette(m)
        assert float(often.sum()) == pytest.approx(1.0, abs=1e-12)
        assert float((often * answers).sum()) == pytest.approx(series.exact, abs=1e-10)
        places = torch.arange(1, len(often) + 1)
        assert float((often * places).sum()) == pytest.approx(m, abs=1e-9)  # terms on average


def test_the_bias_is_what_is_left_out():
    series = Series(B, 0.5)
    for m in (1, 4, 9):
        rest = -sum((-1) ** (k + 1) * float(((0.5 * B) ** k).sum()) / k for k in range(m + 1, 200))
        assert series.bias(m) == pytest.approx(rest, abs=1e-12)


def test_an_infinite_variance_is_said_and_leaves_a_gap():
    assert Series(B, 0.95).spread(4) == math.inf and math.isfinite(Series(B, 0.95).spread(12))
    scene = cut_or_chance().scene_at(L=0.95, m=4)
    assert said(scene)["its standard deviation"] == "∞"
    assert torch.isnan(torch.as_tensor(scene.panels[0].layers[3].points)[0, :9, 1]).all()
