"""A layer whose parameters a network of the context moves is, at each context, that layer."""

import math

import pytest
import torch

from flowlib import Transform
from flowlib.core import Flow
from flowlib.models import planar_flow, real_nvp, sylvester_flow
from flowlib.training import fit
from flowlib.transforms import Amortized, Planar, Radial, Sylvester


def loud(layer: Transform) -> Amortized:
    torch.manual_seed(0)
    amortized = Amortized(layer, context_dim=2, hidden=[8]).double()
    with torch.no_grad():
        for parameter in amortized.net.parameters():
            parameter += torch.randn_like(parameter)
    return amortized


@pytest.mark.parametrize("make", [lambda: Planar(3), lambda: Radial(3), lambda: Sylvester(3, 2)])
def test_each_row_has_the_layer_of_its_context(make) -> None:
    amortized, z, contexts = loud(make()), torch.randn(4, 3).double(), torch.randn(4, 2).double()
    x, log_det = amortized(z, contexts)
    for k, context in enumerate(contexts):
        plain = make().double()
        with torch.no_grad():
            for (name, own), value in zip(
                plain.named_parameters(), amortized.moved(context[None]).values(), strict=True
            ):
                assert own.shape == value[0].shape, name
                own.copy_(value[0])
        one, its_log_det = plain(z[k])
        assert torch.allclose(one, x[k], atol=1e-12) and torch.allclose(its_log_det, log_det[k], atol=1e-12)


def test_it_begins_as_the_layer_itself() -> None:
    layer, z = Planar(2), torch.randn(5, 2)
    assert torch.equal(Amortized(layer, 3)(z, torch.randn(5, 3))[0], layer(z)[0])


def test_parameters_are_counted_once_and_stored_once() -> None:
    amortized = Amortized(Planar(2), 3, hidden=[4])
    assert sum(p.numel() for p in amortized.parameters()) == 5 + (3 + 1) * 4 + (4 + 1) * 5
    assert not [name for name in amortized.state_dict() if "turned" in name]


def test_a_push_that_depends_on_the_context_is_learned() -> None:
    """x | c ~ N(2 c, 1): the floor is the entropy of one normal; without the context it is 0.80 nats higher."""
    torch.manual_seed(0)
    context = torch.randn(4000, 1)
    x = 2.0 * context * torch.tensor([1.0, 0.0]) + torch.randn(4000, 2)
    flow = planar_flow(layers=2, fast="density", context_dim=1)
    history = fit(flow, x, steps=300, lr=0.01, context=context, entropy=math.log(2.0 * math.pi * math.e))
    assert history.gap < 0.4


@pytest.mark.parametrize("recipe", [planar_flow, sylvester_flow])
def test_the_layers_are_told(recipe) -> None:
    flow = recipe(layers=3, context_dim=2, hidden=[4])
    assert isinstance(flow, Flow) and len(flow.transform.layers()) == 3
    assert "moved by MLP 2 → 4 → " in flow.transform.layers()[0].describe()


def test_bad_arguments() -> None:
    with pytest.raises(ValueError, match=r"Amortized: context_dim must be a whole number, 1 or more; got 0"):
        Amortized(Planar(2), 0)
    with pytest.raises(ValueError, match=r"has a context already\. Give it a layer without one"):
        Amortized(real_nvp(context_dim=1).transform, 1)
    with pytest.raises(ValueError, match=r"needs a context of shape \(\.\.\., 2\); got none"):
        Amortized(Planar(2), 2)(torch.zeros(3, 2))
