"""What an explorer draws after Run All must be what it drew when its cell ran."""

import symtable
from collections.abc import Iterator

import nbformat
import pytest

from tools.notebooks import course

EXPLORERS = ("Explorer(", "explore(", "scrub_")
AT_ONCE = {"lambda", "listcomp", "setcomp", "dictcomp", "genexpr"}  # these mostly run where they stand


def functions(table: symtable.SymbolTable, kept: bool) -> Iterator[symtable.SymbolTable]:
    """The functions of a cell that may run later; a lambda only where an explorer keeps it."""
    for child in table.get_children():
        if child.get_name() not in AT_ONCE or (kept and child.get_name() == "lambda"):
            yield child
        yield from functions(child, kept)


def reused(book: nbformat.NotebookNode) -> Iterator[str]:
    """Names that a function reads from the page and that a later cell gives to something else."""
    read: dict[str, int] = {}
    for number, cell in enumerate(book.cells):
        if cell.cell_type != "code":
            continue
        table = symtable.symtable(cell.source, f"cell {number}", "exec")
        taken = (symbol.get_name() for symbol in table.get_symbols() if symbol.is_assigned() or symbol.is_imported())
        for name in taken:
            if name in read:
                yield f"cell {number} reuses {name}, which a function of cell {read[name]} reads"
        for function in functions(table, kept=any(call in cell.source for call in EXPLORERS)):
            read |= {symbol.get_name(): number for symbol in function.get_symbols() if symbol.is_global()}


@pytest.mark.parametrize("path", course(), ids=lambda path: path.stem)
def test_no_later_cell_reuses_a_name_that_a_function_reads(path):
    assert not list(reused(nbformat.read(path, 4)))
