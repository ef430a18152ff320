"""Controls check what they are given and say what to do."""

import ipywidgets
import pytest
import torch

from flowlib.viz import Arrow, Choice, Mark, Point, Slider
from flowlib.viz.engine.controls import symbol_of

NAN, INF = float("nan"), float("inf")


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: Slider(0.0, 4, -4), "low = 4 and high = -4; expected low < high"),
        (lambda: Slider(0.0, 1, 1), "expected low < high"),
        (lambda: Slider(5.0, -4, 4), r"the value 5.0 is outside \[-4, 4\]; move it inside or widen the range"),
        (lambda: Slider(NAN, -4, 4), "value is nan; expected a finite number"),
        (lambda: Slider(0.0, -INF, 4), "low is -inf; expected a finite number"),
        (lambda: Slider("0", -4, 4), "value is '0'; expected a finite number"),
        (lambda: Slider(None, -4, 4), "value is None"),
        (lambda: Slider(True, 0, 4), "value is True"),
        (lambda: Slider(0.0, -4, 4, step=0.0), "step is 0.0; expected a number above 0"),
        (lambda: Slider(0.0, -4, 4, step=9), "step is 9"),
        (lambda: Choice("c", ["a", "b"]), "'c' is not among the options"),
        (lambda: Choice("c", []), "not among the options"),
        (lambda: Arrow((1.0, 2.0, 3.0)), r"expected the two coordinates of a vector, e.g. Arrow\(\(1.0, 0.5\)\)"),
        (lambda: Point(1.0), "expected the two coordinates"),
        (lambda: Point(("a", "b")), "expected the two coordinates"),
        (lambda: Point((9.0, 0.0)), "the value 9.0 is outside"),
        (lambda: Arrow((0.0, NAN)), "value is nan"),
        (lambda: Mark(3.0, -1, 1), "outside"),
    ],
)
def test_bad_arguments(make, message):
    with pytest.raises(ValueError, match=message):
        make()


def test_all_ints_make_an_integer_slider():
    assert isinstance(Slider(3, 1, 10).parts("K")["K"], ipywidgets.IntSlider)
    assert isinstance(Slider(3.0, 1, 10).parts("K")["K"], ipywidgets.FloatSlider)


def test_sliders_carry_symbol_unit_and_range():
    widget = Slider(90.0, 0, 360, step=1, unit="°").parts("theta")["theta"]
    assert (widget.description, widget.min, widget.max, widget.step) == ("θ (°)", 0, 360, 1)
    assert Slider(0.0, -4, 4, symbol="w·u").parts("p")["p"].description == "w·u"


def test_a_vector_has_two_sliders_and_arrives_as_a_tensor():
    arrow = Arrow((2.0, 0.0))
    assert list(arrow.parts("u")) == ["u_1", "u_2"]
    assert [w.description for w in arrow.parts("u").values()] == ["u₁", "u₂"]
    assert torch.equal(arrow.gather("u", {"u_1": 1.0, "u_2": -1.0}), torch.tensor([1.0, -1.0]))


def test_symbols():
    assert [symbol_of(n) for n in ("alpha", "z0", "u_1", "b", "beta2")] == ["α", "z₀", "u₁", "b", "β₂"]


def test_sliders_of_a_vector_may_have_names_of_their_own():
    one, other = Arrow((1.0, 2.0), names=("A₁₂", "A₂₂")).parts("a2").values()
    assert (one.description, other.description) == ("A₁₂", "A₂₂")
