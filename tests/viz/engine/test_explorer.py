"""Explorers without a browser: sliders, frames, handles, coarse and fine."""

import math
import time

import numpy as np
import pytest
import torch

from flowlib import Compose, Flow
from flowlib.bases import StandardNormal, Uniform
from flowlib.transforms import ElementwiseAffine, LeakyReLU, Planar, Radial
from flowlib.viz import Arrow, Choice, Dots, Explorer, Label, Panel, Point, Scene, Slider, explore
from flowlib.viz.engine.canvas import unpack
from tests.viz.planar_explorer import head, kinds, planar


def mass(explorer):
    return float(dict(explorer.scene.numbers)["mass of the density"])


def test_a_slider_draws_a_new_frame_at_once(monkeypatch):
    monkeypatch.setattr("flowlib.viz.engine.explorer.DEAR", math.inf)  # however slow the machine is, it is drawn fine
    explorer = planar()
    before = explorer.canvas.frame
    explorer.sliders["b"].value = 1.0
    assert explorer.canvas.frame != before and head(explorer)["id"] == 2
    explorer.sliders["b"].value = 0.0
    assert (
        head(explorer)["panels"][0]["layers"][0]["levels"].tolist()
        == unpack(before)["panels"][0]["layers"][0]["levels"].tolist()
    )


def test_a_frame_is_small():
    assert len(planar().canvas.frame) < 100_000
    assert len(planar(before=True).canvas.frame) < 100_000


def test_frame_is_a_picture_of_the_values():
    explorer = planar()
    picture = explorer.frame(b=1.0)
    assert picture.dtype == np.uint8 and picture.ndim == 3 and picture.shape[2] == 3
    assert not np.array_equal(picture, explorer.frame(b=-1.0))
    assert not np.array_equal(picture, explorer.frame(b=1.0, u=(0.0, 1.0)))
    assert np.array_equal(picture, explorer.frame(b=1.0))
    assert explorer.sliders["b"].value == 0.0  # a question, not a move


def test_repr_is_plain_and_stable():
    values = "u_1 = 2 (−4 to 4), u_2 = 0 (−4 to 4), w_1 = 1 (−4 to 4), w_2 = 0.5 (−4 to 4), b = 0 (−4 to 4)"
    assert repr(planar(alt="a push.")) == f"Explorer: a push. Controls: {values}."


def test_mass_is_one_where_the_flow_is_invertible():
    explorer = planar()
    for b in (-2.0, 0.0, 3.0):
        explorer.sliders["b"].value = b
        assert abs(mass(explorer) - 1) < 1.5e-3
    boxed = explore(
        lambda b: Radial(2, z0=[0.5, 0.0], alpha=1.0, beta=b),
        base=Uniform([-2.0, -2.0], [2.0, 2.0]),
        b=Slider(1.0, -0.8, 4),
    )
    assert abs(mass(boxed) - 1) < 0.02


def test_mass_is_not_one_where_the_plane_folds():
    folding = explore(lambda u: Planar(2, u=u, w=[1.0, 0.0], b=0.0, constrain=False), u=Arrow((-3.0, 0.0)))
    assert abs(mass(folding) - 1) > 0.1


def test_the_light_says_it_in_words_too():
    explorer = planar()
    assert head(explorer)["light"] == [True, "w·u > −1 holds"]
    explorer.set(u=(-3.0, 0.0))
    assert head(explorer)["light"] == [False, "w·u > −1 is violated"]


def test_toggles_hide_layers():
    explorer = planar()
    assert kinds(explorer) == ["heat", "lines", "dots"]
    explorer.toggles["density"].value = False
    explorer.toggles["samples"].value = False
    assert kinds(explorer) == ["lines"]


def test_reset_brings_the_start_back():
    explorer = planar()
    explorer.set(b=2.0, u=(1.0, 1.0))
    explorer.box.children[1].children[-1].children[0].click()
    assert explorer.board.read() == {"u_1": 2.0, "u_2": 0.0, "w_1": 1.0, "w_2": 0.5, "b": 0.0}


def test_a_handle_sets_both_sliders_with_one_frame():
    explorer = planar()
    explorer.canvas.hand = {"name": "u", "at": [-0.513, 1.26], "count": 3}
    assert (explorer.sliders["u_1"].value, explorer.sliders["u_2"].value) == (-0.5, 1.25)  # on the sliders' steps
    assert head(explorer)["id"] == 2 and head(explorer)["hand"] == 3
    assert head(explorer)["handles"][0]["at"] == [-0.5, 1.25]
    explorer.canvas.hand = {"name": "u", "at": [99.0, -99.0], "count": 4}
    assert explorer.values["u"].tolist() == [4.0, -4.0]


def test_handles_of_points_and_of_the_line():
    radial = explore(lambda z0: Radial(2, z0=z0, alpha=1.0, beta=1.0), z0=Point((1.0, 0.5), panel=0), before=True)
    (handle,) = head(radial)["handles"]
    assert (handle["label"], handle["origin"], handle["panel"], handle["free"]) == ("z₀", None, 0, True)
    line = explore(lambda a: LeakyReLU(1, slope=a), a=Slider(0.5, 0.1, 2.0))
    line.canvas.hand = {"name": "z_2", "at": [1.5, 0.7], "count": 1}
    assert line.sliders["z_2"].value == 1.5
    assert line.sliders["z_2"] not in line.box.children[1].children  # it lives in the picture


