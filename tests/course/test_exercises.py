"""Exercises: each right answer passes, each classic mistake is named, each folded solution on a page is right."""

import json
import math
import re
import sys
from pathlib import Path

import pytest
import torch

from flowlib.course.exercises import EXERCISES, check
from flowlib.course.exercises.exercise import Exercise

PAGES = sorted((Path(__file__).parents[2] / "notebooks").glob("*.ipynb"))
NOTEBOOKS = [path for path in PAGES if path.name[:2] < "13"]  # 13 and 14 are to look things up
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
        (lambda x: x.square().sum(-1) + x[:, 0], False, "Not yet. For [[1.0, 2.0], [3.0, 4.0]] it gives [6.0, 28.0]"),
        (lambda x: "five", False, "returned a str; expected shape (2,)"),
        (lambda x: (x.square().sum(-1), 0.0), False, "returned 2 values; expected 1"),
        (lambda x: x.no_such_thing(), False, "raised AttributeError"),
        (lambda: 0.0, False, "raised TypeError"),
        (3.0, False, "check needs the function itself"),
        (lambda x: x.square_().sum(-1), True, "Right"),
        (lambda x: torch.full((2,), torch.nan), False, "2 of 2 numbers are nan"),
        (lambda x: x.square().sum(-1) / torch.tensor([1.0, 0.0]), False, "1 of 2 numbers are infinite"),
        (lambda x: -x.square().sum(-1), False, "Only the sign is wrong"),
        (lambda x: x.square().sum(-1).log(), False, "That is the logarithm of the right answer"),
        (lambda x: x.square().sum(-1).div(5).exp(), False, "Not yet"),
        (lambda x: x.square().sum(-1) + math.log(2), False, "off by the same number everywhere, log 2"),
        (lambda x: 3 * x.square().sum(-1), False, "It is 3 times the right answer"),
        (lambda x: x.square().sum(-1).mean(), False, "You averaged over everything: 2 numbers are asked for"),
        (lambda x: x.square(), False, "not yet summed over the last dimension"),
        (lambda x: [float(v) for v in x.square().sum(-1)], True, "Right"),
        (lambda x: list(x.square().sum(-1)), True, "Right"),
        (lambda x: tuple(x.square().sum(-1)), True, "Right"),
        (lambda x: x.square().sum(-1).to(torch.complex64), False, "returned a Tensor; expected shape (2,)"),
        (lambda x: sys.exit(1), False, "raised SystemExit"),
        (lambda x: print(x) or x.square().sum(-1), True, "Right"),
    ],
)
def test_verdicts(attempt, passed: bool, words: str) -> None:
    verdict = SQUARES.check(attempt)
    assert verdict.passed is passed and words in verdict.message
    assert verdict.message in repr(verdict) and "<div" in verdict._repr_html_()


def test_an_unknown_exercise_lists_the_known_ones() -> None:
    with pytest.raises(ValueError, match="no exercise is called 'planar'; there are: "):
        check("planar", len)


def forgetful(x: torch.Tensor) -> None:
    x.square().sum(-1)


def test_a_forgotten_return_is_no_stub() -> None:
    verdict = SQUARES.check(forgetful)
    assert verdict.passed is False and "Is there a `return`" in verdict.message


def test_an_attempt_is_called_once_for_each_input_and_prints_once(capsys) -> None:
    calls = []
    both = Exercise("both", lambda x: 2 * x, inputs=[(torch.arange(3.0),), (torch.arange(5.0),)])
    both.mistake("Squared.", lambda x: x.square())

    def attempt(x: torch.Tensor) -> torch.Tensor:
        calls.append(x)
        print("called with", len(x))
        return 3 * x

    assert both.check(attempt).passed is False
    assert len(calls) == 2 and capsys.readouterr().out == "called with 3\n"


def test_an_attempt_that_raises_on_a_later_input_does_not_hide_its_mistake() -> None:
    def logarithm(x: torch.Tensor) -> torch.Tensor:
        return torch.tensor([math.log(value) for value in x.tolist()])

    roots = Exercise(
        "roots", lambda x: x.abs().log(), inputs=[(torch.tensor([1.0, 2.0]),), (torch.tensor([-1.0, 2.0]),)]
    )
    roots.mistake("The absolute value is missing.", logarithm)
    assert roots.check(logarithm).message == "The absolute value is missing."
    assert "raised ValueError: math domain error" in roots.check(lambda x: logarithm(x) + 0.5).message


def test_a_loop_without_end_is_ended(monkeypatch) -> None:
    monkeypatch.setattr("flowlib.course.exercises.attempt.LIMIT", 0.2)

    def endless(x: torch.Tensor) -> torch.Tensor:
        while True:
            pass

    assert "did not end within 0.2 seconds" in SQUARES.check(endless).message


def test_two_numbers_may_come_as_a_list_or_a_stack() -> None:
    pair = Exercise("pair", lambda x: (x.mean(), x.std()), inputs=[(torch.arange(4.0),), (torch.arange(7.0),)])
    for attempt in (
        lambda x: [x.mean(), x.std()],
        lambda x: torch.stack([x.mean(), x.std()]),
        lambda x: (x.mean()[None], x.std()),
    ):
        assert pair.check(attempt).passed is True
    assert pair.check(lambda x: x.mean()).message == "Your function returned 1 values; expected 2."


def test_a_layer_is_shown_with_its_numbers() -> None:
    verdict = check("00_sample_log_prob", lambda transform, base, z: base.log_prob(z).square())
    assert "Planar(u=[1.0, 0.5], w=[1.0, 1.0], b=0.5), StandardNormal(dim=2)" in verdict.message
