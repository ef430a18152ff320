"""Two directions of KL and a game on the line: closed forms where there are any."""

import math

import torch

from flowlib.viz import explore_divergence, explore_game
from flowlib.viz.chapters.divergences import divergence, jensen_shannon, normal, search


def of(scene, name: str) -> float:
    return float(dict(scene.numbers)[name].replace("−", "-"))


def test_between_two_gaussians_the_ends_are_the_two_closed_forms() -> None:
    p, q = normal(0.3, 0.8), normal(-0.5, 1.3)
    forward = math.log(1.3 / 0.8) + (0.8**2 + 0.8**2) / (2 * 1.3**2) - 0.5
    reverse = math.log(0.8 / 1.3) + (1.3**2 + 0.8**2) / (2 * 0.8**2) - 0.5
    assert abs(float(divergence(p, q, 0.0)) - forward) < 1e-5
    assert abs(float(divergence(p, q, 1.0)) - reverse) < 1e-5
    assert abs(float(divergence(p, q, 0.001)) - forward) < 0.06 and abs(float(divergence(p, q, 0.999)) - reverse) < 0.06
    assert abs(float(divergence(p, q, 0.3)) - float(divergence(q, p, 0.7))) < 1e-5


def test_forward_kl_takes_the_moments_and_reverse_kl_one_hump() -> None:
    explorer = explore_divergence()
    for weight, apart in ((0.4, 2.0), (0.7, 1.0)):
        words = dict(explorer.scene_at(a=0.0, weight=weight, apart=apart).numbers)
        assert words["q"] == words["mean and deviation of p"]
    mean, width = search(
        torch.logaddexp(normal(-3.0, 0.5) + math.log(0.4), normal(3.0, 0.8) + math.log(0.6)), 1.0, 48, 36
    )[1]
    assert abs(mean - 3.0) < 0.02 and abs(width - 0.8) < 0.02
    both = explorer.scene_at(a=1.0, apart=2.5).panels[1].layers[1].points
    assert len(both) == 2  # one valley for each hump


def test_the_game_is_worth_nothing_between_equals_and_log_2_between_strangers() -> None:
    explorer = explore_game(width=0.6)
    equal = explorer.scene_at(shift=0.0, width=0.6)
    assert of(equal, "JS(p, q)") == 0.0 and abs(of(equal, "value of the game") + math.log(4)) < 1e-3
    assert torch.allclose(torch.as_tensor(equal.panels[1].layers[0].points)[..., 1], torch.tensor(0.5), atol=1e-5)
    far = explorer.scene_at(shift=4.0, width=0.6)
    assert abs(of(far, "JS(p, q)") - math.log(2)) < 5e-3 and of(far, "W₂") == 4.0
    assert of(far, "pull, saturating") < 0.05 < 5.0 < of(far, "pull, non-saturating")


def test_jensen_shannon_is_the_mean_of_two_kls_to_the_middle() -> None:
    p, q = normal(0.0, 0.7), normal(1.0, 1.1)
    middle = torch.logaddexp(p, q) - math.log(2)
    expected = 0.5 * (divergence(p, middle, 0.0) + divergence(q, middle, 0.0))
    assert abs(float(jensen_shannon(p, q) - expected)) < 1e-5
