"""What a flow can say of itself: layers, costs, context, box; also of a family that nobody listed."""

import pytest
import torch
from torch import Tensor

from flowlib import Compose, Flow, Given, Inverse, Transform, prove
from flowlib.bases import NormalMixture, StandardNormal, Uniform
from flowlib.core import ONE_PASS, ROOTS, Cost, steps
from flowlib.models import glow, iaf, maf, planar_flow, real_nvp, summary
from flowlib.transforms import ActNorm, ElementwiseAffine, Linear, Planar, Squeeze


class Slow(Transform):
    """x = 2 z, a family that nobody listed: dear backwards, and it says so."""

    costs = (ONE_PASS, Cost("a night of thinking", 1000))

    def __init__(self) -> None:
        super().__init__([2])

    def forward(self, z: Tensor, context: Tensor | None = None) -> tuple[Tensor, Tensor]:
        return 2.0 * z, z.new_full(z.shape[:-1], 2.0 * torch.tensor(2.0).log().item())

    def inverse(self, x: Tensor, context: Tensor | None = None) -> tuple[Tensor, Tensor]:
        return x / 2.0, x.new_full(x.shape[:-1], -2.0 * torch.tensor(2.0).log().item())


def test_a_family_that_nobody_listed_says_what_it_costs() -> None:
    flow = Flow(Compose([Planar(2), Slow(), Linear(2)]), StandardNormal(2))
    assert summary(flow).costs == [("sample", "one pass"), ("log_prob", "a night of thinking")]
    assert summary(Flow(Inverse(flow.transform), flow.base)).costs[0] == ("sample", "a night of thinking")
    assert "Slow(dim=2)" in repr(summary(flow))


def test_the_dearest_part_decides() -> None:
    assert Compose([Linear(2), Planar(2)]).costs == (ONE_PASS, ROOTS)
    assert planar_flow().transform.costs == (ONE_PASS, ROOTS)
    assert maf(3).transform.costs == (steps(3), ONE_PASS) and iaf(3).transform.costs == (ONE_PASS, steps(3))
    assert Compose([], [2]).costs == (ONE_PASS, ONE_PASS) and str(steps(3)) == "3 steps, one for each coordinate"


def test_layers_are_flat_and_turned() -> None:
    a, b, c = Planar(2), Linear(2), ActNorm(2)
    chain = Compose([a, Compose([b, Inverse(Compose([a, c]))])])
    layers = chain.layers()
    assert layers[:2] == [a, b] and [layer.transform for layer in layers[2:]] == [c, a]
    assert [layer.kind for layer in layers] == ["Planar", "Linear", "ActNorm", "Planar"]
    z = torch.randn(5, 2)
    for one, two in zip(chain.eval()(z), Compose(layers)(z), strict=True):
        assert torch.allclose(one, two)


def test_the_first_k_layers() -> None:
    flow, z = real_nvp(layers=4), torch.randn(5, 2)
    states = [state for state, _ in Compose(flow.transform.layers()).trace(z)]
    for k in range(6):
        assert torch.allclose(flow.transform[:k](z)[0], states[k])
    assert torch.equal(flow.transform[:0](z)[0], z) and flow.transform[:0].event_shape == (2,)
    with pytest.raises(TypeError, match=r"f\[:k\] is the first k layers of f; got f\[1\]"):
        flow.transform[1]


def test_a_level_of_a_multiscale_moves_the_first_numbers() -> None:
    flow = glow((1, 8, 8), steps=1, width=4)
    layers = flow.transform.layers()
    assert [tuple(layer.acts_on) for layer in layers] == [(8, 2, 2)] * 4 + [(4, 4, 4)] * 4
    assert layers[-1].kind == Squeeze.__name__ and layers[-1].data_shape == (1, 8, 8)


def test_an_empty_list_says_on_what_points_it_is_the_identity() -> None:
    with pytest.raises(ValueError, match=r"the list is empty.*event_shape=\[2\]"):
        Compose([])


def test_the_context_is_said_by_the_map() -> None:
    flow = real_nvp(layers=2, context_dim=3)
    assert flow.context_dim == flow.transform.context_dim == Inverse(flow.transform).context_dim == 3
    assert glow((1, 4, 4), scales=1, steps=1, width=4, context_dim=5).context_dim == 5 and Planar(2).context_dim == 0
    with pytest.raises(ValueError, match=r"contexts of different sizes, \[1, 3\]"):
        Compose([flow.transform, real_nvp(layers=2, context_dim=1).transform])
    with pytest.raises(ValueError, match=r"needs a context of shape \(..., 3\); got none"):
        flow.log_prob(torch.zeros(5, 2))
    with pytest.raises(ValueError, match="takes no context"):
        Flow(Planar(2), StandardNormal(2)).sample(3, torch.zeros(1))


def test_given_fixes_the_context() -> None:
    torch.manual_seed(0)
    flow = real_nvp(layers=2, context_dim=2).eval()
    with torch.no_grad():
        for parameter in flow.parameters():
            parameter += 0.3 * torch.randn_like(parameter)
    context, x = torch.tensor([0.5, -1.0]), torch.randn(7, 2)
    fixed = flow.given(context)
    assert fixed.context_dim == 0 and torch.allclose(fixed.log_prob(x), flow.log_prob(x, context))
    assert prove(fixed).holds and prove(Given(flow.transform, context)).holds
    for layer in fixed.transform.layers():
        assert layer.context_dim == 0
    with pytest.raises(ValueError, match=r"a context of 2 numbers\. Give it one: prove\(\.\.\., context="):
        prove(flow)
    with pytest.raises(ValueError, match=r"needs a context of shape \(..., 2\); got shape \(3,\)"):
        flow.given([0.0, 1.0, 2.0])
    with pytest.raises(ValueError, match=r"Given fixes one context for all points, \(2,\); got shape \(4, 2\)"):
        flow.given(torch.zeros(4, 2))
    with pytest.raises(ValueError, match="takes no context"):
        Given(Planar(2), 0.5)


def test_a_base_says_its_box() -> None:
    low, high = Uniform([0.0, -1.0], [1.0, 2.0]).box
    assert low.tolist() == [0.0, -1.0] and high.tolist() == [1.0, 2.0]
    assert StandardNormal(2).box is None and NormalMixture([[0.0], [1.0]]).box is None


def test_units_are_learned_when_training_begins_and_at_no_other_time() -> None:
    x = 5.0 + 3.0 * torch.randn(100, 2)
    flow = Flow(Compose([ElementwiseAffine(2), ActNorm(2)]), StandardNormal(2))
    norm = flow.transform.transforms[-1]
    flow.sample(5)
    flow.sample_with_log_prob(5)
    with torch.no_grad():
        flow.log_prob(x)
    flow.eval().log_prob(x)
    assert not norm.initialized and not norm.shift.any() and not norm.log_scale.any()
    flow.train().log_prob(x)
    assert norm.initialized and torch.allclose(norm.shift, x.mean(0))
    trained = ActNorm(2)
    with torch.no_grad():
        trained.shift += 0.1  # by an energy, without data
    trained.inverse(x)
    assert torch.allclose(trained.shift, torch.full((2,), 0.1))
