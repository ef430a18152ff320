"""The causal filter and the law of each pixel."""

import pytest
import torch

from flowlib.laws import Affine
from flowlib.nets import MLP
from flowlib.transforms import CausalFilter, PerPixel


def test_a_pixel_hears_what_comes_before_it_alone() -> None:
    torch.manual_seed(0)
    layer = CausalFilter((1, 3, 4)).double()
    z = torch.zeros(1, 3, 4, dtype=torch.float64)
    jacobian = torch.autograd.functional.jacobian(lambda x: layer.inverse(x)[0], z).reshape(12, 12)
    assert torch.allclose(jacobian, jacobian.tril()) and torch.allclose(jacobian.diagonal(), torch.ones(12).double())
    assert torch.allclose(-jacobian[5, [4, 0, 1, 2]], layer.w)  # left, upper left, above, upper right
    assert jacobian[5].count_nonzero() == 5 and jacobian[4].count_nonzero() == 3  # none beyond the border


@pytest.mark.parametrize("size", [0.0, 1.0, 1e6])
def test_the_filter_cannot_explode(size: float) -> None:
    layer = CausalFilter((1, 16, 16))
    torch.nn.init.constant_(layer.raw, size)
    assert layer.w.abs().sum() <= layer.most + 1e-6
    assert layer(torch.ones(1, 16, 16))[0].abs().max() <= 1 / (1 - layer.most) + 1e-3


def test_each_pixel_has_its_own_condition() -> None:
    torch.manual_seed(0)
    layer = PerPixel(Affine(), MLP(2, 2, [8]), (1, 2, 2), extra=1)
    torch.nn.init.normal_(layer.net[-1].weight)
    z, context = torch.ones(1, 2, 2), torch.tensor([0.1, 0.2, 0.3, 0.4, 1.0])
    other = context.clone()
    other[2] = 0.9
    moved = (layer(z, context)[0] != layer(z, other)[0]).flatten()
    assert moved.tolist() == [False, False, True, False]
    assert torch.equal(layer(z.expand(3, 1, 2, 2), context)[0][2], layer(z, context)[0])


def test_bad_input_is_refused_in_words() -> None:
    layer = PerPixel(Affine(), MLP(2, 2, [8]), (1, 2, 2), extra=1)
    with pytest.raises(ValueError, match=r"needs a context of shape \(..., 5\); got none"):
        layer(torch.zeros(1, 1, 2, 2))
    with pytest.raises(ValueError, match="extra must be a whole number, 0 or more; got -1"):
        PerPixel(Affine(), MLP(2, 2, [8]), (1, 2, 2), extra=-1)
    with pytest.raises(ValueError, match="shape must be three whole numbers"):
        CausalFilter((4, 4))
