"""The glossary: its page, and on every other page a link at the first use of each of its words.

    .venv/bin/python -m tools.glossary             writes notebooks/14_glossary.ipynb and the links on pages 00 to 12
    .venv/bin/python -m tools.glossary --check     writes nothing, says what is not in place

The words stand in flowlib/course/glossary.py. A word is linked where a page first uses it in running text: not in
headings, formulas, code, tables, questions, bold type, folded answers, exercises, recaps or sources, and not on the
page that introduces it or sets it in bold as a definition. A paragraph has at most MOST links; a word that finds no
room is linked at its next use. The sentence of a word stands in its link, for the mouse that rests on it. Old links to
the glossary are taken out first, so the command may be called again after any change of a page or of the words. Only
the text of pages changes, so no cell has to run again.
"""

import argparse
import re
import sys
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from itertools import groupby
from pathlib import Path

import nbformat
from nbformat import NotebookNode

from flowlib.course.address import address
from flowlib.course.glossary import GLOSSARY, Term
from tools.notebooks import ROOT, course, in_stored_form

PAGE = ROOT / "notebooks" / "14_glossary.ipynb"
MOST = 2  # links in a paragraph
UNREAD = ("Notation", "Exercises", "Recap", "Sources", "Appendix")  # sections without links
LINK = re.compile(r"\[([^\[\]]+)\]\(14_glossary\.ipynb#[^)\s]*(?: \"[^\"\n]*\")?\)")
HEADING = re.compile(r"^#{2,3} (.*)$", re.MULTILINE)
HIDDEN = [  # where a link would break something or disturb
    r"```.*?```",
    r"<details>.*?</details>",
    r"\*\*You will be able to\*\*.*",
    r"\$\$.*?\$\$",
    r"`[^`\n]*`",
    r"\$[^$\n]*\$",
    r"!?\[[^\]]*\]\([^)]*\)",
    r"<[^<>\n]*>",
    r"\*\*.*?\*\*",
    r"(?m:^ *[#|>][^\n]*)",
]
BOLD = re.compile(r"\*\*(.*?)\*\*", re.DOTALL)


# ---- where a word is introduced


@dataclass(frozen=True)
class Section:
    page: Path
    heading: str
    text: str  # as a reader sees it, code included

    def __str__(self) -> str:
        number = self.page.name.partition("_")[0]
        return self.heading if self.heading.startswith(number) else f"{number}, {self.heading}"

    @property
    def link(self) -> str:
        return address(self.page.name, self.heading)


def linked_pages() -> list[Path]:
    """The pages that a reader reads in order: all but the formulas and the glossary."""
    return [path for path in course() if path.name[:2] < "13"]


def sections(path: Path, book: NotebookNode) -> Iterator[Section]:
    """The page cut at its headings; what stands before the first belongs to the title."""
    text = "\n\n".join(bare(cell.source) for cell in book.cells if cell.cell_type == "markdown")
    title, *rest = HEADING.split(text)
    yield Section(path, title.partition("\n")[0].removeprefix("# "), title)
    for heading, body in zip(rest[::2], rest[1::2], strict=True):
        yield Section(path, heading, f"{heading}\n{body}")


class Places:
    """Where each word is introduced, found once for all pages."""

    def __init__(self, books: dict[Path, NotebookNode]):
        self.cut = {path: list(sections(path, book)) for path, book in books.items()}
        self.found = {term: self.search(term) for term in GLOSSARY}

    def search(self, term: Term) -> Section | None:
        """The section that introduces a word; None while its page or section is not there or does not use it."""
        pages = [parts for path, parts in self.cut.items() if path.name.startswith(term.page)]
        used = re.compile(whole(term.spellings), re.IGNORECASE)
        if term.heading:
            parts = [part for page in pages for part in page if part.heading == term.heading]
        else:  # running text first, then titles, then what is never linked
            rank = {part: 2 if part.heading.startswith(UNREAD) else part is page[0] for page in pages for part in page}
            parts = sorted(rank, key=rank.get)
        return next((part for part in parts if used.search(part.text.replace("_", " "))), None)

    def missing(self) -> Iterator[str]:
        """Words that are not where they are said to be."""
        for term in GLOSSARY:
            if term.heading and not self.found[term]:
                where = f"page {term.page} has no section {term.heading!r} that uses it"
                yield f"{term.name}: {where} (flowlib/course/glossary.py)"

    def waiting(self) -> list[str]:
        """Words that no page uses yet."""
        return [term.name for term in GLOSSARY if not term.heading and not self.found[term]]


