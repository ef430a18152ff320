"""Pictures that follow the hand: knows no flow, and imports nothing else of flowlib.

theme           every colour, table and tone curve
scene           what is to be seen, as plain data: a Scene of Panels of layers
paint           the painter for matplotlib
canvas          the painter in the browser (canvas.js), and the bytes that it is fed with
frozen          scenes as one animated PNG
picture         a finished figure with a stable text
controls        what a hand can move
board           the widgets of all controls
explorer        a picture with controls beside it
live            live where a kernel runs, a picture everywhere else
"""

from flowlib.viz.engine.controls import Arrow, Choice, Mark, Point, Slider
from flowlib.viz.engine.explorer import Explorer
from flowlib.viz.engine.picture import Picture
from flowlib.viz.engine.scene import Area, Dots, Heat, Label, Lines, Panel, Polygon, Scene, Vector, density_key, det_key
from flowlib.viz.engine.theme import TABLES, style

__all__ = [
    "TABLES",
    "Area",
    "Arrow",
    "Choice",
    "Dots",
    "Explorer",
    "Heat",
    "Label",
    "Lines",
    "Mark",
    "Panel",
    "Picture",
    "Point",
    "Polygon",
    "Scene",
    "Slider",
    "Vector",
    "density_key",
    "det_key",
    "style",
]
