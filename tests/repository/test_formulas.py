"""The index of the course: nothing is missing, each link leads somewhere, each proof holds and could have failed."""

import ast
import importlib
import inspect
import math
import textwrap
from collections.abc import Iterator
from dataclasses import replace

import nbformat
import pytest
import torch

from flowlib import Transform, transforms
from flowlib.course import stored
from flowlib.course.exercises import EXERCISES
from flowlib.course.formulas import ROWS, SOURCES, glance, line_by_line, proving
from flowlib.course.formulas.row import Row, Rows
from flowlib.nets import MADE
from tools import formulas
from tools.notebooks import ROOT, course

EACH = [pytest.param(row, id=f"{row.page.split('_')[0]}-{row.proof.__name__}") for row in ROWS]
PLACES = {f"{key} {place.number}" for key, source in SOURCES.items() for place in source.places}


def headings(page: str) -> set[str]:
    """The headings of a page, as they stand there."""
    cells = nbformat.read(ROOT / "notebooks" / f"{page}.ipynb", 4).cells
    lines = [line for cell in cells if cell.cell_type == "markdown" for line in cell.source.splitlines()]
    return {line.lstrip("#").strip() for line in lines if line.startswith("#")}


# ---- rows


@pytest.mark.parametrize("page", sorted({row.page for row in ROWS}))
def test_each_link_leads_to_a_heading(page: str) -> None:
    missing = {row.section for row in ROWS if row.page == page} - headings(page)
    assert not missing


@pytest.mark.parametrize("code", sorted({row.code for row in ROWS} - {""}))
def test_each_function_imports(code: str) -> None:
    room, *names = code.split(".")
    if room[0].isupper() or not names:  # at the door: Flow.log_prob, prove
        room, names = "", [room, *names]
    found = importlib.import_module(f"flowlib.{room}".rstrip("."))
    for name in names:
        try:
            found = getattr(found, name)
        except AttributeError:
            found = importlib.import_module(f"{found.__name__}.{name}")
    assert callable(found)


def test_each_exercise_exists_and_is_of_the_course() -> None:
    assert {row.exercise for row in ROWS} - {""} <= EXERCISES.keys()


def test_each_page_that_teaches_has_rows() -> None:
    pages = {path.stem for path in course() if path.stem[:2] < "13"}
    assert pages == {row.page for row in ROWS}


def test_names_are_of_one_row_each() -> None:
    names = [(row.page, row.name) for row in ROWS]
    assert len(set(names)) == len(names)


def test_no_bar_ends_a_cell_in_the_middle_of_a_formula() -> None:
    assert not [row.name for row in ROWS if "|" in row.latex]
    assert not [place for source in SOURCES.values() for place in source.places if "|" in place.said + place.but]


@pytest.mark.parametrize("row", [row for row in ROWS if row.kind == "claim"], ids=lambda row: row.name)
def test_a_claim_has_a_source_a_verdict_and_a_figure(row: Row) -> None:
    assert row.at and row.verdict and row.measured


# ---- sources


def test_each_place_of_each_source_has_a_row() -> None:
    assert {place for row in ROWS for place in row.at} == PLACES


def test_all_numbered_formulas_of_the_lecture_are_there() -> None:
    assert {f"lecture 17.{number}" for number in range(1, 18)} <= PLACES


@pytest.mark.parametrize("key", SOURCES)
def test_places_are_counted_without_a_gap(key: str) -> None:
    numbers = [place.number for place in SOURCES[key].places]
    assert len(set(numbers)) == len(numbers)
    if key != "lecture":
        assert numbers == [str(number) for number in range(1, len(numbers) + 1)]


# ---- proofs


@pytest.mark.parametrize("row", EACH)
def test_a_proof_holds_with_a_factor_of_ten_in_hand(row: Row) -> None:
    assert row.compared, "say in the docstring what is compared"
    assert row.error <= row.bound / 10


def test_a_proof_leaves_precision_and_random_state() -> None:
    state, row = torch.get_rng_state(), ROWS[0]
    row.__dict__.pop("error", None)
    assert row.error < row.bound
    assert torch.equal(torch.get_rng_state(), state) and torch.get_default_dtype() is torch.float32


SWAPS = {ast.Add: ast.Sub, ast.Sub: ast.Add, ast.Mult: ast.Div, ast.Div: ast.Mult, ast.Eq: ast.NotEq, ast.NotEq: ast.Eq}
NAMES = {"prod": "sum", "log": "exp", "exp": "log", "mean": "sum", "inverse": "forward"}