def test_areas_stay_equal_on_the_line():
    line = explore(
        lambda a, c: Compose([ElementwiseAffine(1, scale=a, shift=c), LeakyReLU(1, slope=0.4)]),
        a=Slider(1.5, 0.1, 4),
        c=Slider(0.0, -2, 2),
    )
    for a in (0.3, 1.0, 4.0):
        line.set(a=a, c=0.5)
        below, above = (float(text) for _, text in line.scene.numbers)
        assert abs(below - above) <= 0.002


def test_the_pointer_is_answered():
    explorer = planar(before=True)
    explorer.canvas.pointer = [1, 0.5, 0.5]
    assert "|det J| = " in explorer.canvas.readout and "p(x) = " in explorer.canvas.readout
    there = explorer.canvas.readout
    explorer.sliders["b"].value = 1.0
    assert explorer.canvas.readout != there  # follows the sliders too
    explorer.canvas.pointer = [0, 0.0, 0.0]
    assert explorer.canvas.readout.startswith("z = (0.00, 0.00) goes to x = ")
    explorer.canvas.pointer = []
    assert explorer.canvas.readout == ""


def test_the_readout_is_the_flow_s_own_numbers():
    flow = Flow(Planar(2, u=[2.0, 0.0], w=[1.0, 0.5], b=0.0), StandardNormal(2))
    explorer = planar()
    explorer.canvas.pointer = [0, 1.0, -0.5]
    p = flow.log_prob(torch.tensor([1.0, -0.5])).exp().item()
    assert explorer.canvas.readout.endswith(f"p(x) = {p:.3g}")


def test_a_dear_picture_is_coarse_while_the_hand_moves_and_fine_at_rest():
    seen = []

    def draw(values, fine):
        seen.append(fine)
        end = time.thread_time() + (0.03 if fine else 0.0)
        while time.thread_time() < end:
            pass
        return Scene([Panel((-1, 1), (-1, 1), layers=[Dots([[values["a"], 0.0]])])])

    explorer = Explorer(draw, {"a": Slider(0.0, -1, 1)})
    seen.clear()
    explorer.sliders["a"].value = 0.5
    assert seen == [False] and head(explorer)["coarse"]
    explorer.canvas.rest = head(explorer)["id"] - 1  # the page asks for a frame that is no longer the last
    assert seen == [False]
    explorer.canvas.rest = head(explorer)["id"]
    assert seen == [False, True] and not head(explorer)["coarse"]
    assert head(explorer)["panels"][0]["layers"][0]["points"].tolist() == [[0.5, 0.0]]


def test_a_cheap_picture_is_always_fine():
    explorer = Explorer(lambda v, fine: Scene([Panel((-1, 1), (-1, 1), str(fine))]), {"a": Slider(0.0, -1, 1)})
    explorer.sliders["a"].value = 0.5
    assert head(explorer)["panels"][0]["title"] == "True"


@pytest.fixture
def two_threads():
    """For one test: what torch adds up in two threads differs in the last digit from what it adds up in one."""
    before = torch.get_num_threads()
    torch.set_num_threads(2)
    yield
    torch.set_num_threads(before)


def test_torch_keeps_its_threads_and_its_random_state(two_threads):
    torch.manual_seed(1)
    expected = torch.randn(3)
    torch.manual_seed(1)
    used = []
    explore(
        lambda b: used.append(torch.get_num_threads()) or Planar(2, u=[1.0, 0.0], w=[1.0, 0.0], b=b),
        b=Slider(0.0, -1, 1),
    )
    assert torch.get_num_threads() == 2 and used[-1] == 1
    assert torch.equal(torch.randn(3), expected)


def test_overlay_choice_and_a_base_that_changes():
    def make(kind, b):
        base = StandardNormal(2) if kind == "normal" else Uniform([-1.0, -1.0], [1.0, 1.0])
        return Flow(Planar(2, u=[1.0, 0.0], w=[1.0, 0.0], b=b), base)

    explorer = explore(
        make,
        kind=Choice("normal", ["normal", "uniform"]),
        b=Slider(0.0, -1, 1),
        overlay=lambda kind, b: [Label(0, 0, kind)],
    )
    assert head(explorer)["panels"][0]["layers"][-1]["text"] == "normal"
    explorer.sliders["kind"].value = "uniform"
    assert head(explorer)["panels"][0]["layers"][-1]["text"] == "uniform"
    assert abs(mass(explorer) - 1) < 0.03


def test_the_bundle_has_text_view_and_picture():
    explorer = planar(alt="a push")
    data, metadata = explorer._repr_mimebundle_()
    assert set(data) == {"text/plain", "application/vnd.jupyter.widget-view+json", "image/png"}
    assert data["text/plain"] == repr(explorer)
    assert data["application/vnd.jupyter.widget-view+json"]["model_id"] == explorer.box.model_id
    assert metadata["image/png"]["alt"] == "a push"


@pytest.mark.parametrize("live", [False, True])
def test_on_a_page_that_is_looked_at_the_live_picture_comes_first_and_alone(monkeypatch, live):
    shown = []
    monkeypatch.setattr("flowlib.viz.engine.live.watched", lambda: live)
    monkeypatch.setattr("flowlib.viz.engine.live.display", lambda data, **_: shown.append(set(data)))
    planar()._ipython_display_()
    widget, text = "application/vnd.jupyter.widget-view+json", "text/plain"
    together = [{widget, "image/png", text}]
    assert shown == ([{widget, text}, {"image/png", text}, {"text/html", text}] if live else together)
