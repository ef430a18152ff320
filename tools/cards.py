"""Flash cards: the words and the formulas of the course as a deck for Anki.

    .venv/bin/python -m tools.cards [--out flowlib.apkg]

A word gives two cards, word to sentence and sentence to word; a formula one, its name to the formula. Each chapter has
a deck of its own under "flowlib". The ids of decks, kinds of notes and notes are made from their names, so that a later
deck updates the cards of an earlier one in Anki and keeps what was learned.
"""

import argparse
import hashlib
import html
from collections.abc import Iterator
from pathlib import Path

import genanki
import nbformat

from flowlib.course.formulas import ROWS
from flowlib.course.formulas.row import Row
from flowlib.course.glossary import GLOSSARY, Term
from tools.notebooks import course

CHAPTERS = {"11": "What flows are for", "12": "Flows, GANs, VAEs and diffusion on the same data"}  # of several pages
CSS = """\
.card { font-family: sans-serif; font-size: 20px; text-align: center; max-width: 34em; margin: auto; padding: 1em; }
.more { color: #777b82; font-size: 15px; }
"""


def number_of(name: str) -> int:
    """A positive id below 2³¹ that belongs to this name for ever."""
    return int.from_bytes(hashlib.sha256(name.encode()).digest()[:4], "big") >> 1 | 1 << 30


def inline(latex: str) -> str:
    r"""A formula as Anki's MathJax takes it.

    >>> inline("0 < x")
    '\\(0 &lt; x\\)'
    """
    return rf"\({html.escape(latex, quote=False)}\)" if latex else ""


def kind(name: str, fields: list[str], *cards: tuple[str, str, str]) -> genanki.Model:
    """A kind of note, with its cards as (name, front, back)."""
    templates = [{"name": card, "qfmt": front, "afmt": f"{{{{FrontSide}}}}<hr>{back}"} for card, front, back in cards]
    named = [{"name": field} for field in fields]
    return genanki.Model(number_of(f"flowlib kind {name}"), f"flowlib {name}", named, templates, css=CSS)


MORE = '<p class="more">{{formula}}<br>{{also}}<br>{{place}}</p>'
WORD = kind(
    "word",
    ["word", "sentence", "also", "formula", "place"],
    ("word to sentence", "<b>{{word}}</b>", "{{sentence}}" + MORE),
    ("sentence to word", "{{sentence}}", "<b>{{word}}</b>" + MORE),
)
FORMULA = kind(
    "formula",
    ["name", "formula", "place"],
    ("name to formula", "<b>{{name}}</b>", '{{formula}}<p class="more">{{place}}</p>'),
)


def word_note(term: Term) -> genanki.Note:
    also = f"also: {', '.join(term.also)}" if term.also else ""
    words = [html.escape(text, quote=False) for text in (term.name, term.sentence, also)]
    fields = [*words, inline(term.formula), f"chapter {term.page}"]
    return genanki.Note(WORD, fields, guid=genanki.guid_for("flowlib word", term.name))


def formula_note(row: Row) -> genanki.Note:
    page = row.page.partition("_")[0]
    fields = [html.escape(row.name, quote=False), inline(row.latex), f"chapter {page}"]
    return genanki.Note(FORMULA, fields, guid=genanki.guid_for("flowlib formula", page, row.name))


def titles() -> Iterator[tuple[str, str]]:
    """(chapter, its title), from the first line of its page."""
    for path in course():
        title = nbformat.read(path, as_version=4).cells[0].source.partition("\n")[0]
        yield path.name[:2], title.partition(" · ")[2].replace("::", ":")


def decks() -> list[genanki.Deck]:
    """One deck a chapter, those without cards left out."""
    notes: dict[str, list[genanki.Note]] = {}
    for term in GLOSSARY:
        notes.setdefault(term.page[:2], []).append(word_note(term))
    for row in (row for row in ROWS if row.latex):
        notes.setdefault(row.page[:2], []).append(formula_note(row))
    named = dict(titles()) | CHAPTERS
    found = []
    for chapter in sorted(notes):
        deck = genanki.Deck(number_of(f"flowlib deck {chapter}"), f"flowlib::{chapter} · {named[chapter]}")
        for note in notes[chapter]:
            deck.add_note(note)
        found.append(deck)
    return found


def write(out: Path) -> tuple[int, int]:
    """Writes the deck; gives the numbers of notes and of cards."""
    if not out.parent.is_dir():
        raise SystemExit(f"--out {out}: there is no folder {out.parent}; make it first, or name a file in another one.")
    if out.suffix != ".apkg":
        raise SystemExit(f"--out {out}: Anki opens files that end in .apkg; call it {out.with_suffix('.apkg').name}.")
    found = decks()
    genanki.Package(found).write_to_file(out)
    notes = [note for deck in found for note in deck.notes]
    return len(notes), sum(len(note.cards) for note in notes)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path, default=Path("flowlib.apkg"))
    out = parser.parse_args().out
    notes, cards = write(out)
    print(f"{out}: {notes} notes, {cards} cards; in Anki: File, Import")


if __name__ == "__main__":
    main()
