"""The staircase: who may import whom, one door for each name, and what an import loads."""

import json
import subprocess
import sys

import nbformat
import pytest

from tools import notebooks
from tools.house import MOST_DEPTH, MOST_LINES, MOST_ROOMS, ROOT, House, code_lines, room_of

HOUSE = House(ROOT / "flowlib")
PICTURES = {"matplotlib", "ipywidgets", "anywidget", "PIL", "traitlets"}


def test_no_file_imports_a_higher_floor() -> None:
    assert not HOUSE.upward()


def test_there_are_no_circles() -> None:
    assert not HOUSE.circles()


def test_the_top_shows_the_story_at_a_glance() -> None:
    assert len(HOUSE.rooms()) <= MOST_ROOMS
    assert len(HOUSE.deepest()) <= MOST_DEPTH, " → ".join(HOUSE.deepest())
    assert HOUSE.story() <= MOST_LINES


def outside(name: str) -> set[str]:
    """The packages that a file of flowlib imports."""
    return {module.split(".")[0] for module in HOUSE.packages(name)}


@pytest.mark.parametrize("name", [name for name in HOUSE.files if room_of(name) != "viz"])
def test_pictures_and_widgets_stay_in_viz(name: str) -> None:
    read = {"PIL"} if name == "datasets.own" else set()  # pictures that are data
    assert not outside(name) & PICTURES - read


@pytest.mark.parametrize("name", [name for name in HOUSE.files if name.startswith("viz.engine")])
def test_the_engine_knows_no_flow(name: str) -> None:
    assert all(other.startswith(("viz.engine", "support")) for other in HOUSE.imports[name])


@pytest.mark.parametrize("name", [name for name in HOUSE.files if room_of(name) == "support"])
def test_support_knows_torch_alone(name: str) -> None:
    assert outside(name) <= {"torch", "flowlib", *sys.stdlib_module_names}


def test_each_name_has_one_door() -> None:
    doors: dict[str, list[str]] = {}
    for room in HOUSE.rooms():
        for name in HOUSE.offered(room):
            doors.setdefault(name, []).append(room)
    assert not {name: rooms for name, rooms in doors.items() if len(rooms) > 1}


def loaded(statement: str) -> set[str]:
    """The modules that are there after a statement in a fresh Python."""
    code = f"import json, sys\n{statement}\nprint(json.dumps(sorted(sys.modules)))"
    run = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True)
    return set(json.loads(run.stdout))


def test_the_sign_on_the_door_imports_nothing() -> None:
    assert not {"torch", "flowlib.core"} & loaded("import flowlib")


def test_the_theory_loads_torch_and_what_it_needs() -> None:
    modules = loaded("import flowlib.core")
    assert not {"safetensors", "pooch", "matplotlib"} & modules
    own = {name for name in modules if name.startswith("flowlib.")}
    assert own <= {"flowlib.core", "flowlib.support", "flowlib.support.checks", "flowlib.support.chunks"} | {
        "flowlib.support.roots",
        "flowlib.support.tables",
    }


def test_a_name_that_is_not_there() -> None:
    import flowlib

    with pytest.raises(AttributeError, match="module 'flowlib' has no attribute 'Compos'"):
        flowlib.Compos  # noqa: B018
    assert set(flowlib.__all__) <= set(dir(flowlib))


@pytest.mark.parametrize("path", notebooks.course(), ids=lambda path: path.stem)
def test_pages_import_from_rooms(path) -> None:
    cells = [cell.source for cell in nbformat.read(path, as_version=4).cells if cell.cell_type == "code"]
    for line in "\n".join(cells).splitlines():
        words = line.split()
        if words[:1] in (["from"], ["import"]) and words[1].split(".")[0] == "flowlib":
            assert words[1].count(".") <= 1 and words[1].partition(".")[2] in {"", *HOUSE.rooms(), "__main__"}, line


def test_lines_of_code_are_counted_without_words(tmp_path) -> None:
    path = tmp_path / "a.py"
    text = [
        '"""Words.',
        "",
        'More."""',
        "# a comment",
        "x = (1 +",
        "     2)  # one more",
        "",
        "def f():",
        "    return x",
    ]
    path.write_text("\n".join([*text[:8], '    """Words."""', text[8], ""]))
    assert code_lines(path) == 4
