"""The noise flow and the Gaussians beside it."""

import json
from pathlib import Path

import pytest
import torch

from flowlib import prove
from flowlib.core import Given
from flowlib.datasets import Camera
from flowlib.models import camera_noise, gaussian_noise, noise_flow
from flowlib.training import fit

SHIPPED = Path(__file__).parents[2] / "notebooks" / "data" / "noise.json"
CAMERA = Camera()


def test_the_whole_flow_proves_its_claims() -> None:
    torch.manual_seed(0)
    flow = noise_flow((1, 2, 3), bins=4, hidden=[8])
    with torch.no_grad():
        for parameter in flow.parameters():
            parameter += 0.1 * torch.randn_like(parameter)
    assert prove(Given(flow.transform, torch.rand(7))).holds


@pytest.mark.parametrize(("left_out", "layers"), [({}, 5), ({"bins": 0}, 4), ({"bins": 0, "filters": 0}, 2)])
def test_what_can_be_left_out(left_out: dict, layers: int) -> None:
    flow = noise_flow((1, 4, 4), **left_out)
    assert len(flow.transform.layers()) == layers
    assert flow.sample(3, torch.zeros(17)).shape == (3, 1, 4, 4)


def test_its_size_is_that_of_the_paper_for_any_patch() -> None:
    sizes = {sum(p.numel() for p in noise_flow(shape).parameters()) for shape in ((1, 4, 4), (1, 16, 16))}
    assert len(sizes) == 1 and 2000 < sizes.pop() < 2500


def test_the_shipped_flow_is_near_the_truth_and_the_gaussian_is_not() -> None:
    noise, context = CAMERA.sample(300, seed=77)
    truth, level = CAMERA.log_prob(noise, context), CAMERA.levels(context).float()
    with torch.no_grad():
        gap = (truth - camera_noise().log_prob(noise, context)).mean().item() / CAMERA.pixels
    lead = (truth - gaussian_noise(noise, level)).mean().item() / CAMERA.pixels - gap
    assert 0.0 < gap < 0.02
    assert lead > 0.4


def test_the_stored_table_says_so_too() -> None:
    rows = {row["model"]: row for row in json.loads(SHIPPED.read_text())["rows"]}
    assert rows["noise level function"]["gap"] - rows["flow"]["gap"] > 0.4
    assert rows["flow"]["gap"] + 3 * rows["flow"]["error"] < 0.02
    assert rows["flow"]["gap"] < rows["flow without tails"]["gap"] < rows["flow without neighbours"]["gap"]


def test_it_learns_the_level_in_a_few_steps() -> None:
    camera = Camera((1, 4, 4))
    noise, context = camera.sample(800, seed=1)
    torch.manual_seed(0)
    flow = noise_flow(camera.shape, bins=0, filters=0, hidden=[16])
    fit(flow, noise, steps=150, batch=64, lr=2e-2, context=context)
    x, known = camera.sample(500, seed=2)
    best = gaussian_noise(x, camera.levels(known).float()).mean().item()
    plain = gaussian_noise(x, x.std()).mean().item()
    with torch.no_grad():
        assert flow.log_prob(x, known).mean().item() > 0.3 * plain + 0.7 * best


def test_bad_input_is_refused_in_words() -> None:
    with pytest.raises(ValueError, match="the level σ must be above 0; got 0"):
        gaussian_noise(torch.zeros(1, 1, 2, 2), 0.0)
    with pytest.raises(ValueError, match="needs a context"):
        noise_flow((1, 4, 4)).log_prob(torch.zeros(2, 1, 4, 4))
    with pytest.raises(ValueError, match=r"context of shape \(..., 17\); got shape \(2, 16\)"):
        noise_flow((1, 4, 4)).log_prob(torch.zeros(2, 1, 4, 4), torch.zeros(2, 16))
    with pytest.raises(ValueError, match=r"shape must be three whole numbers \(C, H, W\)"):
        noise_flow((16, 16))
