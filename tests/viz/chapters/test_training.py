"""Explorers that scrub through a fit and through a flow, and the spline whose knots are dragged."""

import numpy as np
import pytest
import torch

from flowlib import Flow, Transform
from flowlib.bases import StandardNormal
from flowlib.datasets import energies, toy
from flowlib.laws import RationalQuadratic
from flowlib.models import maf, nice, planar_flow, real_nvp
from flowlib.training.fit import fit
from flowlib.training.history import History
from flowlib.viz import Dots, Picture, drag_knots, losses, scrub_layers, scrub_training
from flowlib.viz.chapters.knots import params_from_knots
from flowlib.viz.engine.canvas import unpack
from flowlib.viz.flows.plane import pixels

MOONS = toy.two_moons()
SIDE = (-3.0, 3.0)


@pytest.fixture(scope="module")
def fitted():
    torch.manual_seed(0)
    flow = real_nvp(layers=2, hidden=[16])
    return flow, fit(flow, MOONS.sample(600), steps=60, batch=128, entropy=MOONS.entropy, snapshots=5)


def loud(flow):
    """The flow with random weights in its last layers, so that no layer is the identity."""
    torch.manual_seed(1)
    with torch.no_grad():
        for parameter in flow.parameters():
            parameter.add_(0.05 * torch.randn_like(parameter))
    return flow


# ---- through training ------------------------------------------------------------------------------------------------
def test_each_state_shows_the_flow_of_that_snapshot(fitted):
    flow, history = fitted
    explorer = scrub_training(flow, history, MOONS, resolution=40)
    for state, step in enumerate(sorted(history.snapshots)):
        explorer.sliders["state"].value = state
        heat = explorer.scene.panels[0].layers[0].values
        copy = real_nvp(layers=2, hidden=[16]).eval()
        copy.load_state_dict(history.snapshots[step])
        n = heat.shape[0]  # 20 while a dear picture is coarse
        expected = copy.log_prob(pixels(SIDE, SIDE, n)[0]).exp()
        assert torch.allclose(heat, expected, atol=1e-6)
        assert f"after {step} of 60 steps" in explorer.scene.panels[0].title


def test_the_fitted_flow_is_left_alone(fitted):
    flow, history = fitted
    before = {name: value.clone() for name, value in flow.state_dict().items()}
    explorer = scrub_training(flow, history, resolution=20)
    explorer.sliders["state"].value = 0
    assert all(torch.equal(value, before[name]) for name, value in flow.state_dict().items())


def test_the_mark_stands_on_the_held_out_curve_and_the_number_is_its_distance_from_the_floor(fitted):
    flow, history = fitted
    explorer = scrub_training(flow, history, resolution=20)
    last = max(history.snapshots)
    numbers = dict(explorer.scene.numbers)
    assert numbers["held-out loss"] == f"{history.held_out[last]:.3f} nats".replace("-", "−")
    assert numbers["above the floor"] == f"{history.held_out[last] - history.floor:.3f} nats".replace("-", "−")
    mark = explorer.scene.panels[1].layers[-1]
    assert mark.points[0][0] == last


def test_training_frames_are_small_and_toggles_hide(fitted):
    flow, history = fitted
    explorer = scrub_training(flow, history, MOONS)
    explorer._show(fine=True)
    assert len(explorer.canvas.frame) < 100_000
    assert list(explorer.toggles) == ["density", "grid", "samples", "data"]
    count = len(unpack(explorer.canvas.frame)["panels"][0]["layers"])
    explorer.toggles["data"].value = False
    assert len(unpack(explorer.canvas.frame)["panels"][0]["layers"]) == count - 1


def test_a_fine_picture_is_kept(fitted):
    flow, history = fitted
    explorer = scrub_training(flow, history, resolution=40)
    fine = explorer.scene_at(state=1).panels[0].layers[0].values
    assert explorer.draw({"state": 1}, False).panels[0].layers[0].values is fine


def test_a_dear_flow_is_coarse_while_the_hand_moves_and_fine_when_it_rests(fitted):
    explorer = scrub_training(*fitted, resolution=40)
    explorer._cost = 1.0
    explorer.sliders["state"].value = 1
    moving = unpack(explorer.canvas.frame)
    assert moving["coarse"] and moving["panels"][0]["layers"][0]["levels"].shape == (20, 20)
    explorer.canvas.rest = moving["id"]
    resting = unpack(explorer.canvas.frame)
    assert not resting["coarse"] and resting["panels"][0]["layers"][0]["levels"].shape == (40, 40)


