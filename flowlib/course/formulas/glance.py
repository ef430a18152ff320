"""Tables of the index as a notebook shows them: Markdown with formulas and links, each proof run as it is shown.

glance(chapter="05")        the rows of a page; also by source, kind, or a word
line_by_line("lecture")     a source from its first line to its last, and where everything is
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

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
    nb12a,
    nb12b,
)
from flowlib.course.formulas.row import KINDS, Row
from flowlib.course.formulas.sources import SOURCES
from flowlib.support.checks import check_choice

PAGES = (nb00, nb01, nb02, nb03, nb04, nb05, nb06, nb07, nb08, nb09, nb10, nb11a, nb11b, nb11c, nb12a, nb12b)
ROWS: tuple[Row, ...] = tuple(row for page in PAGES for row in page.ROWS)


@dataclass(frozen=True)
class Markdown:
    """A text that a notebook renders; without one, `words` in its place."""

    words: str
    text: str

    def __repr__(self) -> str:
        return self.words

    def _repr_markdown_(self) -> str:
        return self.text


def glance(chapter: str = "", source: str = "", kind: str = "", word: str = "") -> Markdown:
    """The rows that fit, as tables: what there is to know first, then what the sources claim.

    Args:
        chapter: "05", the number of a page.
        source: "tutorial", "chef", "review", "wiki" or "lecture".
        kind: "formula", "system" or "claim".
        word: what a row must hold somewhere, small or large letters.

    >>> glance(chapter="00", kind="claim")
    4 claims; every proof holds
    """
    check_choice("glance", "source", source, ("", *SOURCES))
    check_choice("glance", "kind", kind, ("", *KINDS))
    found = [row for row in ROWS if fits(row, chapter, source, kind, word)]
    known, claims = ([row for row in found if (row.kind == "claim") is wanted] for wanted in (False, True))
    parts = [table(("", "", "where, and in flowlib", "proved"), map(known_cells, known))] if known else []
    if claims:
        parts.append(
            table(("the sources say", "is it so?", "where, and in flowlib", "proved"), map(claim_cells, claims))
        )
    return Markdown(counted(found), "\n\n".join(parts) or "Nothing fits.")


def fits(row: Row, chapter: str, source: str, kind: str, word: str) -> bool:
    return (
        row.page.startswith(chapter)
        and (not source or any(at.startswith(source + " ") for at in row.at))
        and kind in ("", row.kind)
        and word.lower() in " ".join([row.name, row.latex, row.code, row.verdict, row.measured, *row.at]).lower()
    )


def line_by_line(source: str) -> Markdown:
    """All places of a source in their order: in its letters, what is wrong, and the rows that deal with them.

    >>> line_by_line("wiki")
    wiki: 17 places, 9 formulas, 3 systems, 7 claims; every proof holds
    """
    check_choice("line_by_line", "source", source, tuple(SOURCES))
    lines, every = [], []
    for place in SOURCES[source].places:
        here = [row for row in ROWS if f"{source} {place.number}" in row.at]
        every += [row for row in here if row not in every]
        but = f"<br>**but** {place.but}" if place.but else ""
        lines.append((place.number, place.said + but, "<br>".join(map(mention, here)) or "…"))
    text = table(("", "there", "here"), lines)
    return Markdown(f"{source}: {len(lines)} places, {counted(every)}", text)


def counted(rows: Sequence[Row]) -> str:
    """How many rows, and whether their proofs hold."""
    kinds = [(kind, sum(row.kind == kind for row in rows)) for kind in KINDS]
    there = ", ".join(f"{count} {kind}{'s' if count > 1 else ''}" for kind, count in kinds if count) or "nothing"
    failed = [row.name for row in rows if not row.holds]
    return f"{there}; " + (f"NOT proved: {', '.join(failed)}" if failed else "every proof holds")


def known_cells(row: Row) -> tuple[str, ...]:
    """Of a formula or a system."""
    lines = row.latex.split(r"\quad ")
    formula = "<br>".join(f"$\\displaystyle {line.strip().rstrip(',;:')}$" for line in lines)
    return f"**{row.name}**{small(', '.join(row.at))}", formula, whereabouts(row), proof(row)


def claim_cells(row: Row) -> tuple[str, ...]:
    return f"{row.name}{small(', '.join(row.at))}", f"**{row.verdict}**: {row.measured}", whereabouts(row), proof(row)


def whereabouts(row: Row) -> str:
    """Section, import path and exercise."""
    exercise = f"<br>`{row.exercise}`" if row.exercise else ""
    return f"[{row.place}]({row.link})" + (f" · `{row.code}`" if row.code else "") + exercise


def proof(row: Row) -> str:
    return row.proved + small(row.compared)


def mention(row: Row) -> str:
    """A row in the table of a source."""
    verdict = f" (*{row.verdict}*)" if row.verdict else ""
    return f"{row.proved[0]} [{row.place}]({row.link}) {row.name}{verdict}"


def small(text: str) -> str:
    return f"<br><small>{text}</small>" if text else ""


def table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """A Markdown table, all columns flush left; a bar inside a cell, which would end it, is escaped."""
    lines = [head, [":--"] * len(head), *([cell.replace("|", r"\|") for cell in cells] for cells in rows)]
    return "\n".join(f"| {' | '.join(cells)} |" for cells in lines)
