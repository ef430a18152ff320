"""Fitting learns: it reaches the floor, repeats itself with its seed, and keeps its history."""

import pickle

import pytest
import torch
from torch import Tensor
from torch.nn.functional import one_hot

from flowlib import Flow
from flowlib.datasets import toy
from flowlib.models import planar_flow, real_nvp, sylvester_flow, transformer_flow
from flowlib.models.images import glow
from flowlib.training import fit, fit_energy
from tests.training.fitting.examples import Bowl, Moved, points, small, weights


def loss_of(flow: Flow, x: Tensor) -> float:
    with torch.no_grad():
        return -flow.log_prob(x).mean().item()


def test_maximum_likelihood_reaches_the_floor_of_a_sampler() -> None:
    flow, data = small(), Moved()
    history = fit(flow, data, steps=200, batch=256)
    assert history.gap < 0.02 and abs(history.floor - data.entropy) < 0.03
    assert loss_of(flow, data.sample(5000, seed=9)) == pytest.approx(data.entropy, abs=0.05)
    assert len(history.losses) == 200
    losses = fit(small(), toy.two_moons(), steps=200, batch=256).losses
    assert sum(losses[-20:]) < sum(losses[:20]) - 20 * 0.2


def test_a_tensor_is_split_and_shuffled() -> None:
    flow, x = small(), points(1000)
    before = x.clone()
    history = fit(flow, x, steps=120, batch=128, entropy=1.0)
    assert torch.equal(x, before) and history.floor == 1.0
    assert sorted(history.held_out) == [0, 50, 100, 120]
    assert history.held_out[history.best_step] == min(history.held_out.values()) == history.best
    assert not flow.training


def test_a_context_is_learned() -> None:
    label = torch.randint(2, (1000, 1), generator=torch.Generator().manual_seed(1)).float()
    flow = small(context_dim=1)
    fit(flow, points(1000) + 4 * label, steps=200, context=label, lr=0.01)
    near, far = torch.tensor([[3.0, 3.0]]), torch.tensor([[7.0, 7.0]])
    assert flow.log_prob(near, torch.zeros(1)) > flow.log_prob(far, torch.zeros(1)) + 5
    assert flow.log_prob(far, torch.ones(1)) > flow.log_prob(near, torch.ones(1)) + 5


def test_reverse_kl_reaches_minus_log_z() -> None:
    torch.manual_seed(0)
    flow = planar_flow(layers=4)
    history = fit_energy(flow, Bowl(), steps=400, batch=128, lr=0.02)
    assert history.floor == -Bowl.log_z
    assert -0.02 < history.gap < 0.1


UNLIKE = {
    "transformer": lambda fast: transformer_flow(layers=1, width=8, heads=2, depth=1),
    "sylvester": lambda fast: sylvester_flow(layers=2, fast=fast),
}


@pytest.mark.parametrize("name", UNLIKE)
def test_maximum_likelihood_trains_attention_and_ridges(name: str) -> None:
    torch.manual_seed(0)
    history = fit(UNLIKE[name]("density"), Moved(1.0), steps=150, batch=128, lr=0.03)
    assert -0.02 < history.gap < 0.1


@pytest.mark.parametrize("name", UNLIKE)
def test_reverse_kl_trains_attention_and_ridges(name: str) -> None:
    torch.manual_seed(0)
    history = fit_energy(UNLIKE[name]("sampling"), Bowl(), steps=150, batch=128, lr=0.03)
    assert -0.02 < history.gap < 0.1


def test_a_compiled_fit_takes_the_same_steps(monkeypatch) -> None:
    """The graph is taken, forward and backward, but no code is generated: that is tested in test_compile.py."""
    asked = []

    def capture(call, compile=torch.compile):
        asked.append(call)
        return compile(call, backend="aot_eager")

    torch._dynamo.reset()
    monkeypatch.setattr(torch, "compile", capture)
    plain, compiled = (fit(small(), points(), steps=20, compile=compile) for compile in (False, True))
    assert len(asked) == 1
    assert compiled.losses == pytest.approx(plain.losses, abs=1e-4)


def test_same_seed_same_fit_and_the_random_state_is_left_alone() -> None:
    torch.manual_seed(5)
    expected = torch.rand(3)
    fits = []
    for seed in (1, 1, 2):
        flow = small()
        torch.manual_seed(5)
        fit(flow, points(), steps=5, seed=seed)
        fit_energy(flow, Bowl(), steps=5, seed=seed)
        assert torch.equal(torch.rand(3), expected)
        fits.append(weights(flow))
    assert torch.equal(fits[0], fits[1]) and not torch.equal(fits[0], fits[2])


def test_snapshots_can_be_scrubbed() -> None:
    flow, x = small(), points()
    history = fit(flow, x, steps=100, snapshots=5)
    assert sorted(history.snapshots) == [0, 6, 25, 56, 100]
    flow.load_state_dict(history.snapshots[0])
    first = loss_of(flow, x)
    flow.load_state_dict(history.snapshots[100])
    assert loss_of(flow, x) < first
    assert pickle.loads(pickle.dumps(history)).losses == history.losses


def test_the_history_prints_the_same_everywhere() -> None:
    history = fit(small(), Moved(), steps=200)
    assert repr(history) == "History: 200 steps, less than 0.01 nats above the floor"
    assert repr(fit(small(), points(), steps=1)).startswith("History: 1 step")


def test_double_flows_take_float_data() -> None:
    flow = small().double()
    fit(flow, points(), steps=2)
    assert next(flow.parameters()).dtype == torch.float64


@pytest.mark.parametrize("classes", [0, 2])
def test_images_are_learned(classes: int) -> None:
    """A flow whose noise is a vector and whose data are images, with and without a class."""
    torch.manual_seed(0)
    flow = glow((1, 4, 4), scales=1, steps=2, width=8, context_dim=classes)
    assert flow.event_shape != flow.data_shape
    label = torch.arange(400) % 2
    images = torch.randn(400, 1, 4, 4) * (0.2 + label).view(-1, 1, 1, 1)
    context = one_hot(label).float() if classes else None
    history = fit(flow, images, steps=60, batch=64, context=context)
    assert history.best < history.held_out[0] - 1.0
    with pytest.raises(
        ValueError, match=r"data must have shape \(n, 1, 4, 4\), the points of the flow; got \(400, 16\)"
    ):
        fit(flow, images.flatten(1), context=context)


def test_a_sample_drawn_before_a_fit_changes_nothing() -> None:
    """`ActNorm` learns its units from the data of the fit, whatever was drawn from the flow before."""
    found = []
    for looked in (False, True):
        torch.manual_seed(0)
        flow = real_nvp(layers=4)
        if looked:
            flow.train().sample(5)
        history = fit(flow, toy.two_moons().sample(2000), steps=200)
        found.append((history.losses, history.held_out, weights(flow)))
    assert found[0][:2] == found[1][:2] and torch.equal(found[0][2], found[1][2])


def test_units_are_learned_before_the_first_look_at_held_out_points() -> None:
    flow, data = small(), Moved(100.0)
    assert fit(flow, data, steps=1).held_out[0] < data.entropy + 2.0
    assert fit(small(), data.sample(500), steps=1).held_out[0] < data.entropy + 2.0
