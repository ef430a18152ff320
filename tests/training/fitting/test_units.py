"""A fit does not care for the units of its data, nor for those of a context."""

import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from flowlib.datasets import toy
from flowlib.models import maf, planar_flow, real_nvp, spline_flow
from flowlib.training.fit import fit
from tests.training.fitting.examples import points

X = toy.two_moons(0.1).sample(600, seed=1).double()
RECIPES = {
    "real_nvp": lambda **more: real_nvp(layers=2, hidden=[16], **more),
    "spline_flow": lambda **more: spline_flow(layers=2, hidden=[16], **more),
    "maf": lambda **more: maf(layers=2, hidden=[16], **more),
    "planar_flow": lambda **more: planar_flow(layers=2, fast="density", **more),
}


def best(name: str, x: Tensor, **more) -> float:
    """The held-out loss of the same short fit, in nats."""
    torch.manual_seed(0)
    flow = RECIPES[name](**({"context_dim": 1} if "context" in more else {}))
    return fit(flow, x, steps=30, batch=128, **more).best


PLAIN = {name: best(name, X) for name in RECIPES}


@pytest.mark.parametrize("name", RECIPES)
@pytest.mark.parametrize("scale", [2.0**-30, 2.0**30])
def test_powers_of_two_change_nothing_at_all(name: str, scale: float) -> None:
    """They move the comma alone: the same rounding, the same steps."""
    assert best(name, scale * X) - 2 * math.log(scale) == pytest.approx(PLAIN[name], abs=1e-5)


@settings(max_examples=8, deadline=None, derandomize=True)
@given(st.tuples(st.floats(-9, 9), st.floats(-9, 9)), st.tuples(st.floats(-1, 1), st.floats(-1, 1)))
def test_each_column_may_have_units_of_its_own(exponents: tuple, offsets: tuple) -> None:
    """x → a x + b with a from 1e-9 to 1e9, and b up to 1e9 times as large."""
    a = 10.0 ** torch.tensor(exponents, dtype=torch.float64)
    b = 1e9 * a.clamp(max=1.0) * torch.tensor(offsets, dtype=torch.float64)
    assert best("real_nvp", a * X + b) - float(a.log().sum()) == pytest.approx(PLAIN["real_nvp"], abs=1e-3)


@pytest.mark.parametrize(("scale", "offset"), [(1e4, 0.0), (1e-9, 0.0), (1.0, 1e9)])
def test_a_context_may_have_any_units(scale: float, offset: float) -> None:
    context = X[:, :1] + torch.randn(len(X), 1, generator=torch.Generator().manual_seed(1), dtype=torch.float64)
    plain = best("real_nvp", X, context=context)
    assert best("real_nvp", X, context=scale * context + offset) == pytest.approx(plain, abs=1e-3)
    assert plain != pytest.approx(PLAIN["real_nvp"], abs=1e-2)


def test_samples_come_back_in_the_units_of_the_data() -> None:
    torch.manual_seed(0)
    flow = real_nvp(layers=2)
    fit(flow, X + 1e9, steps=5)
    x = flow.sample(100)
    assert x.dtype == torch.float64 and not x.requires_grad and (x - 1e9).abs().max() < 10
    assert flow.log_prob(x).isfinite().all()


def test_float_data_stay_float() -> None:
    flow = real_nvp(layers=2)
    fit(flow, points(), steps=2)
    assert flow.sample(3).dtype == torch.float32 and flow.log_prob(points(5)).dtype == torch.float32