def test_the_best_step_is_marked(fitted):
    history = fitted[1]
    dots = [layer for layer in scrub_training(*fitted, resolution=20).scene.panels[1].layers if isinstance(layer, Dots)]
    assert any(np.allclose(dot.points, [[history.best_step, history.best]]) for dot in dots if len(dot.points) == 1)


def test_frozen_picture_probe_and_words_of_training(fitted):
    flow, history = fitted
    explorer = scrub_training(flow, history, MOONS)
    assert 10_000 < len(explorer.png()) < 400_000
    explorer.canvas.pointer = [1, 30.0, 0.0]
    assert explorer.canvas.readout.startswith("step 30: held-out loss")
    explorer.canvas.pointer = [0, 0.1, 0.2]
    assert "|det J|" in explorer.canvas.readout
    assert repr(explorer).endswith("Controls: state = 4 (0 to 4).")


def test_training_without_a_floor_and_from_an_energy():
    flow = planar_flow(layers=3)
    states = {step: flow.state_dict() for step in (0, 5)}
    history = History(losses=[2.0, 1.5, 1.2, 1.1, 1.0], held_out={0: 2.0, 5: 1.0}, snapshots=states)
    explorer = scrub_training(flow, history, energies.u2, resolution=30)
    assert [name for name, _ in explorer.scene.numbers] == ["held-out loss"]
    assert explorer.scene.panels[0].xlim == (-energies.u2.window, energies.u2.window)


@pytest.mark.parametrize(
    "wrong, words",
    [
        (lambda: scrub_training(real_nvp(), [1.0]), "what fit returned"),
        (lambda: scrub_training(real_nvp(), History(losses=[1.0], held_out={0: 1.0})), "snapshots=20"),
        (lambda: scrub_training(real_nvp(dim=3), History()), r"\(2,\)"),
        (lambda: scrub_layers(real_nvp(dim=3)), r"\(2,\)"),
        (lambda: scrub_layers(real_nvp(), torch.zeros(5, 3)), "expected points"),
        (lambda: drag_knots(bins=1), "bins"),
        (lambda: drag_knots(bins=3, knots=[(0.0, 0.0), (-1.0, 1.0)]), "both growing"),
        (lambda: drag_knots(bins=3, slopes=[1.0]), "2 inner knots"),
        (lambda: scrub_layers(real_nvp(context_dim=2), context=[1.0]), "context"),
    ],
)
def test_wrong_arguments_are_named(wrong, words):
    with pytest.raises((TypeError, ValueError), match=words):
        wrong()


# ---- through layers --------------------------------------------------------------------------------------------------
@pytest.mark.parametrize(
    "make", [real_nvp, nice, maf, lambda: planar_flow(layers=3), lambda: planar_flow(layers=3, fast="density")]
)
def test_the_layers_end_in_the_flow(make):
    flow = loud(make()).eval()
    explorer = scrub_layers(flow, resolution=20, samples=50)
    last = explorer.sliders["k"].max
    base, end = explorer.scene_at(k=0), explorer.scene_at(k=last)
    z, x = base.panels[0].layers[2].points, end.panels[0].layers[2].points
    assert torch.allclose(flow.transform(z)[0], x, atol=1e-4)
    assert torch.equal(explorer.scene_at(k=0).panels[0].layers[1].points, base.panels[0].layers[1].points)
    back = explorer.scene_at(k=last, direction="normalize").panels[0].layers[2].points
    assert torch.allclose(back, z, atol=1e-3)


def test_halves_are_named_and_only_one_moves():
    explorer = scrub_layers(loud(real_nvp(layers=4)), resolution=20, samples=50)
    for k in range(1, 5):
        kept, moved = (0, 1) if k % 2 else (1, 0)
        assert (
            f"layer {k} of 6: Coupling, x{'₁₂'[kept]} kept, x{'₁₂'[moved]} moved"
            in explorer.scene_at(k=k).panels[0].title
        )
        before, after = (explorer.scene_at(k=i).panels[0].layers[2].points for i in (k - 1, k))
        assert torch.equal(before[:, kept], after[:, kept]) and not torch.equal(before[:, moved], after[:, moved])
    assert explorer.scene_at(k=1, direction="normalize").panels[0].title == "layer 6 of 6 undone: Units"


