"""Still pictures and the frozen pictures of explorers."""

import io
import time

import numpy as np
import pytest
import torch
from matplotlib.figure import Figure
from PIL import Image

from flowlib import Compose, Flow
from flowlib.bases import StandardNormal
from flowlib.models import planar_flow
from flowlib.transforms import LeakyReLU, Planar, Radial
from flowlib.viz import (
    Dots,
    Panel,
    Picture,
    Point,
    Scene,
    Slider,
    area_stays_one,
    density,
    explore,
    filmstrip,
    samples,
    warped_grid,
)
from flowlib.viz.engine.frozen import LIMIT, frozen_png, there_and_back

NORMAL = StandardNormal(2)


def flow(layers=3):
    return Flow(Compose([Planar(2, u=[1.0, 0.0], w=[1.0, 0.5], b=0.1 * k) for k in range(layers)]), NORMAL)


PICTURES = {
    "density": lambda ax=None: density(flow(), ax),
    "warped_grid": lambda ax=None: warped_grid(flow().transform, ax),
    "samples": lambda ax=None: samples(flow(), ax),
    "area_stays_one": lambda ax=None: area_stays_one(LeakyReLU(1, slope=0.4), ax),
}


@pytest.mark.parametrize("name", PICTURES)
def test_a_picture_of_its_own(name):
    picture = PICTURES[name]()
    data, _ = picture._repr_mimebundle_()
    assert data["text/plain"].startswith("Picture: ") and "0x" not in data["text/plain"]
    assert data["image/png"][:4] == b"\x89PNG"
    assert data["image/png"] == PICTURES[name]()._repr_mimebundle_()[0]["image/png"]
    assert picture.array().std() > 5


@pytest.mark.parametrize("name", PICTURES)
def test_a_picture_in_given_axes_returns_nothing(name):
    ax = Figure().add_subplot()
    assert PICTURES[name](ax) is None
    assert ax.has_data() or ax.collections


def test_filmstrip_shows_first_and_last():
    strip = filmstrip(flow(10), stages=5)
    assert repr(strip) == "Picture: the density of a flow after 0, 2, 5, 8, 10 of its 10 layers"
    assert len(filmstrip(flow(1)).figure.axes) == 2
    axes = Figure().subplots(1, 3)
    assert filmstrip(flow(2), axes) is None
    assert len(filmstrip(planar_flow(layers=3), resolution=20).figure.axes) == 4


def test_pictures_leave_the_random_state_alone():
    torch.manual_seed(0)
    expected = torch.rand(1)
    torch.manual_seed(0)
    samples(flow())
    density(flow())
    assert torch.equal(torch.rand(1), expected)


@pytest.mark.parametrize(
    ("make", "error", "message"),
    [
        (
            lambda: density(Planar(2)),
            TypeError,
            r"density expects a Flow, got a Planar; write Flow\(transform, StandardNormal\(2\)\)",
        ),
        (lambda: density(Flow(LeakyReLU(1), StandardNormal(1))), ValueError, r"shape \(2,\), this one has \(1,\)"),
        (lambda: area_stays_one(Flow(Planar(2), NORMAL)), ValueError, r"shape \(1,\)"),
        (lambda: filmstrip(flow(), stages=1), ValueError, "stages is 1; expected 2 or more"),
        (lambda: samples(torch.zeros(3)), ValueError, r"points has shape \(3,\)"),
        (lambda: warped_grid(Radial(2), window=0), ValueError, "window is 0"),
    ],
)
def test_bad_arguments(make, error, message):
    with pytest.raises(error, match=message):
        make()


def radial(**options):
    return explore(
        lambda z0, beta: Radial(2, z0=z0, alpha=1.0, beta=beta),
        z0=Point((0.5, 0.0)),
        beta=Slider(1.0, -4, 4),
        main="beta",
        **options,
    )


def test_frozen_picture_moves_is_small_and_the_same_every_time():
    start = time.process_time()
    data = radial().png()
    assert time.process_time() - start < 5  # about 1 s on a quiet core
    assert len(data) <= LIMIT
    picture = Image.open(io.BytesIO(data))
    assert 16 <= picture.n_frames <= 20 and picture.mode == "P" and picture.info["loop"] == 0
    assert 360 <= picture.height <= 620
    assert data == radial().png()
    frames = []
    for k in range(picture.n_frames):
        picture.seek(k)
        frames.append(np.asarray(picture.convert("RGBA")))
    assert len({f.tobytes() for f in frames}) == 9
    assert all((f[-15:] == frames[0][-15:]).all() for f in frames)  # the line of text below stands still
    assert frames[0][0, 0, 3] == 0  # the page shows through


def test_frozen_picture_is_made_once_for_each_set_of_values():
    explorer = radial()
    assert explorer.png() is explorer.png()
    first = explorer.png()
    explorer.sliders["beta"].value = 2.0
    assert explorer.png() != first


def test_a_value_that_a_hand_left_unrounded_is_frozen_too():
    explorer = radial()
    explorer.sliders["beta"].value = -0.4 + 0.05  # as arrow keys in a browser make it
    assert explorer.sliders["beta"].value != -0.35
    stops = explorer.board.stops("beta", 9)
    assert explorer.sliders["beta"].value in stops and len(stops) == 9
    assert explorer.png().startswith(b"\x89PNG")


@pytest.mark.parametrize("options", [{"before": True}, {"stages": True}, {"before": True, "stages": True}])
def test_two_panels_and_stages_stay_small(options):
    assert len(radial(**options).png()) <= LIMIT


def test_scenes_alone_are_frozen():
    scenes = [Scene([Panel((-1, 1), (-1, 1), layers=[Dots([[x, 0.0]], size=9.0)])]) for x in (-0.5, 0.0, 0.5)]
    assert Image.open(io.BytesIO(frozen_png(scenes[:1]))).n_frames == 1
    sliders = [("a", at, f"{at:g}") for at in (0.0, 0.5, 1.0)]
    plain, small = (Image.open(io.BytesIO(frozen_png(scenes, sliders, 1, stages))) for stages in (False, True))
    assert plain.n_frames == small.n_frames == 4 and plain.height < small.height
    tall = Image.open(io.BytesIO(frozen_png(scenes[:1]))).height
    assert tall < plain.height  # by the slider


def test_the_walk_starts_now_and_comes_back():
    assert there_and_back(1, 4, 1) == [1, 2, 3, 2, 1, 0]
    assert there_and_back(0, 1, 1) == [0]


def test_a_bare_matplotlib_figure_becomes_a_picture() -> None:
    figure = Figure(figsize=(2, 1))
    figure.subplots().plot([0, 1], [0, 1])
    assert Picture(figure, "a line").png().startswith(b"\x89PNG")
