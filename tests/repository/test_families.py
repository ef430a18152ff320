"""What notebook 06 says about its table of families, and about the start from which NICE does not move."""

import json

import pytest
import torch
from torch import Tensor

from flowlib import Flow
from flowlib.datasets import tables, toy
from flowlib.models import nice, real_nvp
from tools.families import FAMILIES, OUT, SEEDS, TARGETS, gaussian, shaken

ROWS = {(row["family"], row["target"]): row for row in json.loads(OUT.read_text())["toy"]}
SPLINES = ("spline coupling", "spline MAF")
AFFINE = ("NICE", "NICE, shaken", "RealNVP", "MAF", "IAF", "transformer")


@pytest.fixture(scope="module")
def mirrored() -> Tensor:
    """Points of the eight Gaussians with their mirror images in both axes, (4000, 2)."""
    x = toy.eight_gaussians().sample(1000).double()
    return torch.cat([x * torch.tensor(sign) for sign in ((1, 1), (1, -1), (-1, 1), (-1, -1))])


def gradients(flow: Flow, x: Tensor, weights: list[Tensor], **how: bool) -> Tensor:
    """Of the loss, in all these weights, (n,)."""
    return torch.cat([part.flatten() for part in torch.autograd.grad(-flow.log_prob(x).mean(), weights, **how)])


@pytest.mark.parametrize(
    ("recipe", "moves"),
    [(nice, False), (lambda: shaken(nice()), True), (real_nvp, True)],
    ids=["NICE", "shaken", "NVP"],
)
def test_only_additive_couplings_have_no_gradient_at_their_start(recipe, moves, mirrored):
    torch.manual_seed(0)
    flow = recipe().double()
    largest = gradients(flow, mirrored, list(flow.parameters())).abs().max()
    assert largest > 0.02 if moves else largest < 1e-12


def test_the_start_of_nice_is_a_saddle(mirrored):
    torch.manual_seed(0)
    flow = nice(hidden=[16]).double()
    flow.log_prob(mirrored)  # the units are learned
    weights = [weight for weight in flow.parameters() if weight.ndim > 1 and not weight.any()]
    first = gradients(flow, mirrored, weights, create_graph=True)
    second = [torch.autograd.grad(slope, weights, retain_graph=True) for slope in first]
    hessian = torch.stack([torch.cat([part.flatten() for part in row]) for row in second])
    curvature = torch.linalg.eigvalsh(hessian)
    assert curvature[0] < -0.02 and curvature[-1] > 1


def test_the_gaussian_is_the_baseline_of_the_tables():
    wine = tables.wine()
    with torch.no_grad():
        score = gaussian(wine.train.double()).double().log_prob(wine.test.double()).mean().item()
    assert score == pytest.approx(wine.baseline, abs=1e-4)


def test_the_table_is_whole():
    assert list(ROWS) == [(family, target) for target in TARGETS for family in FAMILIES]
    assert all(len(row["gaps"]) == SEEDS for row in ROWS.values())


def test_what_the_page_says_about_the_table():
    assert min(ROWS["NICE", "eight_gaussians"]["gaps"]) > 1.3
    assert max(ROWS["NICE, shaken", "eight_gaussians"]["gaps"]) < 0.5
    for target in TARGETS:
        worst = max(gap for family in SPLINES for gap in ROWS[family, target]["gaps"])
        assert worst < min(gap for family in AFFINE for gap in ROWS[family, target]["gaps"])
    assert max(row["round_trip_double"] for row in ROWS.values()) < 1e-12
