"""Pictures and explorers: everything that is drawn in the course. See `explore` for live pictures, `density` and its kin for still ones."""
from flowlib.viz.controls import Arrow, Choice, Mark, Point, Slider
from flowlib.viz.explore import explore
from flowlib.viz.explorer import Explorer
from flowlib.viz.scene import Area, Dots, Heat, Label, Lines, Panel, Polygon, Scene, Vector, density_key, det_key

__all__ = ["Area", "Arrow", "Choice", "Dots", "Explorer", "Heat", "Label", "Lines", "Mark", "Panel", "Point", "Polygon", "Scene", "Slider",
           "Vector", "density_key", "det_key", "explore"]
