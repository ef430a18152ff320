"""A search over the index of all formulas, systems and claims: two menus, a field for a word, and the rows that fit."""

import ipywidgets

from flowlib.course import glance
from flowlib.course.formulas import SOURCES
from flowlib.course.formulas.row import KINDS
from flowlib.viz.engine.live import Live

STAND_IN = "*Here stands a search field as soon as the cell has been run.*"
FIRST = "planar"


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
        self.box.add_class("fl-view")  # where it is seen, what stands in for it is not
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

    def _stand_in(self) -> tuple[dict, dict]:
        """Words in place of a picture: the tables that it searches stand on the same page."""
        return {"text/plain": repr(self), "text/markdown": STAND_IN}, {}


def explore_formulas() -> FormulaSearch:
    """A search over all rows, by source, kind and word."""
    return FormulaSearch()
