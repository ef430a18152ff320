"""The bytes between Python and the canvas, and the layers that go into them."""

import json
import struct

import numpy as np
import pytest
import torch

from flowlib.viz import Area, Dots, Heat, Label, Lines, Panel, Polygon, Scene, Vector, det_key
from flowlib.viz.engine.canvas import Canvas, pack, unpack
from flowlib.viz.engine.scene import ticks


def scene():
    layers = [
        Heat(torch.arange(6.0).reshape(2, 3), toggle="density"),
        Lines(torch.zeros(4, 5, 2), log_det=torch.zeros(4, 5), toggle="grid"),
        Lines([[[0.0, 0.0], [1.0, 1.0]]], color="base", dash=True),
        Dots([[0.5, 0.25]], toggle="samples"),
        Polygon([[0, 0], [1, 0], [0, 1]], edge="light"),
        Area([0.0, 1.0], 0.0, [1.0, 2.0]),
        Vector((0, 0), (1, 1), text="u"),
        Label(0.0, 0.0, "û"),
    ]
    return Scene([Panel((-1, 1), (-2, 2), "title", layers)], [("mass", "1.000")], (True, "fine"), [det_key()])


def test_layout():
    frame = pack(scene(), id=7)
    (size,) = struct.unpack_from("<I", frame)
    head = json.loads(frame[4 : 4 + size])
    assert size % 4 == 0 and head["id"] == 7
    heat = head["panels"][0]["layers"][0]["levels"]
    kind, offset, count = heat["$"]
    assert (kind, count, heat["shape"]) == ("u1", 6, [2, 3]) and offset % 4 == 0
    assert frame[4 + size + offset] > frame[4 + size + offset + 3]  # the top row, with the larger values, comes first


def test_what_is_packed_is_unpacked():
    layers = unpack(pack(scene()))["panels"][0]["layers"]
    assert [layer["kind"] for layer in layers] == [
        "heat",
        "lines",
        "lines",
        "dots",
        "polygon",
        "polygon",
        "vector",
        "label",
    ]
    grid, line, dots = layers[1:4]
    assert grid["points"].dtype == np.float32 and grid["points"].shape == (4, 5, 2)
    assert grid["levels"].dtype == np.uint8 and grid["levels"].shape == (4, 4)  # one byte a segment
    assert set(grid["levels"].ravel()) == {7}
    assert line["levels"] is None and line["dash"]
    assert dots["points"].tolist() == [[0.5, 0.25]]
    assert layers[7]["text"] == "û"


def test_hidden_layers_are_left_out():
    layers = unpack(pack(scene(), hidden={"density", "grid", "samples"}))["panels"][0]["layers"]
    assert [layer["kind"] for layer in layers] == ["lines", "polygon", "polygon", "vector", "label"]


def test_light_and_numbers_and_keys_arrive():
    head = unpack(pack(scene(), error=None))
    assert head["numbers"] == [["mass", "1.000"]] and head["light"] == [True, "fine"] and head["error"] is None
    assert [text for _, text in head["keys"][0]["ticks"]] == ["⅛", "½", "1", "2", "8"]


def test_one_traitlet_carries_the_picture():
    canvas = Canvas()
    assert isinstance(canvas.frame, bytes)
    assert set(canvas.trait_metadata("frame", "sync") and canvas.keys) >= {
        "frame",
        "readout",
        "hand",
        "pointer",
        "rest",
    }


def test_bad_layers_say_what_came_and_what_was_expected():
    with pytest.raises(ValueError, match=r"Dots points has shape \(3,\): expected \(any, 2\)"):
        Dots([1.0, 2.0, 3.0]).parts()
    with pytest.raises(ValueError, match=r"Lines log_det has shape \(4, 4\): expected \(4, 5\)"):
        Lines(torch.zeros(4, 5, 2), log_det=torch.zeros(4, 4)).parts()
    with pytest.raises(ValueError, match="nan or infinite"):
        Heat(torch.full((3, 3), torch.nan)).parts()


@pytest.mark.parametrize("xlim", [(1, 1), (2, 1), (0, float("nan")), (0, float("inf"))])
def test_panel_limits_are_checked(xlim):
    with pytest.raises(ValueError, match="xlim of a Panel"):
        Panel(xlim, (0, 1))


def test_scene_needs_panels():
    with pytest.raises(TypeError, match="needs one or more Panels"):
        Scene([])


def test_ticks_are_few_and_round():
    assert ticks(-4, 4) == [(-4, "−4"), (-2, "−2"), (0, "0"), (2, "2"), (4, "4")]
    assert [text for _, text in ticks(0, 1)] == ["0", "0.2", "0.4", "0.6", "0.8", "1"]
