"""A box that finds words of the course while one types, for notebook 14."""

from __future__ import annotations

import html
import textwrap

import ipywidgets

from flowlib.course.glossary import GLOSSARY, Term
from flowlib.viz.engine.live import Live
from flowlib.viz.engine.picture import written

MOST = 6  # words in the list
EXAMPLE = "jacobian"  # in the picture for readers without a kernel


def found(query: str) -> list[Term]:
    """The words for what was typed: names that begin with it first, then names, other spellings, and sentences.

    >>> [term.name for term in found("hutch")]
    ['Hutchinson estimator']
    """
    asked = query.strip().lower()

    def rank(term: Term) -> int:
        name, spellings, sentence = term.name.lower(), " ".join(term.also).lower(), term.sentence.lower()
        return [name.startswith(asked), asked in name, asked in spellings, asked in sentence, True].index(True)

    return [term for term in sorted(GLOSSARY, key=rank) if rank(term) < 4] if asked else []


class LookUp(Live):
    """A search box over the glossary; `text` is its widget, `answer` the list below it."""

    def __init__(self) -> None:
        self.alt = "a box in which one types to find a word of the course, and the words found below it"
        self.text = ipywidgets.Text(placeholder="type a word", description="look up", layout={"width": "420px"})
        self.answer = ipywidgets.HTMLMath()
        self.text.observe(lambda change: self._show(change["new"]), names="value")
        self.box = ipywidgets.VBox([self.text, self.answer])
        self.box.add_class("fl-view")  # where it is seen, the picture is not
        self._show("")

    def _show(self, query: str) -> None:
        terms = found(query)
        parts = [self._entry(term) for term in terms[:MOST]]
        if len(terms) > MOST:
            parts.append(f"<p>and {len(terms) - MOST} more: go on typing</p>")
        elif query.strip() and not terms:
            parts.append("<p>no such word</p>")
        self.answer.value = "".join(parts)

    def _entry(self, term: Term) -> str:
        formula = f" &nbsp; ${html.escape(term.formula, quote=False)}$" if term.formula else ""
        names = f" ({html.escape(', '.join(term.also))})" if term.also else ""
        return (
            f"<p><b>{term.name}</b>{names}<br>{html.escape(term.sentence)}{formula}<br><i>chapter {term.page}</i></p>"
        )

    def png(self) -> bytes:
        """The answer to an example, for readers without a kernel."""
        lines = [f"look up: {EXAMPLE}", ""]
        for term in found(EXAMPLE)[:3]:
            lines += [term.name, *textwrap.wrap(term.sentence, 84, initial_indent="  ", subsequent_indent="  "), ""]
        lines.append("a frozen picture: run the cell, then type")
        return written(lines, self.alt).png(dpi=100)

    def __repr__(self) -> str:
        return f"LookUp: {self.alt}."


def look_up() -> LookUp:
    """A search box over the words of the course."""
    return LookUp()
