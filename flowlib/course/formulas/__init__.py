"""The whole course at one glance: every formula, system and claim, where it is taught, and a proof that runs.

One source. `ROWS` are the rows page by page, `SOURCES` the five documents line by line; `python -m tools.formulas`
writes notebook 13 of them, and a test holds that nothing is missing and that each proof holds.

row         what a row says
proving     what the proofs share
nb00 ...    the rows of each page, each above its proof
sources     what stands where in the five documents
glance      tables of them, as a notebook shows them
"""

from flowlib.course.formulas import (
    nb00,
    nb01,
    nb02,
    nb03,
    nb04,
    nb05,
    nb06,
    nb07,
    nb08,
    nb09,
    nb10,
    nb11a,
    nb11b,
    nb11c,
)
from flowlib.course.formulas.row import Row

PAGES = (nb00, nb01, nb02, nb03, nb04, nb05, nb06, nb07, nb08, nb09, nb10, nb11a, nb11b, nb11c)
ROWS: tuple[Row, ...] = tuple(row for page in PAGES for row in page.ROWS)
