"""Do the checks of the exercises separate? Each size in a solution is replaced by what it is on one input.

    python -m tools.mutants [EXERCISE ...]

A mutant is a folded solution of a page in which one expression that is a number on the inputs of its check, such as
`len(x)`, `x.shape[-1]` or an argument, has become the number that it is on one of them. A check whose inputs all have
the same size would call it right. Printed: how many mutants there are, how many are refused, and those that are not.
"""

import ast
import copy
import re
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import nbformat

from flowlib.course.exercises import EXERCISES
from flowlib.course.exercises.attempt import copies

NOTEBOOKS = Path(__file__).resolve().parent.parent / "notebooks"
CHECK = re.compile(r'check\(\s*"(?P<name>\w+)",\s*(?P<function>\w+)\s*\)')
FOLDED = re.compile(r"<details>\s*<summary>Solution</summary>(.*?)</details>", re.DOTALL)
CODE = re.compile(r"```python\n(.*?)```", re.DOTALL)
PREAMBLE = """
import math, torch
from flowlib import *
from flowlib.bases import *
from flowlib.transforms import *
"""
RECORD = "_record"


@dataclass(frozen=True)
class Mutant:
    """A solution with one expression frozen."""

    exercise: str
    expression: str
    value: float
    code: str
    function: str

    def passes(self) -> bool:
        """Whether the check calls it right."""
        return EXERCISES[self.exercise].check(run(self.code)[self.function]).passed is True

    def __str__(self) -> str:
        return f"{self.exercise}: {self.expression} = {self.value:g} is called right"


def run(code: str, **names: object) -> dict:
    namespace: dict = dict(names)
    exec(PREAMBLE + code, namespace)
    return namespace


def solutions() -> Iterator[tuple[str, str, str]]:
    """(exercise, the name of its function, the code that defines it), from the pages."""
    for path in sorted(NOTEBOOKS.glob("[0-9][0-9]*_*.ipynb")):
        cells = nbformat.read(path, as_version=4).cells
        code = "\n".join(cell.source for cell in cells if cell.cell_type == "code")
        texts = [found for cell in cells if cell.cell_type == "markdown" for found in FOLDED.findall(cell.source)]
        folded = "\n".join(block for text in texts for block in CODE.findall(text))
        for match in CHECK.finditer(code):
            yield match["name"], match["function"], folded


class Recorder(ast.NodeTransformer):
    """Every expression of a function is wrapped, so that its value is seen: _record(number, expression)."""

    def __init__(self) -> None:
        self.seen: list[ast.expr] = []

    def visit(self, node: ast.AST) -> ast.AST:
        original = copy.deepcopy(node)
        node = super().generic_visit(node) if not isinstance(node, ast.Call) else self.call(node)
        loads = isinstance(getattr(node, "ctx", ast.Load()), ast.Load)
        if not isinstance(node, ast.Name | ast.Subscript | ast.Call | ast.Attribute) or not loads:
            return node
        self.seen.append(original)
        wrapped = ast.Call(ast.Name(RECORD, ast.Load()), [ast.Constant(len(self.seen) - 1), node], [])
        return ast.copy_location(wrapped, node)

    def call(self, node: ast.Call) -> ast.Call:
        node.args = [self.visit(each) for each in node.args]
        for keyword in node.keywords:
            keyword.value = self.visit(keyword.value)
        if isinstance(node.func, ast.Attribute):
            node.func.value = self.visit(node.func.value)
        return node


def body_of(tree: ast.Module, function: str) -> ast.FunctionDef:
    """The last definition of that name: a solution that comes in several versions ends with the best."""
    return [node for node in tree.body if isinstance(node, ast.FunctionDef) and node.name == function][-1]


def numbers_of(exercise: str, function: str, code: str) -> dict[str, set[float]]:
    """Each expression of a solution that is one number on each input -> those numbers."""
    tree = ast.parse(code)
    definition, recorder = body_of(tree, function), Recorder()
    definition.body = [recorder.visit(statement) for statement in definition.body]
    found: dict[str, list[set[float]]] = {}

    def record(number: int, value: object) -> object:
        if isinstance(value, int | float) and not isinstance(value, bool):
            found.setdefault(ast.unparse(recorder.seen[number]), [set()])[-1].add(value)
        return value

    attempt = run(ast.unparse(ast.fix_missing_locations(tree)), **{RECORD: record})[function]
    for arguments in EXERCISES[exercise].inputs:
        for values in found.values():
            values.append(set())
        attempt(*copies(arguments))
    each = {expression: [values for values in all_values if values] for expression, all_values in found.items()}
    return {
        expression: set.union(*values)
        for expression, values in each.items()
        if all(len(one) == 1 for one in values) and not constant(expression)
    }


def constant(expression: str) -> bool:
    """Whether it holds nothing that the inputs decide, such as math.log(2)."""
    return {node.id for node in ast.walk(ast.parse(expression)) if isinstance(node, ast.Name)} <= {"math", "torch"}


class Freeze(ast.NodeTransformer):
    """One expression becomes a number, wherever it is read."""

    def __init__(self, expression: str, value: float):
        self.expression, self.value = expression, value

    def visit(self, node: ast.AST) -> ast.AST:
        loads = isinstance(getattr(node, "ctx", ast.Load()), ast.Load)
        if isinstance(node, ast.expr) and loads and ast.unparse(node) == self.expression:
            return ast.copy_location(ast.Constant(self.value), node)
        return super().generic_visit(node)


def mutants(names: list[str]) -> Iterator[Mutant]:
    for exercise, function, code in solutions():
        if names and exercise not in names:
            continue
        for expression, values in numbers_of(exercise, function, code).items():
            for value in sorted(values):
                tree = ast.parse(code)
                definition = body_of(tree, function)
                definition.body = [Freeze(expression, value).visit(statement) for statement in definition.body]
                yield Mutant(exercise, expression, value, ast.unparse(ast.fix_missing_locations(tree)), function)


def main() -> None:
    made = list(mutants(sys.argv[1:]))
    alive = [mutant for mutant in made if mutant.passes()]
    print(f"{len(made)} mutants of {len({mutant.exercise for mutant in made})} solutions, {len(alive)} called right")
    for mutant in alive:
        print(f"  {mutant}")
    sys.exit(bool(alive))


if __name__ == "__main__":
    main()
