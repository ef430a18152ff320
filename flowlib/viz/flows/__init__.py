"""Flows as scenes: explorers and still pictures of any flow on the line or the plane.

plane, line     scenes of a flow in two dimensions, in one
painted         a density on pixels, in the direction that is cheap
explore         from a function that makes a flow to an explorer
pictures        still pictures
pairs           columns of points of many dimensions, alone and by two
"""

from flowlib.viz.flows.explore import explore
from flowlib.viz.flows.pairs import pairs
from flowlib.viz.flows.pictures import area_stays_one, density, filmstrip, samples, warped_grid

__all__ = ["area_stays_one", "density", "explore", "filmstrip", "pairs", "samples", "warped_grid"]