def test_data_go_back_to_the_base():
    flow, x = loud(real_nvp(layers=2)).eval(), MOONS.sample(100)
    explorer = scrub_layers(flow, x, resolution=20)
    explorer.set(k=0, direction="normalize")
    assert torch.equal(explorer.scene.panels[0].layers[2].points, x)
    explorer.set(k=4)
    assert torch.allclose(explorer.scene.panels[0].layers[2].points, flow.transform.inverse(x)[0], atol=1e-5)
    assert explorer.scene.panels[0].layers[0].role == "base"


def test_paths_grow_layer_by_layer_and_volume_is_counted():
    explorer = scrub_layers(loud(real_nvp(layers=2)), resolution=20, paths=4)
    assert explorer.scene_at(k=2).panels[0].layers[3].points.shape == (4, 3, 2)
    assert explorer.scene_at(k=0).numbers[0][1] == "0.00"
    assert list(scrub_layers(real_nvp(layers=2), resolution=20, paths=0).toggles) == ["density", "grid", "samples"]


def test_layer_frames_are_small_and_frozen():
    explorer = scrub_layers(loud(real_nvp(layers=8)))
    explorer._show(fine=True)
    assert len(explorer.canvas.frame) < 100_000
    assert 10_000 < len(explorer.png()) < 300_000


def test_a_conditional_flow_at_one_condition():
    flow = loud(real_nvp(layers=2, context_dim=2)).eval()
    a, b, c = (
        scrub_layers(*what, context=context, resolution=20)
        for *what, context in ((flow, [1.0, 0.0]), (flow, [0.0, 1.0]), (flow.given([1.0, 0.0]), None))
    )
    points = [explorer.scene.panels[0].layers[2].points for explorer in (a, b, c)]
    assert torch.equal(points[0], points[2]) and not torch.equal(points[0], points[1])
    for k in range(4):  # a flow at one context is a flow like any other
        assert a.scene_at(k=k).panels[0].title == c.scene_at(k=k).panels[0].title
    assert "Coupling, x₁ kept" in c.scene_at(k=1).panels[0].title


def test_a_fit_under_a_condition():
    torch.manual_seed(0)
    flow, x = real_nvp(layers=2, hidden=[16], context_dim=1), MOONS.sample(300)
    history = fit(flow, x, context=x[:, :1], steps=6, batch=64, snapshots=2)
    a, b = (scrub_training(flow, history, context=c, resolution=20).scene.panels[0] for c in (0.5, -0.5))
    assert not torch.equal(a.layers[0].values, b.layers[0].values)


class Doubling(Transform):
    """A family that nobody listed: x = 2 z."""

    def forward(self, z, context=None):
        return 2 * z, z.new_full(z.shape[:-1], 2 * np.log(2.0))

    def inverse(self, x, context=None):
        return x / 2, x.new_full(x.shape[:-1], -2 * np.log(2.0))


def test_a_family_that_nobody_listed_is_named_after_its_class():
    explorer = scrub_layers(Flow(Doubling([2]), StandardNormal(2)), resolution=20)
    assert explorer.scene.panels[0].title == "after layer 1 of 1: Doubling"
    assert explorer.scene.numbers[0][1] == "1.39"


# ---- the spline ------------------------------------------------------------------------------------------------------
@pytest.mark.parametrize("bins", [2, 4, 8])
def test_knots_to_parameters_and_back(bins):
    law = RationalQuadratic(bins, bound=3.0).double()
    inner = torch.cumsum(torch.rand(bins, 2, dtype=torch.float64) + 0.2, 0)
    inner = 6 * inner[:-1] / inner[-1:] - 3
    slopes = torch.rand(bins - 1, dtype=torch.float64) * 4 + 0.05
    knots = law.knots(params_from_knots(law, inner, slopes))
    assert torch.allclose(knots[:2, 1:-1].T, inner) and torch.allclose(knots[2, 1:-1], slopes)


def test_the_curve_goes_through_the_knots():
    explorer = drag_knots(bins=3, knots=[(-1.0, -2.0), (1.0, 0.5)], slopes=[0.5, 2.0])
    points = explorer.scene.panels[0].layers[2].points[0].numpy()
    for z, x in ((-1.0, -2.0), (1.0, 0.5)):
        assert np.interp(z, *points.T) == pytest.approx(x, abs=0.02)
    assert "x = −2.00:   dx/dz = 0.5," in explorer.probe(explorer.values, 0, -1.0, 0.0)
    assert dict(explorer.scene.numbers)["area under p(x)"] == "1.000"


