"""Samples alone are the points of forward, whichever way a layer takes to them."""

import pytest
import torch

from flowlib import Inverse
from flowlib.models import ffjord, glow, real_nvp, residual_flow
from flowlib.nets import VelocityMLP
from flowlib.transforms import Continuous
from tests.models.test_copies import moved

FLOWS = {
    "continuous": lambda: ffjord(hidden=[8, 8], steps=4),
    "conditional": lambda: ffjord(hidden=[8, 8], steps=4, context_dim=2),
    "couplings": lambda: real_nvp(layers=3, hidden=[8]),
    "residual": lambda: residual_flow(layers=2, hidden=[8]),
    "glow": lambda: glow((1, 4, 4), scales=1, steps=2, width=4),
}


@pytest.mark.parametrize("name", FLOWS)
def test_samples_alone_are_the_points_of_forward(name: str) -> None:
    torch.manual_seed(0)
    flow = moved(FLOWS[name]()).double().eval()
    z, context = flow.base.sample(6), torch.randn(6, 2).double() if name == "conditional" else None
    assert torch.allclose(flow.transform.generate(z, context), flow.transform(z, context)[0], atol=1e-12)


@pytest.mark.parametrize("tolerance", [None, 1e-6])
def test_one_layer_and_its_inverse(tolerance: float | None) -> None:
    layer = moved(Continuous(VelocityMLP(2, [8, 8]), tolerance=tolerance)).double()
    z = torch.randn(5, 2).double()
    assert torch.allclose(layer.generate(z), layer(z)[0], atol=1e-12)
    assert torch.allclose(Inverse(layer).generate(z), layer.inverse(z)[0], atol=1e-12)
    with pytest.raises(ValueError, match=r"Continuous expects a float tensor of shape \(\.\.\., 2\)"):
        layer.generate(torch.zeros(3, 3))
