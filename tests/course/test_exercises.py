"""Exercises: each right answer passes, each classic mistake is named, each folded solution on a page is right."""

import json
import re
from pathlib import Path

import pytest
import torch

from flowlib.course.exercises import EXERCISES, check
from flowlib.course.exercises.exercise import Exercise

NOTEBOOKS = sorted((Path(__file__).parents[2] / "notebooks").glob("*.ipynb"))
PREAMBLE = """
import math, torch
from flowlib import *
from flowlib.bases import *
from flowlib.transforms import *
"""
CHECK = re.compile(r'check\(\s*"(?P<name>[\w]+)",\s*(?P<function>\w+)\s*\)')
FOLDED = re.compile(r"<details>\s*<summary>(?P<title>.*?)</summary>(?P<body>.*?)</details>", re.DOTALL)
CODE = re.compile(r"```python\n(.*?)```", re.DOTALL)
MISTAKES = [(name, i) for name, exercise in EXERCISES.items() for i in range(len(exercise.mistakes))]


@pytest.mark.parametrize("name", EXERCISES)
def test_the_answer_passes(name: str) -> None:
    assert check(name, EXERCISES[name].answer).passed is True


@pytest.mark.parametrize(("name", "index"), MISTAKES)
def test_each_classic_mistake_is_named(name: str, index: int) -> None:
    message, mistake = EXERCISES[name].mistakes[index]
    verdict = check(name, mistake)
    assert verdict.passed is False and verdict.message == message


@pytest.mark.parametrize("name", EXERCISES)
def test_every_exercise_knows_two_mistakes(name: str) -> None:
    assert len(EXERCISES[name].mistakes) >= 2


@pytest.mark.parametrize("name", EXERCISES)
def test_a_stub_is_told_to_fill_itself_in(name: str) -> None:
    for stub in (lambda *_: None, lambda *_: ...):
        verdict = check(name, stub)
        assert verdict.passed is None and "Not filled in yet" in verdict.message


def page(path: Path) -> tuple[list[dict], list[tuple[str, str]]]:
    """The cells of a notebook, and (exercise, function) for each of its checks."""
    cells = json.loads(path.read_text())["cells"]
    code = "\n".join("".join(cell["source"]) for cell in cells if cell["cell_type"] == "code")
    return cells, [(match["name"], match["function"]) for match in CHECK.finditer(code)]


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_folded_solutions_are_right(path: Path) -> None:
    cells, checks = page(path)
    folded = [m for cell in cells if cell["cell_type"] == "markdown" for m in FOLDED.finditer("".join(cell["source"]))]
    solutions = "\n".join(code for m in folded if "olution" in m["title"] for code in CODE.findall(m["body"]))
    assert len(checks) >= 3, "a page has at least three exercises"
    assert sum("int" in m["title"] for m in folded) >= len(checks), "each exercise has a folded hint"
    for name, function in checks:
        assert f"def {function}(" in solutions, f"no folded solution defines {function}"
        namespace: dict = {}
        exec(PREAMBLE + solutions, namespace)
        verdict = check(name, namespace[function])
        assert verdict.passed is True, f"{name}: {verdict.message}"


def test_every_exercise_stands_on_the_page_of_its_number() -> None:
    on_pages = {(path.stem[:2], name) for path in NOTEBOOKS for name, _ in page(path)[1]}
    assert on_pages == {(name[:2], name) for name in EXERCISES}


SQUARES = Exercise(
    name="squares",
    answer=lambda x: x.square().sum(-1),
    inputs=[(torch.tensor([[1.0, 2.0], [3.0, 4.0]]),)],
)
SQUARES.mistake("You summed over the batch.", lambda x: x.square().sum())


@SQUARES.mistake("You did not square.")
def plain_sum(x: torch.Tensor) -> torch.Tensor:
    return x.sum(-1)


SQUARES.mistake("Only the first mistake that agrees is named.", plain_sum)


@pytest.mark.parametrize(
    ("attempt", "passed", "words"),
    [
        (lambda x: (x * x).sum(-1), True, "Right, on all 1 inputs"),
        (lambda x: (x * x).sum(), False, "You summed over the batch."),
        (plain_sum, False, "You did not square."),
        (lambda x: x, False, "returned shape (2, 2); expected shape (2,)"),
        (lambda x: x.square().sum(-1) + 1, False, "Not yet. For [[1.0, 2.0], [3.0, 4.0]] it gives [6.0, 26.0]"),
        (lambda x: "five", False, "returned a str; expected shape (2,)"),
        (lambda x: (x.square().sum(-1), 0.0), False, "returned 2 values; expected 1"),
        (lambda x: x.no_such_thing(), False, "raised AttributeError"),
        (lambda: 0.0, False, "raised TypeError"),
        (3.0, False, "check needs the function itself"),
        (lambda x: x.square_().sum(-1), True, "Right"),
        (lambda x: torch.full((2,), torch.nan), False, "Not yet"),
    ],
)
def test_verdicts(attempt, passed: bool, words: str) -> None:
    verdict = SQUARES.check(attempt)
    assert verdict.passed is passed and words in verdict.message
    assert verdict.message in repr(verdict) and "<div" in verdict._repr_html_()


def test_an_unknown_exercise_lists_the_known_ones() -> None:
    with pytest.raises(ValueError, match="no exercise is called 'planar'; there are: "):
        check("planar", len)
