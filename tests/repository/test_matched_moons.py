"""The three flows of notebook 10 that come with flowlib are flows of the moons, and differ in their ways."""

import torch

from flowlib.datasets import toy
from flowlib.models import matched_moons
from tools.matched_moons import WAYS


@torch.no_grad()
def test_each_is_near_the_floor_and_transport_goes_the_straightest_way() -> None:
    moons, flows = toy.two_moons(noise=0.1), matched_moons()
    x, z = moons.sample(2000, seed=3), torch.randn(500, 2, generator=torch.Generator().manual_seed(0))
    assert list(flows) == list(WAYS)
    efforts = {}
    for name, flow in flows.items():
        assert (moons.log_prob(x) - flow.log_prob(x)).mean() < 0.5
        efforts[name] = flow.transform.layers()[0].effort(z)[0].mean()
    assert efforts["straight"] > 1.5 * efforts["transport"]
