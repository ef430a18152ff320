"""The explorer: one line of flowlib."""

from flowlib.transforms import Planar
from flowlib.viz import Arrow, Slider, explore

explore(
    lambda u, w, b: Planar(2, u=u, w=w, b=b),
    u=Arrow((2.0, 0.0)),
    w=Arrow((1.0, 0.5)),
    b=Slider(0.0, -4, 4, step=0.05),
    samples=500,
    resolution=200,
)
