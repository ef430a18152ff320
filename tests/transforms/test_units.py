"""The layer that knows the units of the data: learned once, in float64, and never again."""

import copy

import pytest
import torch

from flowlib import Flow, Given
from flowlib.bases import StandardNormal
from flowlib.models import real_nvp
from flowlib.transforms import Units

FAR = torch.tensor([1e9, -1e9], dtype=torch.float64)
SMALL = torch.tensor([1e-9, 1e9], dtype=torch.float64)


def rows(n: int = 200) -> torch.Tensor:
    return torch.randn(n, 2, generator=torch.Generator().manual_seed(0), dtype=torch.float64)


def learned(x: torch.Tensor) -> Units:
    layer = Units(2)
    layer.inverse(x)
    return layer


@pytest.mark.parametrize("scale", [1.0, 1e-9, 1e9])
def test_standard_units_come_out_in_the_precision_of_the_flow(scale: float) -> None:
    z, log_det = learned(x := rows() * scale).inverse(x)
    assert (z.dtype, log_det.dtype) == (torch.float32, torch.float64)
    assert torch.allclose(z.mean(0), torch.zeros(2), atol=1e-5) and torch.allclose(z.std(0, False), torch.ones(2))
    assert torch.allclose(log_det, -x.std(0, False).log().sum(), rtol=1e-12)


def test_an_offset_that_float32_cannot_hold() -> None:
    x = rows() + FAR
    layer = learned(x)
    again, _ = layer(layer.inverse(x)[0])
    assert again.dtype == torch.float64
    assert torch.allclose(again, x, rtol=0, atol=2e-6)  # float64 tells 1e-7 apart there, float32 tells 64


def test_units_are_learned_once() -> None:
    layer = learned(rows())
    kept = copy.deepcopy(layer.state_dict())
    layer.inverse(100.0 * rows())
    assert all(torch.equal(kept[key], value) for key, value in layer.state_dict().items())


@pytest.mark.parametrize("look", [lambda f, x: f.eval().inverse(x), lambda f, x: f(x)])
def test_looking_teaches_nothing(look) -> None:
    layer = Units(2)
    look(layer, rows(50).float())
    assert layer.standard.learned_from is None
    assert torch.equal(layer.eval()(torch.ones(1, 2))[0], torch.ones(1, 2))


def test_a_column_of_one_value_keeps_scale_one_and_bad_rows_do_not_count() -> None:
    x = rows()
    x[:, 1] = 7.0
    x[3] = torch.nan
    layer = learned(x)
    assert layer.standard.scale[1] == 1.0 and layer.standard.shift[1] == 7.0
    assert layer.standard.scale.isfinite().all()


def test_casting_a_flow_leaves_its_units_in_float64() -> None:
    layer = learned(rows() * SMALL + FAR)
    kept = layer.standard.shift.clone()
    assert torch.equal(copy.deepcopy(layer).float().double().standard.shift, kept)


def test_a_state_brings_units_and_precision_along() -> None:
    layer, other = learned(rows() + FAR), Units(2)
    other.load_state_dict(layer.state_dict())
    z = torch.randn(5, 2)
    assert torch.equal(other(z)[0], layer(z)[0]) and other(z)[0].dtype == torch.float64


def test_a_flow_with_units_takes_points_of_any_precision() -> None:
    flow = Flow(learned(rows() + FAR), StandardNormal(2))
    flow.transform.standard.like = torch.empty(0)
    assert flow.log_prob(rows() + FAR).isfinite().all()


def test_a_context_is_seen_in_standard_units() -> None:
    """The same context in other units gives the same densities, alone, in layers and fixed."""
    x, context = rows().float(), rows() * SMALL
    found = []
    for c in (rows(), context, rows() + FAR):
        torch.manual_seed(0)
        flow = real_nvp(layers=2, context_dim=2)
        flow.log_prob(x, c)
        for parameter in flow.parameters():
            torch.nn.init.normal_(parameter, std=0.3)
        flow.eval()
        found.append(flow.log_prob(x, c))
        assert torch.allclose(flow.given(c[0]).log_prob(x[:1]), found[-1][:1], atol=1e-6)
        z, _ = flow.transform.inverse(x, c)
        back = x
        for layer in reversed(flow.transform.layers()):
            back, _ = layer.inverse(back, c if layer.context_dim else None)
        assert torch.allclose(back, z, atol=1e-6)
    assert torch.allclose(found[0], found[2], atol=1e-4) and torch.allclose(found[0], found[1], atol=1e-4)


def test_integers_may_be_a_context() -> None:
    flow = real_nvp(layers=2, context_dim=3)
    labels = torch.nn.functional.one_hot(torch.arange(6) % 3)
    assert flow.log_prob(rows(6).float(), labels).shape == (6,)
    assert Given(flow.transform, [1, 0, 0])(torch.zeros(4, 2))[0].shape == (4, 2)
