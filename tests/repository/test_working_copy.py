"""`make lab` opens a copy of the pages: kept where the reader changed something, brought up to date elsewhere."""

import json
import re
import shutil
import subprocess
from pathlib import Path

import nbformat
import pytest

from lab.working_copy import update
from tools.lab import ROOT
from tools.notebooks import course

PAGE = "01_line.ipynb"


def write(path: Path, text: str, output: str = "") -> None:
    cell = nbformat.v4.new_code_cell(text, outputs=[nbformat.v4.new_output("stream", text=output)] if output else [])
    nbformat.write(nbformat.v4.new_notebook(cells=[cell]), path)


def source(path: Path) -> str:
    return nbformat.read(path, 4).cells[0].source


@pytest.fixture
def folders(tmp_path: Path) -> tuple[Path, Path]:
    course, own = tmp_path / "notebooks", tmp_path / "my_pages"
    course.mkdir()
    write(course / PAGE, "a = 1")
    assert update(course, own) == []
    return course, own


def test_pages_are_copied_once(folders) -> None:
    course, own = folders
    assert source(own / PAGE) == "a = 1"
    stamp = (own / PAGE).stat().st_mtime_ns
    assert update(course, own) == [] and (own / PAGE).stat().st_mtime_ns == stamp


def test_a_page_that_was_only_run_is_brought_up_to_date(folders) -> None:
    course, own = folders
    write(own / PAGE, "a = 1", output="an output")
    write(course / PAGE, "a = 2")
    assert update(course, own) == [] and source(own / PAGE) == "a = 2"


def test_what_the_reader_changed_stays_and_the_new_page_lies_beside(folders) -> None:
    course, own = folders
    write(own / PAGE, "a = 'mine'")
    assert update(course, own) == [] and source(own / PAGE) == "a = 'mine'"
    write(course / PAGE, "a = 2")
    assert update(course, own) == [
        f"{PAGE} has your changes and stays; the course has a newer one: 01_line (new).ipynb"
    ]
    assert source(own / PAGE) == "a = 'mine'" and source(own / "01_line (new).ipynb") == "a = 2"
    assert update(course, own) == []


def test_a_new_page_that_the_reader_went_on_with_stays_too(folders) -> None:
    course, own = folders
    write(own / PAGE, "a = 'mine'")
    write(course / PAGE, "a = 2")
    update(course, own)
    write(own / "01_line (new).ipynb", "a = 'mine again'")
    write(course / PAGE, "a = 3")
    assert update(course, own)[0].endswith("the course has a newer one: 01_line (new 2).ipynb")
    write(course / PAGE, "a = 4")
    assert update(course, own)[0].endswith("the course has a newer one: 01_line (new 2).ipynb")
    assert [source(path) for path in sorted(own.glob("*.ipynb"))] == ["a = 4", "a = 'mine again'", "a = 'mine'"]


def test_a_file_that_is_no_notebook_any_more_is_the_readers(folders) -> None:
    course, own = folders
    (own / PAGE).write_text("half a file")
    write(course / PAGE, "a = 2")
    assert len(update(course, own)) == 1 and (own / PAGE).read_text() == "half a file"


def test_a_page_that_was_thrown_away_comes_again(folders) -> None:
    course, own = folders
    (own / PAGE).unlink()
    update(course, own)
    assert source(own / PAGE) == "a = 1" and json.loads((own / ".copied.json").read_text()).keys() == {PAGE}


def test_the_copy_is_no_part_of_the_repository() -> None:
    asked = ["git", "check-ignore", "my_pages/00_start_here.ipynb"]
    if not (ROOT / ".git").exists():
        pytest.skip("not a checkout of git")
    assert subprocess.run(asked, cwd=ROOT, capture_output=True).returncode == 0


@pytest.mark.parametrize("page", course(), ids=lambda page: page.stem)
def test_links_lead_from_a_copy_to_where_they_lead_from_the_page(page: Path) -> None:
    """To another page, of which there is a copy too, or out of the folder, beside which the copies lie."""
    text = "".join(cell.source for cell in nbformat.read(page, 4).cells if cell.cell_type == "markdown")
    for link in re.findall(r"\]\((?!https?:|#)([^)#\s]+\.\w+)", text):
        assert (page.parent / link).resolve() in course() or (link.startswith("../") and (ROOT / link[3:]).exists())


@pytest.mark.skipif(shutil.which("make") is None, reason="there is no make on this machine")
@pytest.mark.parametrize("moved", [False, True])
def test_a_folder_with_another_name_is_installed_anew(tmp_path: Path, moved: bool) -> None:
    """The stamp knows the folder: an installed flowlib would be looked for in the old one."""
    for name in ("Makefile", "requirements.lock", "pyproject.toml"):
        shutil.copy2(ROOT / name, tmp_path / name)
    (tmp_path / ".venv").mkdir()
    (tmp_path / ".venv" / "installed").write_text(f"{tmp_path}{'/elsewhere' * moved}\n")
    planned = subprocess.run(["make", "-n", ".venv/installed"], cwd=tmp_path, capture_output=True, text=True).stdout
    assert ("--editable ." in planned) == moved
