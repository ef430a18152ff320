"""Pictures and explorers: everything that is drawn in the course.

`explore` makes a live picture of a flow in one line, `Explorer` of anything; `density`, `warped_grid`, `samples`,
`area_stays_one` and `filmstrip` are still pictures. `scrub_training` and `scrub_layers` go through a fit and through a
flow, step by step. A Scene of Panels of layers says what is to be seen; the canvas and matplotlib paint it.
"""

from flowlib.viz.chapters.image_explorers import bin_width, explore_scales, scrub_image_layers
from flowlib.viz.chapters.knots import drag_knots
from flowlib.viz.chapters.latent_explorers import explore_attributes, explore_interpolation, scrub_patches
from flowlib.viz.chapters.losses import losses
from flowlib.viz.chapters.mosaics import image_panel, image_path, redraw, scale_names, show_images, snapshot, to_unit
from flowlib.viz.chapters.scrub_layers import scrub_layers
from flowlib.viz.chapters.scrub_training import scrub_training
from flowlib.viz.engine.controls import Arrow, Choice, Mark, Point, Slider
from flowlib.viz.engine.explorer import Explorer
from flowlib.viz.engine.scene import Area, Dots, Heat, Label, Lines, Panel, Polygon, Scene, Vector, density_key, det_key
from flowlib.viz.engine.theme import TABLES, style
from flowlib.viz.flows.explore import explore
from flowlib.viz.flows.given import given
from flowlib.viz.flows.pictures import Picture, area_stays_one, density, filmstrip, samples, warped_grid

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
    "area_stays_one",
    "bin_width",
    "density",
    "density_key",
    "det_key",
    "drag_knots",
    "explore",
    "explore_attributes",
    "explore_interpolation",
    "explore_scales",
    "filmstrip",
    "given",
    "image_panel",
    "image_path",
    "losses",
    "redraw",
    "samples",
    "scale_names",
    "scrub_image_layers",
    "scrub_layers",
    "scrub_patches",
    "scrub_training",
    "show_images",
    "snapshot",
    "style",
    "to_unit",
    "warped_grid",
]
