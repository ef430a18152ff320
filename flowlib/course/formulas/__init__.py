"""The whole course at one glance: every formula, system and claim, where it is taught, and a proof that runs.

One source. `ROWS` are the rows page by page, `SOURCES` the five documents line by line; `python -m tools.formulas`
writes notebook 13 of them, and a test holds that nothing is missing and that each proof holds.

row         what a row says
proving     what the proofs share
nb00 ...    the rows of each page, each above its proof
sources     what stands where in the five documents
glance      all rows, and tables of them as a notebook shows them
"""

from flowlib.course.formulas.glance import ROWS, glance, line_by_line
from flowlib.course.formulas.sources import SOURCES

__all__ = ["ROWS", "SOURCES", "glance", "line_by_line"]
