"""Explorers of posteriors: what moves when the observation moves, and what is said where nothing explains it."""

import torch

from flowlib.datasets import images
from flowlib.models import digit_vaes, posteriors
from flowlib.viz import explore_codes, explore_pendulum, explore_two_moons


def test_two_moons_follow_their_observation() -> None:
    explorer = explore_two_moons(posteriors()["two moons"])
    before, after = explorer.scene, explorer.scene_at(x=torch.tensor([-0.5, 0.4]))
    assert before.light[0] and after.light[0] and not explorer.error
    heat = [scene.panels[1].layers[0].values for scene in (before, after)]
    assert not torch.allclose(*heat)
    exact = torch.as_tensor(after.panels[1].layers[1].points)
    density = posteriors()["two moons"].log_prob(exact.float(), torch.tensor([-0.5, 0.4]))
    assert density.median() > 1.0  # nats above the prior's −1.39: the dots lie where the picture is bright


def test_an_observation_that_nothing_explains_is_called_so() -> None:
    explorer = explore_two_moons(posteriors()["two moons"])
    explorer.set(x=torch.tensor([1.3, 1.3]))
    assert not explorer.scene.light[0] and not explorer.error


def test_a_pendulum_is_found_near_its_truth() -> None:
    explorer = explore_pendulum(posteriors()["pendulum"])
    explorer.set(length=2.0, friction=0.5)
    (_, length), (_, friction) = explorer.scene.numbers
    assert abs(float(length.split(" ")[0]) - 2.0) < 0.3 and abs(float(friction.split(" ")[0]) - 0.5) < 0.3


def test_an_elbo_is_below_the_likelihood_by_the_kl_on_every_digit() -> None:
    explorer = explore_codes(digit_vaes(), images.digits().test.images[:6].flatten(1))
    for kind in ("gaussian", "spline"):
        for digit in range(6):
            scene = explorer.scene_at(digit=digit, q=kind)
            evidence, gap, elbo = (float(text.split(" ")[0].replace("−", "-")) for _, text in scene.numbers)
            assert gap > 0 and abs(evidence - gap - elbo) < 0.02
            assert scene.panels[1].xlim == scene.panels[2].xlim