# ---- links on the pages


def whole(spellings: Iterable[str]) -> str:
    """A pattern that finds any of these as whole words."""
    ordered = sorted(spellings, key=lambda word: (-len(word), word))
    return rf"(?<![\w–-])(?:{'|'.join(map(spelled, ordered))})(?!\w|[–-]\w)"


def spelled(spelling: str) -> str:
    """A spelling as a pattern: over a line's end, with a plural s, with a capital where it has none of its own."""
    first, rest = spelling[0], re.escape(spelling[1:]).replace(r"\ ", r"\s").replace(" ", r"\s")
    head = f"[{first}{first.upper()}]" if first.islower() and spelling.islower() else re.escape(first)
    return head + rest + ("" if spelling.endswith("s") else "s?")


def link_to(term: Term, text: str) -> str:
    """A link to a word; its sentence appears where the mouse rests."""
    return f'[{text}]({PAGE.name}#{term.anchor} "{term.sentence}")'


def bare(source: str) -> str:
    """A cell without links to the glossary."""
    return LINK.sub(r"\1", source)


def veiled(source: str) -> str:
    """A cell of the same length in which what must not be touched is blank."""
    for pattern in HIDDEN:
        source = re.sub(pattern, lambda found: re.sub(r"[^\n]", "\0", found.group()), source, flags=re.DOTALL)
    return source


def paragraph_of(source: str, place: int) -> int:
    """The number of the paragraph or list item at a place of a cell."""
    return len(re.findall(r"\n\s*(?:\n|- |\d+\. )", source[:place]))


class Linker:
    """Finds all words at once, the longest first, so that 'planar flow' is not taken for 'flow'."""

    def __init__(self, places: Places):
        self.terms = {spelling: term for term in GLOSSARY for spelling in term.spellings}
        self.words = re.compile(whole(self.terms))
        self.home = {term: part.page for term in GLOSSARY if (part := places.found[term])}

    def link(self, path: Path, book: NotebookNode) -> None:
        """Sets the links of a page anew."""
        done = {term for term in GLOSSARY if not term.linked or self.home.get(term) in (None, path)}
        read = True
        for cell in book.cells:
            if cell.cell_type == "markdown":
                cell.source, read = self.link_cell(bare(cell.source), done, read)

    def link_cell(self, source: str, done: set[Term], read: bool) -> tuple[str, bool]:
        """A cell with its links, and whether the next cell is to be read; `done` grows by what was linked."""
        shown, pieces, end, used = veiled(source), [], 0, {}
        turns = [
            (found.start(), not found.group(1).startswith(UNREAD)) for found in re.finditer(r"(?m)^## (.*)$", source)
        ]
        defined = {self.term_of(found) for text in BOLD.findall(source) if (found := self.words.fullmatch(text))}
        for found in self.words.finditer(shown):
            term, where = self.term_of(found), paragraph_of(source, found.start())
            now = [on for start, on in turns if start < found.start()]
            if not (now[-1] if now else read) or term in done or term in defined or used.get(where, 0) == MOST:
                continue
            done.add(term)
            used[where] = used.get(where, 0) + 1
            pieces += [source[end : found.start()], link_to(term, found.group())]
            end = found.end()
        done |= defined
        return "".join(pieces) + source[end:], turns[-1][1] if turns else read

    def term_of(self, found: re.Match[str]) -> Term:
        text = re.sub(r"\s+", " ", found.group())
        forms = [text, text[0].lower() + text[1:]]
        return next(self.terms[form] for form in [*forms, *(form[:-1] for form in forms)] if form in self.terms)


# ---- the page


def text_of(term: Term, place: Section | None) -> str:
    """The entry of a word: sentence, formula, other names, where it is introduced."""
    formula = f" $\\displaystyle {term.formula}$" if term.formula else ""
    names = f"Also: {', '.join(term.also)}. " if term.also else ""
    where = f"Introduced in [{place}]({place.link})." if place else ""
    more = f"<br>\n{names}{where}".rstrip() if names or where else ""
    return f"### {term.name}\n\n{term.sentence}{formula}{more}"