class Change(ast.NodeTransformer):
    """Changes the n-th sign, factor, comparison, name or number of a proof; `count` is how many there are."""

    def __init__(self, chosen: int):
        self.chosen, self.count = chosen, 0

    def now(self) -> bool:
        self.count += 1
        return self.count - 1 == self.chosen

    def visit_BinOp(self, node: ast.BinOp) -> ast.AST:
        self.generic_visit(node)
        if type(node.op) in SWAPS and self.now():
            node.op = SWAPS[type(node.op)]()
        return node

    def visit_Compare(self, node: ast.Compare) -> ast.AST:
        self.generic_visit(node)
        if type(node.ops[0]) in SWAPS and self.now():
            node.ops = [SWAPS[type(node.ops[0])]()]
        return node

    def visit_UnaryOp(self, node: ast.UnaryOp) -> ast.AST:
        self.generic_visit(node)
        return node.operand if isinstance(node.op, ast.USub) and self.now() else node

    def visit_Attribute(self, node: ast.Attribute) -> ast.AST:
        self.generic_visit(node)
        if node.attr == "T" and self.now():
            return node.value
        if node.attr in NAMES and self.now():
            node.attr = NAMES[node.attr]
        return node

    def visit_Constant(self, node: ast.Constant) -> ast.AST:
        if isinstance(node.value, float) and node.value and self.now():
            return ast.Constant(node.value * 1.5)
        if type(node.value) is int and node.value > 10 and self.now():
            return ast.Constant(node.value // 10)
        return node


class Sign(Change):
    """Changes signs alone."""

    def visit_BinOp(self, node: ast.BinOp) -> ast.AST:
        return super().visit_BinOp(node) if isinstance(node.op, ast.Add | ast.Sub) else self.generic_visit(node)

    visit_Compare = visit_Attribute = ast.NodeTransformer.generic_visit

    def visit_Constant(self, node: ast.Constant) -> ast.AST:
        return node


def changed(row: Row, change: type[Change] = Change) -> Iterator[Row]:
    """The same row with one thing in its proof changed, for each thing there is."""
    source = textwrap.dedent(inspect.getsource(row.proof))
    total = change(-1)
    total.visit(undecorated(source))
    for chosen in range(total.count):
        tree, names = change(chosen).visit(undecorated(source)), dict(row.proof.__globals__)
        exec(compile(ast.fix_missing_locations(tree), "changed", "exec"), names)
        yield replace(row, proof=names[row.proof.__name__])


def undecorated(source: str) -> ast.Module:
    tree = ast.parse(source)
    tree.body[0].decorator_list = []
    return tree


def fails(row: Row) -> bool:
    """Whether a changed proof is found out by its number; that it stops is not enough."""
    try:
        return not row.error <= row.bound
    except Exception:
        return False


def wrong_library(patch: pytest.MonkeyPatch, row: Row) -> None:
    """What could be wrong around a proof, all at once: maps, networks, autograd and stored figures that are off."""

    def off(call):
        def wrong(self, z, *rest):
            x, log_det = call(self, z, *rest)
            return x + 0.01 * (z.roll(1, -1) if z.shape == x.shape else x), log_det + 0.01

        return wrong

    for name in transforms.__all__:
        family = getattr(transforms, name)
        if inspect.isclass(family) and issubclass(family, Transform) and "inverse" in vars(family):
            patch.setattr(family, "inverse", off(family.inverse))
            patch.setattr(family, "forward", off(family.forward))
    peeking = MADE.forward
    patch.setattr(MADE, "forward", lambda self, x, *rest: peeking(self, x, *rest) + x.sum(-1)[..., None, None])
    autograd = proving.autograd_log_det
    patch.setattr(proving, "autograd_log_det", lambda call, points: 0.1 - autograd(call, points))
    names = row.proof.__globals__
    if "stored" in names:
        patch.setitem(names, "stored", lambda name: upside_down(stored(name)))
    if "bell" in names:
        patch.setitem(names, "bell", lambda z: 1.01 * proving.bell(z))


def upside_down(figures):
    """One over each number."""
    if isinstance(figures, dict):
        return {key: upside_down(value) for key, value in figures.items()}
    if isinstance(figures, list):
        return [upside_down(value) for value in figures]
    return 1.0 / figures if isinstance(figures, float) and figures else figures


@pytest.mark.parametrize("row", EACH)
def test_a_proof_can_fail(row: Row, monkeypatch: pytest.MonkeyPatch) -> None:
    if not any(map(fails, changed(row))):
        wrong_library(monkeypatch, row)
        assert fails(replace(row))


SIGNED = ["planar_determinant", "affine_inverse", "loss", "both_are_summed", "remedies", "evidence"]


@pytest.mark.parametrize("name", SIGNED)
def test_a_wrong_sign_is_found(name: str) -> None:
    """The signs of these proofs, one after the other: each is found."""
    (row,) = (row for row in ROWS if row.proof.__name__ == name)
    signs = list(changed(row, Sign))
    assert signs and all(map(fails, signs))


# ---- the page


def test_the_page_is_what_the_source_writes() -> None:
    book = nbformat.read(formulas.PAGE, 4)
    assert [(cell.id, cell.cell_type, cell.source) for cell in book.cells] == [
        (cell.id, cell.cell_type, cell.source) for cell in formulas.cells()
    ]


def test_written_again_the_page_keeps_its_outputs(tmp_path) -> None:
    book = formulas.written()
    assert all(cell.outputs for cell in book.cells if cell.cell_type == "code" and "import" not in cell.source)


def test_each_row_is_on_the_page() -> None:
    shown = formulas.PAGE.read_text(encoding="utf-8")
    assert not [row.name for row in ROWS if row.link.split("#")[0] not in shown]


def test_tables() -> None:
    text = glance(word="hutchinson").text
    assert "[09 §4](09_residual_flows.ipynb#4.-Probes-and-roulette)" in text and "✓ < 1e-10" in text
    assert glance(word="no such row").text == "Nothing fits." and repr(glance(chapter="99")).startswith("nothing")
    assert line_by_line("lecture").text.count("\n") == len(SOURCES["lecture"].places) + 1
    with pytest.raises(ValueError, match="source must be one of"):
        glance(source="lectures")


def test_a_proof_that_does_not_hold_says_so() -> None:
    rows = Rows("01_one_dimension")

    @rows.formula("wrong", "1 = 2", section="3. Bend")
    def wrong() -> float:
        """one and two"""
        return 1.0

    assert not rows[0].holds and rows[0].proved == "✗ 1e+00" and math.isfinite(rows[0].error)
