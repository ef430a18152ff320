"""The deck of flash cards, read as Anki reads it: a zip with a database in it."""

import html
import json
import re
import sqlite3
import zipfile
from pathlib import Path

import pytest

from flowlib.course.formulas import ROWS
from flowlib.course.glossary import GLOSSARY
from tools import cards

FORMULAS = [row for row in ROWS if row.latex]


def read(path: Path, folder: Path) -> sqlite3.Connection:
    with zipfile.ZipFile(path) as package:
        package.extract("collection.anki2", folder)
    return sqlite3.connect(folder / "collection.anki2")


@pytest.fixture
def deck(tmp_path) -> sqlite3.Connection:
    words, formulas = len(GLOSSARY), len(FORMULAS)
    assert cards.write(tmp_path / "a.apkg") == (words + formulas, 2 * words + formulas)
    return read(tmp_path / "a.apkg", tmp_path)


def test_every_word_has_two_cards_and_a_formula_one(deck) -> None:
    assert deck.execute("select count(*) from notes").fetchone() == (len(GLOSSARY) + len(FORMULAS),)
    assert deck.execute("select count(*) from cards").fetchone() == (2 * len(GLOSSARY) + len(FORMULAS),)
    names = {html.unescape(fields.split("\x1f")[0]) for (fields,) in deck.execute("select flds from notes")}
    assert names == {entry.name for entry in (*GLOSSARY, *FORMULAS)}


def test_each_chapter_has_a_deck(deck) -> None:
    (text,) = deck.execute("select decks from col").fetchone()
    names = {entry["name"] for entry in json.loads(text).values()} - {"Default"}
    assert {name.split("::")[1][:2] for name in names} == {entry.page[:2] for entry in (*GLOSSARY, *FORMULAS)}
    used = {str(number) for (number,) in deck.execute("select distinct did from cards")}
    assert used == {key for key, entry in json.loads(text).items() if entry["name"] != "Default"}


def test_formulas_are_mathjax(deck) -> None:
    for (fields,) in deck.execute("select flds from notes"):
        assert fields.count(r"\(") == fields.count(r"\)") <= 1
        for formula in re.findall(r"\\\((.*?)\\\)", fields):
            assert formula.count("{") - formula.count(r"\{") == formula.count("}") - formula.count(r"\}"), formula
            assert not set("<>$") & set(formula), formula
    assert cards.inline(r"0 < H(p)") == r"\(0 &lt; H(p)\)"


def test_a_new_deck_updates_the_old_one(deck, tmp_path) -> None:
    (tmp_path / "again").mkdir()
    cards.write(tmp_path / "again" / "b.apkg")
    later = read(tmp_path / "again" / "b.apkg", tmp_path / "again")
    for query in ("select guid, mid from notes order by guid", "select distinct did from cards order by did"):
        assert deck.execute(query).fetchall() == later.execute(query).fetchall()
    guids = [guid for (guid,) in deck.execute("select guid from notes")]
    assert len(set(guids)) == len(guids)
    assert cards.number_of("flowlib deck 05") == 1_580_727_290  # changed, it would make a second deck of each
    assert cards.word_note(GLOSSARY[0]).guid == "HFopDCbDBP"


def test_a_folder_that_is_not_there_is_named(tmp_path) -> None:
    with pytest.raises(SystemExit, match=r"there is no folder .*nowhere; make it first"):
        cards.write(tmp_path / "nowhere" / "a.apkg")
    with pytest.raises(SystemExit, match=r"files that end in \.apkg; call it a\.apkg"):
        cards.write(tmp_path / "a.zip")
