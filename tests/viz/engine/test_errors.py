"""What fails in an explorer: at the start it is raised, later it is shown in the picture's place and overcome."""

import re

import pytest
import torch

from flowlib.transforms import Planar
from flowlib.viz import Explorer, Slider, explore
from tests.viz.planar_explorer import head, kinds, planar


def raises(t):
    if t > 1:
        raise RuntimeError("t is too large")
    return Planar(2, u=[t, 0.0], w=[1.0, 0.0], b=0.0)


def wrong_type(t):
    return Planar(2, u=[t, 0.0], w=[1.0, 0.0], b=0.0) if t < 1 else "a word"


def all_nan(t):
    flow = Planar(2, u=[t, 0.0], w=[1.0, 0.0], b=0.0)
    if t > 1:
        flow.b.data.fill_(torch.nan)
    return flow


@pytest.mark.parametrize(
    ("function", "message"),
    [
        (raises, "RuntimeError: t is too large"),
        (wrong_type, "TypeError: the function returned a str; expected a Transform or a Flow"),
        (all_nan, "ValueError: every density value is nan or infinite"),
        (lambda t: Planar(3 if t > 1 else 2), r"ValueError: the flow works on points of shape \(3,\)"),
    ],
)
def test_errors_are_shown_and_overcome(function, message):
    explorer = explore(function, t=Slider(0.5, 0, 2))
    explorer.sliders["t"].value = 1.5
    assert re.match(message, explorer.error)
    kind, text, values = head(explorer)["error"]
    assert f"{kind}: {text}" == explorer.error and values == "at t = 1.5"
    assert head(explorer)["panels"][0]["layers"] == []
    assert explorer.png()[:4] == b"\x89PNG"  # the frozen picture bears it too
    explorer.sliders["t"].value = 0.5
    assert explorer.error is None and head(explorer)["error"] is None and kinds(explorer) == ["heat", "lines", "dots"]


def test_an_interrupt_is_not_swallowed():
    def stopped(t):
        if t > 1:
            raise KeyboardInterrupt
        return Planar(2)

    explorer = explore(stopped, t=Slider(0.5, 0, 2))
    with pytest.raises(KeyboardInterrupt):
        explorer.sliders["t"].value = 1.5


def test_what_fails_at_the_start_is_raised():
    with pytest.raises(RuntimeError, match="too large"):
        explore(raises, t=Slider(2.0, 0, 2))


@pytest.mark.parametrize(
    ("make", "error", "message"),
    [
        (lambda: explore(3), TypeError, "expects a function that makes a flow, got 3"),
        (lambda: explore(lambda b: Planar(2), c=Slider(0.0, -1, 1)), ValueError, "no parameter c; it has b"),
        (
            lambda: explore(lambda b, c: Planar(2), b=Slider(0.0, -1, 1)),
            ValueError,
            "parameter c of the function has no control",
        ),
        (lambda: explore(lambda b: Planar(2), b=0.5), TypeError, "the control of 'b' is 0.5; expected a Slider"),
        (lambda: explore(lambda: Planar(2)), ValueError, "needs at least one control"),
        (lambda: planar(main="c"), ValueError, "main is 'c'; expected one of the sliders u_1, u_2"),
        (lambda: planar(window=-1.0), ValueError, "window is -1.0; expected a half width above 0"),
        (lambda: planar(window="wide"), ValueError, "window is 'wide'"),
        (lambda: planar(samples=-1), ValueError, "samples is -1"),
        (lambda: planar(resolution=2.5), ValueError, "resolution is 2.5"),
        (
            lambda: explore(lambda b: Planar(2), b=Slider(0.0, -1, 1), condition="b > 0"),
            TypeError,
            "condition is 'b > 0'; expected",
        ),
        (
            lambda: explore(lambda b: Planar(2), b=Slider(0.0, -1, 1), base=Slider(0.0, -1, 1)),
            TypeError,
            "base is Slider",
        ),
        (
            lambda: Explorer(lambda values, fine: None, {"a": Slider(0.0, 0, 1)}),
            TypeError,
            "draw returned a NoneType; expected a Scene",
        ),
        (lambda: Explorer(None, {"a": Slider(0.0, 0, 1)}), TypeError, "draw is None; expected a function"),
        (lambda: planar().frame(c=1.0), ValueError, "no control is called 'c'; there are u, w, b"),
    ],
)
def test_bad_arguments(make, error, message):
    with pytest.raises(error, match=message):
        make()
