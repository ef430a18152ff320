"""The files around the code: one list of packages, no machine's traces, notebooks as the course stores them."""

import re
import subprocess
import tomllib
from pathlib import Path

import nbformat
import pytest
from packaging.utils import canonicalize_name

from tools import notebooks
from tools.lock import CUDA, ROOT, UNLOCKED, closure, declared

LOCK = (ROOT / "requirements.lock").read_text().splitlines()
PINS = dict(line.split("==") for line in LOCK if not line.startswith("#"))
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
HOSTS = re.compile(r"\b(pypi|anaconda|npmjs)\.(org|com)\b|pythonhosted\.org|download\.pytorch\.org")
TEXT = {".py", ".md", ".toml", ".yml", ".js", ".json", ".lock", ".cfg", ".ipynb", ""}


def tracked() -> list[Path]:
    """The files of the repository, new ones too."""
    command = ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"]
    listing = subprocess.run(command, cwd=ROOT, capture_output=True, text=True)
    if listing.returncode:
        pytest.skip("this copy of flowlib is not a git checkout")
    return [ROOT / name for name in listing.stdout.split("\0") if name and (ROOT / name).is_file()]


# ---- packages


def test_the_lock_pins_all_that_is_declared():
    for requirement in declared():
        assert PINS[canonicalize_name(requirement.name)] in requirement.specifier, requirement


def test_the_lock_pins_all_that_follows():
    assert closure(declared()) <= PINS.keys()
    assert not [name for name in PINS if name.startswith(CUDA)]


def test_the_lock_installs_torch_first():
    assert next(iter(PINS)) == "torch"


def test_conda_gets_the_same_packages():
    lines = [line.strip() for line in (ROOT / "environment.yml").read_text().splitlines()]
    entries = [line.removeprefix("- ") for line in lines if line.startswith("- ")]
    extras = ",".join(name for name in PROJECT["optional-dependencies"] if name not in UNLOCKED)
    python = f"python{PROJECT['requires-python']}"
    assert "name: flowlib" in lines
    assert entries == ["conda-forge", python, "pip", "pip:", "-r requirements.lock", f"-e .[{extras}]"]


# ---- traces


def test_no_file_names_a_machine_or_a_registry():
    for path in tracked():
        if path.suffix in TEXT:
            text = path.read_text(encoding="utf-8")
            for pattern in (notebooks.MACHINE, HOSTS):
                assert not (found := pattern.search(text)), f"{path.relative_to(ROOT)} names {found.group()}"


def test_no_file_is_large():
    assert not [path for path in tracked() if path.stat().st_size > 10_000_000]


# ---- notebooks


@pytest.mark.parametrize("path", notebooks.course(), ids=lambda path: path.stem)
def test_a_notebook_is_stored_as_it_should_be(path):
    assert not list(notebooks.findings(path))


@pytest.mark.parametrize("path", notebooks.course(), ids=lambda path: path.stem)
def test_a_notebook_is_in_the_map_of_the_readme(path):
    assert f"notebooks/{path.name}" in (ROOT / "README.md").read_text()


BROKEN = {
    "out of order": (lambda cell: cell.update(execution_count=7), "run number 7, expected 1"),
    "too long": (lambda cell: cell.update(source="a = 1\n" * 26), "26 lines of code"),
    "a file beside it": (lambda cell: cell.update(source="Path('data/a.json')"), "looks beside the page"),
    "an error": (
        lambda cell: cell.outputs.append(
            nbformat.v4.new_output("error", ename="ValueError", evalue="", traceback=[]),
        ),
        "stores an error, ValueError",
    ),
    "a warning": (
        lambda cell: cell.outputs.append(nbformat.v4.new_output("stream", name="stderr", text="old")),
        "stores a warning",
    ),
    "a bare widget": (
        lambda cell: cell.outputs.append(
            nbformat.v4.new_output("display_data", {notebooks.WIDGET: {"model_id": "0"}, "text/plain": "Explorer"}),
        ),
        "a widget without a picture",
    ),
    "a path": (
        lambda cell: cell.outputs.append(nbformat.v4.new_output("stream", text="in /" + "home/ada/x.py")),
        "names a path of this machine",
    ),
    "run times": (lambda cell: cell.metadata.update(execution={"t": "0"}), "not in stored form"),
}


@pytest.mark.parametrize("name", BROKEN)
def test_what_is_wrong_in_a_stored_notebook_is_named(name, tmp_path):
    spoil, message = BROKEN[name]
    cell = nbformat.v4.new_code_cell("1", id="first", execution_count=1)
    book = nbformat.v4.new_notebook(cells=[cell])
    path = tmp_path / "book.ipynb"
    path.write_text(notebooks.in_stored_form(book))
    assert not list(notebooks.findings(path))
    spoil(book.cells[0])
    path.write_text(nbformat.writes(book) + "\n")
    assert message in " ".join(notebooks.findings(path))


def test_model_ids_do_not_depend_on_the_run():
    def stored(model_id: str) -> str:
        view = nbformat.v4.new_output("display_data", {notebooks.WIDGET: {"model_id": model_id}})
        cell = nbformat.v4.new_code_cell("explorer", id="first", outputs=[view])
        return notebooks.in_stored_form(nbformat.v4.new_notebook(cells=[cell]))

    assert stored("1" * 32) == stored("2" * 32)