def test_a_knot_cannot_pass_its_neighbours():
    explorer = drag_knots(bins=3, knots=[(-1.0, -1.0), (1.0, 1.0)])
    explorer.canvas.hand = {"name": "p1", "at": [2.5, 2.5], "count": 1}
    assert explorer.sliders["p1_1"].value == pytest.approx(0.8) and explorer.sliders["p1_2"].value == pytest.approx(0.8)
    explorer.sliders["p2_1"].value = -3.0
    assert explorer.sliders["p2_1"].value == pytest.approx(1.0) and explorer.error is None
    explorer.canvas.hand = {"name": "p2", "at": [9.0, -9.0], "count": 2}
    assert explorer.sliders["p2_1"].value == pytest.approx(2.8) and explorer.sliders["p2_2"].value == pytest.approx(1.0)


def test_a_slider_between_its_neighbours_is_left_alone():
    # a browser's arrow keys make -0.35000000000000003; rounding it would send the slider back under the hand
    explorer = drag_knots(bins=3, knots=[(-0.4, -1.2), (0.4, 1.2)])
    explorer.sliders["p1_1"].value = -0.4 + 0.05
    assert explorer.sliders["p1_1"].value == -0.4 + 0.05 != -0.35


def test_knots_out_of_order_are_drawn_in_order():
    scene = drag_knots(bins=4).scene_at(p1=(2.9, 2.9), p2=(-2.9, -2.9))
    points = scene.panels[0].layers[2].points[0]
    assert bool((points.diff(dim=0) > -1e-6).all())
    assert dict(scene.numbers)["area under p(x)"] == "1.000"


@pytest.mark.parametrize(
    ("knots", "slopes"),
    [
        ([(-0.2, -2.6), (0.1, 0.0), (0.3, 2.8)], [5.0, 0.05, 0.05]),
        ([(-0.2, -2.8), (0.0, -2.6), (0.2, 2.8)], [5.0, 0.05, 5.0]),
        ([(-2.8, -0.2), (0.0, 0.0), (2.8, 0.2)], [0.05, 5.0, 0.05]),
    ],
)
def test_the_area_is_one_at_the_steepest_knots_too(knots, slopes):
    scene = drag_knots(bins=4, knots=knots, slopes=slopes).scene
    assert dict(scene.numbers)["area under p(x)"] == "1.000"


def test_knot_frames_are_small_and_frozen():
    explorer = drag_knots(bins=8)
    assert len(explorer.canvas.frame) < 100_000
    assert 10_000 < len(explorer.png()) < 300_000
    assert [handle["name"] for handle in unpack(explorer.canvas.frame)["handles"]] == [f"p{k}" for k in range(1, 8)]


# ---- the curve of a fit ----------------------------------------------------------------------------------------------
def test_a_history_is_drawn(fitted):
    picture = losses(fitted[1])
    assert isinstance(picture, Picture) and repr(picture) == "Picture: the loss over 60 steps"
    assert picture.array().std() > 1.0
    labels = [text.get_text() for text in picture.figure.axes[0].get_legend().get_texts()]
    assert labels[:3] == ["training", "held out", "best, kept"] and labels[3].startswith("floor")
    assert losses(fitted[1], picture.figure.axes[0]) is None


def test_a_long_verdict_stays_inside_the_picture():
    history = History([2.0, 1.0], {0: 2.0}, verdict="the flow is as it began, and nothing that it learned held. " * 4)
    figure = losses(history).figure
    figure.draw_without_rendering()
    words = figure.axes[0].xaxis.label.get_window_extent()
    assert 0 < words.x0 < words.x1 < figure.bbox.width


@pytest.mark.parametrize(("end", "shown"), [(3.0, True), (1e6, False)])
def test_held_out_losses_are_shown_or_marked_at_the_edge(end, shown):
    held_out = {0: 50.0, 50: 1.5, 100: end}
    axes = losses(History(np.linspace(2.0, 0.0, 100).tolist(), held_out, best_step=50)).figure.axes[0]
    top, marks = axes.get_ylim()[1], axes.lines[-1].get_xdata()
    assert (top > end) == shown
    assert list(marks) == [step for step, loss in held_out.items() if loss > top]
