"""A search over the index of all formulas, systems and claims: two menus, a field for a word, and the rows that fit."""

import ipywidgets

from flowlib.course import glance
from flowlib.course.formulas import SOURCES
from flowlib.course.formulas.glance import ROWS, fits
from flowlib.course.formulas.row import KINDS
from flowlib.viz.engine.live import Live
from flowlib.viz.engine.picture import written

FIRST, MOST = "planar", 8  # the word at the start; rows in the picture for readers without a kernel


class FormulaSearch(Live):
    """What `explore_formulas` shows. Attributes: `source`, `kind` (menus), `word` (a field), `found` (the rows shown).

    >>> search = explore_formulas()
    >>> search.word.value = "hutchinson"
    >>> search.found
    1 formula; every proof holds
    """

    def __init__(self) -> None:
        menu = {"layout": {"width": "auto"}, "style": {"description_width": "auto"}}
        every = [("all sources", ""), *((f"the {key}", key) for key in SOURCES)]
        self.source = ipywidgets.Dropdown(options=every, description="source", **menu)
        kinds = [("all kinds", ""), *((f"{kind}s", kind) for kind in KINDS)]
        self.kind = ipywidgets.Dropdown(options=kinds, description="kind", **menu)
        self.word = ipywidgets.Text(FIRST, description="word", placeholder="trace, 17.5, Glow …", **menu)
        self.output = ipywidgets.Output()
        bar = ipywidgets.Box([self.source, self.kind, self.word], layout={"flex_flow": "row wrap"})
        self.box = ipywidgets.VBox([bar, self.output])
        self.box.add_class("fl-view")  # where it is seen, the picture is not
        self.alt = "menus and a field that choose rows of the index, and the first of the rows for a planar flow"
        for widget in (self.source, self.kind, self.word):
            widget.observe(lambda _: self.search(), names="value")
        self.search()

    def search(self) -> None:
        """Show the rows that fit now."""
        self.found = glance(source=self.source.value, kind=self.kind.value, word=self.word.value.strip())
        text = f"{self.found!r}\n\n{self.found.text}"
        data = {"text/plain": repr(self.found), "text/markdown": text}
        self.output.outputs = ({"output_type": "display_data", "data": data, "metadata": {}},)

    def __repr__(self) -> str:
        return "Search: menus for source and kind, a field for a word, and the rows that fit."

    def png(self) -> bytes:
        """The rows for the first word by name and place; their formulas stand in the tables of the same page."""
        rows = [row for row in ROWS if fits(row, "", "", "", FIRST)]
        lines = [f"source: all   kind: all   word: {FIRST}", ""]
        lines += [f"{row.place}   {row.name}   {row.proved}" for row in rows[:MOST]]
        lines += ["", f"and {len(rows) - MOST} more; a frozen picture: run the cell, then choose and type"]
        return written(lines, self.alt).png(dpi=100)


def explore_formulas() -> FormulaSearch:
    """A search over all rows, by source, kind and word."""
    return FormulaSearch()
