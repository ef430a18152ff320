"""What is shown twice: live where a kernel runs, as a picture everywhere else."""

from __future__ import annotations

import base64
from typing import Any

import ipywidgets
from IPython.display import display

from flowlib.support.session import watched

# three outputs in a row: the live picture, the frozen one, this; of the first two, one is shown
ONE_OF_THEM = """<style class="fl-one-of-them">
.jp-OutputArea-child:has(.fl-one-of-them),
.jp-OutputArea-child:has(.fl-view) + .jp-OutputArea-child:has(+ .jp-OutputArea-child .fl-one-of-them),
.jp-OutputArea-child:not(:has(.fl-view)):has(+ .jp-OutputArea-child + .jp-OutputArea-child .fl-one-of-them) {
  display: none;
}
</style>"""


class Live:
    """Widgets with a picture that stands in for them. A class of it has `box`, `alt`, `png()` and a stable repr."""

    box: ipywidgets.Widget
    alt: str

    def png(self) -> bytes:
        raise NotImplementedError

    def _repr_mimebundle_(self, include: Any = None, exclude: Any = None) -> tuple[dict, dict]:
        data, metadata = self._stand_in()
        return self._live() | data, metadata

    def _live(self) -> dict:
        view = {"version_major": 2, "version_minor": 0, "model_id": self.box.model_id}
        return {"text/plain": repr(self), "application/vnd.jupyter.widget-view+json": view}

    def _stand_in(self) -> tuple[dict, dict]:
        """The frozen picture, for a page without a kernel."""
        png = base64.b64encode(self.png()).decode()
        return {"text/plain": repr(self), "image/png": png}, {"image/png": {"alt": self.alt}}

    def _ipython_display_(self) -> None:
        """One output with both for a page that is being stored. On a page that somebody looks at the live picture comes
        first, alone; the frozen one follows in an output of its own, hidden as long as the live one is there: a page
        that was saved and is opened again has lost its widgets, and a single output would say so instead of showing it.
        """
        if not watched():
            data, metadata = self._repr_mimebundle_()
            return display(data, metadata=metadata, raw=True)
        display(self._live(), raw=True)
        data, metadata = self._stand_in()
        display(data, metadata=metadata, raw=True)
        display({"text/html": ONE_OF_THEM, "text/plain": ""}, raw=True)
