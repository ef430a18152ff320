"""An explorer of a planar flow, and what is in the frame that an explorer last sent."""

from flowlib.transforms import Planar
from flowlib.viz import Arrow, Slider, explore
from flowlib.viz.engine.canvas import unpack

W_U = ("w·u > −1", lambda u, w, b: float(u @ w) > -1)


def planar(**options):
    return explore(
        lambda u, w, b: Planar(2, u=u, w=w, b=b),
        u=Arrow((2.0, 0.0)),
        w=Arrow((1.0, 0.5)),
        b=Slider(0.0, -4, 4),
        condition=W_U,
        **options,
    )


def head(explorer):
    """What the canvas reads of the last frame."""
    return unpack(explorer.canvas.frame)


def kinds(explorer):
    """The kinds of the layers in its last panel."""
    return [layer["kind"] for layer in head(explorer)["panels"][-1]["layers"]]