def folded(term: Term) -> str:
    return f"<details><summary>{term.name}</summary>\n\n{term.sentence}\n\n</details>"


def glossary_page(places: Places, old: NotebookNode | None) -> NotebookNode:
    """The page anew; the outputs of its code stay."""
    terms = sorted(GLOSSARY, key=lambda term: (term.name.lower(), term.name))
    letters = {letter: list(group) for letter, group in groupby(terms, lambda term: initial(term))}
    index = " · ".join(f"[{letter}](#{letter})" for letter in letters)
    search = next((cell for cell in old.cells if cell.cell_type == "code"), None) if old else None
    if search is None:
        search = nbformat.v4.new_code_cell(SEARCH, id="search", execution_count=None)
    cells = [nbformat.v4.new_markdown_cell(HEAD.format(count=len(terms), index=index), id="head"), search]
    for letter, group in letters.items():
        text = "\n\n".join([f"## {letter}", *(text_of(term, places.found[term]) for term in group)])
        cells.append(nbformat.v4.new_markdown_cell(text, id=f"letter-{letter.lower()}"))
    cells.append(nbformat.v4.new_markdown_cell(TEST, id="test"))
    for chapter, group in groupby(sorted(GLOSSARY, key=chapter_of), chapter_of):
        text = "\n".join([f"### Words of chapter {chapter}\n", *map(folded, group)])
        cells.append(nbformat.v4.new_markdown_cell(text, id=f"test-{chapter}"))
    cells.append(nbformat.v4.new_markdown_cell(FOOT, id="foot"))
    return nbformat.v4.new_notebook(cells=cells)


def chapter_of(term: Term) -> str:
    return term.page[:2]


def initial(term: Term) -> str:
    return term.name[0].upper() if term.name[0].isalpha() else "1"


HEAD = """\
# 14 · Glossary

{count} words of the course, one sentence each, and where each is introduced. On the other pages the first use of a word
is a link to here, and the mouse that rests on the link shows the sentence. (JupyterLab opens this page at its top; once
it is open in a tab, every link leads to its word.)

{index} · [Test yourself](#Exercises:-test-yourself)

Run the next cell and type: the list follows every letter. It looks in names, in other spellings and in sentences."""
SEARCH = "from flowlib.viz import look_up\n\nlook_up()"
TEST = """\
## Exercises: test yourself

A word, its sentence folded: say it aloud, then click. The words come in the order in which the course introduces them.
The same words as flash cards for Anki: `python -m tools.cards`."""
FOOT = """\
## Recap

| concept | code | read |
| --- | --- | --- |
| a word, its sentence and where it is introduced | `GLOSSARY` | [course/glossary.py](../flowlib/course/glossary.py) |
| the search | `look_up()` | [viz/chapters/look_up.py](../flowlib/viz/chapters/look_up.py) |

## Sources

The words are those of the papers that each page cites, the sentences our own. What the five sources of the course call
the same thing stands on [13 · The whole course at one glance](13_formulas.ipynb), line by line.

Back: [13 · The whole course at one glance](13_formulas.ipynb). To the start: [00 · Start here](00_start_here.ipynb)."""


# ---- the command


def wanted() -> tuple[dict[Path, str], Places]:
    """The text that each page should have, and where the words are introduced."""
    books = {path: nbformat.read(path, as_version=4) for path in linked_pages()}
    places = Places(books)
    linker = Linker(places)
    for path, book in books.items():
        linker.link(path, book)
    old = nbformat.read(PAGE, as_version=4) if PAGE.exists() else None
    books[PAGE] = glossary_page(places, old)
    return {path: in_stored_form(book) for path, book in books.items()}, places


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--check", action="store_true", help="write nothing")
    check = parser.parse_args().check
    pages, places = wanted()
    problems = list(places.missing())
    for path, text in pages.items():
        if not path.exists() or path.read_text(encoding="utf-8") != text:
            if check:
                problems.append(f"{path.name}: not as the glossary wants it (python -m tools.glossary)")
            else:
                path.write_text(text, encoding="utf-8")
                print(f"{path.name}: written")
    if waiting := places.waiting():
        print(f"used on no page yet: {', '.join(waiting)}")
    sys.exit("\n".join(problems) or 0)


if __name__ == "__main__":
    main()
