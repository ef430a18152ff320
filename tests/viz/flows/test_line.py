"""Flows on the line: one scale in all frames, and a mark where a density is cut."""

import numpy as np
import pytest

from flowlib import Flow
from flowlib.bases import StandardNormal
from flowlib.transforms import ElementwiseAffine
from flowlib.viz import Label, Polygon
from flowlib.viz.engine.evaluate import evaluating
from flowlib.viz.flows.line import DEEP, GAP, TALL, Line


def panel_at(scale):
    """The panel for x = scale · z."""
    base = StandardNormal(1)
    with evaluating():
        return Line(base).scene(Flow(ElementwiseAffine(1, scale=scale), base), (-0.5, 1.0)).panels[0]


def outline(panel, color):
    """The points of the whole surface of the base or the data density."""
    return next(np.asarray(p.points) for p in panel.layers if isinstance(p, Polygon) and p.edge == color)


@pytest.mark.parametrize("scale", [0.05, 0.25, 1.0, 4.0])
def test_the_base_and_the_axis_stay(scale):
    panel = panel_at(scale)
    assert outline(panel, "base")[:, 1].min() == pytest.approx(-DEEP, rel=1e-3)
    assert panel.marks()[1] == panel_at(1.0).marks()[1]
    assert outline(panel, "data")[:, 1].max() == pytest.approx(GAP + DEEP * min(4.0, 1 / scale), rel=1e-3)


def test_what_is_cut_has_a_mark_with_its_height():
    texts = {s: [p.text for p in panel_at(s).layers if isinstance(p, Label) and "▲" in p.text] for s in (0.25, 0.05)}
    assert texts == {0.25: [], 0.05: ["▲ up to 7.98"]}  # 1 / (0.05 √2π)


def test_ticks_say_densities():
    places = dict((text, at) for at, text in panel_at(1.0).marks()[1] if at > GAP)
    assert places["0.2"] == pytest.approx(GAP + DEEP * 0.2 / 0.39894, rel=1e-3)
    assert max(places.values()) <= GAP + TALL
