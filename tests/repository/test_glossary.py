"""The glossary: each word is introduced where it says, its first use on a page is a link, nothing is out of date."""

import re
from pathlib import Path

import nbformat
import pytest

from flowlib.course.glossary import GLOSSARY, Term
from tools import glossary
from tools.glossary import (
    LINK,
    MOST,
    PAGE,
    Linker,
    Places,
    bare,
    link_to,
    linked_pages,
    paragraph_of,
    veiled,
    wanted,
    whole,
)

BOOKS = {path: nbformat.read(path, as_version=4) for path in linked_pages()}
PLACES = Places(BOOKS)


def markdown(path: Path) -> list[str]:
    return [cell.source for cell in nbformat.read(path, as_version=4).cells if cell.cell_type == "markdown"]


# ---- the words


def test_no_word_is_defined_twice() -> None:
    spellings = [spelling.lower() for term in GLOSSARY for spelling in term.spellings]
    assert not {spelling for spelling in spellings if spellings.count(spelling) > 1}


@pytest.mark.parametrize("term", GLOSSARY, ids=lambda term: term.name)
def test_a_sentence_is_one_sentence_without_the_word(term: Term) -> None:
    assert term.sentence[0].isupper() and term.sentence.endswith(".")
    assert not re.search(r"[.!?] ", term.sentence) and len(term.sentence) < 180
    assert not re.search(whole([term.name]), term.sentence)
    assert '"' not in term.sentence  # it stands between such marks in links


def test_names_are_ends_of_addresses() -> None:
    assert not [term.name for term in GLOSSARY if not re.fullmatch(r"[A-Za-z0-9 -]+", term.name)]


def test_each_page_and_section_is_there_and_uses_the_word() -> None:
    assert not list(PLACES.missing())


# ---- the pages


def test_the_command_would_change_nothing() -> None:
    pages, _ = wanted()
    assert not [path.name for path, text in pages.items() if path.read_text(encoding="utf-8") != text]


@pytest.mark.parametrize("path", linked_pages(), ids=lambda path: path.stem)
def test_links_lead_to_words_and_no_word_twice(path: Path) -> None:
    anchors = re.findall(r"\(14_glossary\.ipynb#([^)\s]*) ", "\n".join(markdown(path)))
    assert set(anchors) <= {term.anchor for term in GLOSSARY}
    assert len(set(anchors)) == len(anchors)


@pytest.mark.parametrize("path", linked_pages(), ids=lambda path: path.stem)
def test_a_paragraph_has_few_links_and_none_where_they_disturb(path: Path) -> None:
    for source in markdown(path):
        where = [paragraph_of(source, link.start()) for link in LINK.finditer(source)]
        assert max(map(where.count, where), default=0) <= MOST
        plain = bare(source)
        shown = veiled(plain)
        removed = 0
        for link in LINK.finditer(source):  # where the word stands once the links before it are gone
            start = link.start() - removed
            assert shown[start : start + len(link.group(1))] == link.group(1), link.group()
            removed += len(link.group()) - len(link.group(1))


def test_the_page_has_each_word_and_its_links_exist() -> None:
    cells = markdown(PAGE)
    names = [name for source in cells for name in re.findall(r"^### (.*)$", source, re.MULTILINE)]
    assert [name for name in names if not name.startswith("Words of chapter")] == sorted(
        (term.name for term in GLOSSARY), key=str.lower
    )
    headings = {}
    for name, anchor in re.findall(r"\]\(([\w.]+\.ipynb)(?:#([^)]*))?\)\.", "\n".join(cells)):
        if name not in headings:
            text = "\n".join(markdown(PAGE.parent / name))
            headings[name] = {found.replace(" ", "-") for found in re.findall(r"^#+ (.*)$", text, re.MULTILINE)}
        assert not anchor or anchor in headings[name], f"{name}#{anchor}"


# ---- the command


def linked(source: str, *more: str) -> list[str]:
    """A page of these cells after the command."""
    book = nbformat.v4.new_notebook(cells=[nbformat.v4.new_markdown_cell(text) for text in (source, *more)])
    Linker(PLACES).link(Path("notebooks/99_page.ipynb"), book)
    return [cell.source for cell in book.cells]


WORDS = {term.name: term for term in GLOSSARY}
JACOBIAN = f'[Jacobian](14_glossary.ipynb#Jacobian "{WORDS["Jacobian"].sentence}")'


def test_the_first_use_alone_is_linked() -> None:
    assert linked("A Jacobian, a Jacobian.", "Jacobians.") == [f"A {JACOBIAN}, a Jacobian.", "Jacobians."]


def test_long_words_come_before_short_ones() -> None:
    (text,) = linked("Planar flows have a log-determinant.")
    flows, volume = WORDS["planar flow"], WORDS["log-determinant"]
    assert text == f"{link_to(flows, 'Planar flows')} have a {link_to(volume, 'log-determinant')}."


@pytest.mark.parametrize(
    "text",
    [
        "## The Jacobian",
        "| Jacobian | 1 |",
        "> **Predict.** A Jacobian?",
        "$Jacobian$ and `Jacobian`",
        "$$\nJacobian\n$$",
        "```python\nJacobian\n```",
        "<details><summary>Jacobian</summary>\n\nJacobian\n\n</details>",
        "[the Jacobian](02_the_plane.ipynb)",
        "**You will be able to**\n\n- find a Jacobian",
        "## Exercises\n\nA Jacobian.",
        "The **Jacobian** is a matrix. A Jacobian has columns.",
        "from $[0, \\infty)$ to 1",
    ],
)
def test_some_places_stay_as_they_are(text: str) -> None:
    assert linked(text) == [text]


def test_a_section_without_links_ends_at_the_next() -> None:
    assert linked("## Recap", "A Jacobian.", "## 3. More\n\nA Jacobian.")[1:] == [
        "A Jacobian.",
        f"## 3. More\n\nA {JACOBIAN}.",
    ]


def test_a_full_paragraph_leaves_a_word_to_its_next_use() -> None:
    (text,) = linked("A determinant, a posterior, a Jacobian.\n\nA Jacobian.")
    assert text.count("](") == MOST + 1 and text.endswith(f"A {JACOBIAN}.")


def test_old_links_are_set_anew() -> None:
    once = linked("A Jacobian.")
    assert linked(*once) == once
    assert linked("A [word](14_glossary.ipynb#gone) from $[0, 1)$.") == ["A word from $[0, 1)$."]


def test_a_section_that_is_gone_is_named(monkeypatch) -> None:
    lost = Term("Jacobian", "02", "99. No such section", "A matrix.")
    monkeypatch.setattr(glossary, "GLOSSARY", (lost,))
    (words,) = Places(BOOKS).missing()
    assert words.startswith("Jacobian: page 02 has no section '99. No such section' that uses it")
