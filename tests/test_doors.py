"""What a flow takes at its door: whole numbers of any kind, points of its own precision, contexts for a batch."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor
from torch.nn.functional import one_hot

from flowlib import Flow, models
from flowlib.pixels import VariationalDequantize
from flowlib.support.checks import fits
from flowlib.training import fit
from flowlib.transforms import Linear
from flowlib.viz import Slider, explore

VECTORS = ["nice", "real_nvp", "spline_flow", "maf", "spline_maf", "iaf", "transformer_flow"]
PUSHES = ["planar_flow", "radial_flow", "sylvester_flow"]


def small(name: str, **arguments) -> Flow:
    torch.manual_seed(0)
    return getattr(models, name)(layers=2, **arguments)


def test_sizes_may_be_numbers_of_numpy() -> None:
    flow = models.real_nvp(dim=np.int64(3), layers=np.int32(2), hidden=[np.int16(8)])
    assert flow.sample(np.int64(4), temperature=np.float32(0.5)).shape == (4, 3)
    with pytest.raises(ValueError, match="must be a whole number, 1 or more; got True"):
        models.real_nvp(layers=True)


@pytest.mark.parametrize("name", PUSHES)
def test_points_of_another_precision_are_refused_in_words(name: str) -> None:
    with pytest.raises(TypeError, match=r"computes in torch\.float32, the points are torch\.float64.*flow\.to\("):
        small(name).log_prob(torch.zeros(3, 2).double())


@pytest.mark.parametrize("name", VECTORS)
def test_flows_with_units_take_points_of_any_precision(name: str) -> None:
    flow, x = small(name), torch.randn(5, 2)
    assert torch.allclose(flow.log_prob(x.double()).float(), flow.log_prob(x), atol=1e-5)


@pytest.mark.parametrize("name", VECTORS)
def test_n_points_for_each_of_m_contexts(name: str) -> None:
    flow, context = small(name, context_dim=2), torch.randn(5, 2)
    assert flow.sample((3, 5), context).shape == (3, 5, 2)
    assert flow.sample(3, context[0]).shape == (3, 2)
    assert flow.sample(5, context).shape == (5, 2)
    assert flow.sample((), context[0]).shape == (2,)
    with pytest.raises(ValueError, match=r"got shape \(5, 2\)\. For 10 points of each context: sample\(\(10, 5\)"):
        flow.sample(10, context)
    with pytest.raises(ValueError, match=r"points \(4,\) need a context of shape \(4, 2\), one for each"):
        flow.log_prob(torch.zeros(4, 2), context)


def test_a_context_without_its_dimension() -> None:
    with pytest.raises(ValueError, match=r"got shape \(4,\)\. Give it another dimension: context\[:, None\]"):
        small("real_nvp", context_dim=1).log_prob(torch.zeros(4, 2), torch.zeros(4))


@settings(max_examples=60, deadline=None, derandomize=True)
@given(st.lists(st.sampled_from([1, 2, 5]), max_size=3), st.lists(st.sampled_from([1, 2, 5]), max_size=3))
def test_what_fits_a_batch_is_what_torch_would_repeat(rows: list[int], batch: list[int]) -> None:
    try:
        torch.zeros(rows).expand(batch)
        repeats = True
    except RuntimeError:
        repeats = False
    assert fits(rows, batch) == repeats


IMAGES = {
    "glow": {"scales": 1, "steps": 1, "width": 8},
    "nice_image": {"scales": 1, "couplings": 1, "width": 8},
    "real_nvp_image": {"scales": 1, "couplings": 1, "width": 8},
    "residual_flow_image": {"scales": 1, "blocks": 1, "width": 8},
    "transformer_image": {"patch": 2, "layers": 1, "width": 8, "heads": 2, "depth": 1, "hidden": [8]},
}


@pytest.mark.parametrize("name", IMAGES)
def test_images_take_labels_as_whole_numbers(name: str) -> None:
    torch.manual_seed(0)
    flow = getattr(models, name)((1, 4, 4), context_dim=3, **IMAGES[name]).eval()
    labels, x = one_hot(torch.tensor([0, 1, 2, 1])), torch.randn(4, 1, 4, 4)
    assert torch.equal(flow.log_prob(x, labels), flow.log_prob(x, labels.float()))
    assert flow.sample(4, labels).shape == x.shape


@pytest.mark.parametrize("context_dim", [0, 3])
def test_the_context_of_a_flow_is_not_that_of_a_network_within(context_dim: int) -> None:
    """A patch transformer hands its tokens to a MADE as a context of 8 numbers; nobody outside has to bring it."""
    flow = models.transformer_image((1, 4, 4), context_dim=context_dim, **IMAGES["transformer_image"])
    assert flow.context_dim == context_dim
    labels = one_hot(torch.arange(30) % 3) if context_dim else None
    assert fit(flow, torch.randn(30, 1, 4, 4), steps=1, batch=8, context=labels).losses
    with pytest.raises(ValueError, match="the flow must see the image, a context of 16 numbers; it takes"):
        VariationalDequantize((1, 4, 4), 4, flow)


def test_a_conditional_flow_can_be_explored() -> None:
    """At each place of a slider the picture is that of the flow under this condition."""
    flow = small("real_nvp", context_dim=1).eval()
    with torch.no_grad():
        for parameter in flow.parameters():
            parameter += 0.05 * torch.randn_like(parameter)
    explorer = explore(lambda c: flow.given(c), c=Slider(-1.0, -1.0, 1.0), samples=10, resolution=20)
    explorer.canvas.pointer, readouts = [0, 0.5, 0.5], set()
    for c in (-1.0, 1.0):
        explorer.sliders["c"].value = c
        p = flow.log_prob(torch.tensor([0.5, 0.5]), torch.tensor([c])).exp().item()
        assert p > 0.01 and explorer.canvas.readout.endswith(f"p(x) = {p:.3g}")
        readouts.add(explorer.canvas.readout)
    assert len(readouts) == 2
    panel = explorer.scene.panels[0]
    assert (panel.xlabel, panel.ylabel) == ("x₁", "x₂")


@pytest.mark.parametrize("name", [*VECTORS, *PUSHES])
def test_samples_hold_no_gradients_and_temperature_zero_is_the_mode(name: str) -> None:
    flow = small(name)
    assert np.asarray(flow.sample(3)).shape == (3, 2)
    z = torch.zeros(3, 2)
    assert torch.allclose(flow.sample(3, temperature=0), flow.generate(z), atol=1e-6)
    assert flow.sample_with_log_prob(3)[0].requires_grad and flow.generate(z).requires_grad
    with pytest.raises(ValueError, match="temperature must be a finite number, 0 or more; got -1"):
        flow.sample(3, temperature=-1)


@pytest.mark.parametrize("scale", [1e-9, 1e9])
def test_a_matrix_may_have_rows_of_any_units(scale: float) -> None:
    matrix = torch.tensor([[scale, 0.0], [0.0, 1.0]])
    assert torch.allclose(Linear(2, matrix=matrix).matrix, matrix)
    with pytest.raises(ValueError, match="matrix must be invertible"):
        Linear(2, matrix=[[scale, 2 * scale], [1.0, 2.0]])


@pytest.mark.parametrize("name", [*VECTORS, *PUSHES])
def test_shapes_on_the_meta_device(name: str) -> None:
    with torch.device("meta"):
        flow = small(name)
        assert flow.log_prob(torch.empty(3, 2)).shape == (3,)


@pytest.mark.parametrize("name", [*VECTORS, *PUSHES])
def test_second_derivatives_of_one_point_in_single_precision(name: str) -> None:
    flow = small(name).eval()
    assert torch.func.hessian(flow.log_prob)(torch.tensor([0.3, -0.4])).isfinite().all()


class LogProb(torch.nn.Module):
    def __init__(self, flow: Flow):
        super().__init__()
        self.flow = flow

    def forward(self, x: Tensor) -> Tensor:
        return self.flow.log_prob(x)


@pytest.mark.parametrize("name", ["real_nvp", "maf", "iaf", "planar_flow"])
def test_densities_can_be_exported_for_any_number_of_points(name: str) -> None:
    flow, sizes = small(name).eval(), {0: torch.export.Dim("points", min=2)}
    program = torch.export.export(LogProb(flow), (torch.zeros(7, 2),), dynamic_shapes=(sizes,))
    x = torch.randn(11, 2)
    assert torch.allclose(program.module()(x), flow.log_prob(x), atol=1e-5)


def test_one_dimension_names_the_recipe_that_serves() -> None:
    with pytest.raises(ValueError, match=r"needs dim = 2 or more.*spline_maf\(1\)"):
        models.real_nvp(1)
