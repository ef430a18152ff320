"""Runs the notebooks again, from top to bottom, and stores them in one form, so that a diff shows what changed.

    .venv/bin/python -m tools.notebooks [--fresh] [NOTEBOOK ...]     run and store (make notebooks: all of them)
    .venv/bin/python -m tools.notebooks --check [NOTEBOOK ...]       run nothing, say what is not in stored form

The stored form: outputs of one run in order, no widget state, no execution times, the same few lines of metadata on
every machine. What a cell tagged `nbval-ignore-output` prints (times, versions) differs from run to run: it is kept as
it was unless its source changed, or --fresh asks for the new one. An explorer's output keeps its widget view beside its
picture, but a model id is random and lives only as long as its kernel: it is replaced by one made from the cell's id.
Nothing reads that: nbval skips widget views, and where there is no such model the picture is shown.
"""

import argparse
import hashlib
import re
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import nbformat
from nbclient import NotebookClient
from nbclient.exceptions import CellExecutionError
from nbformat import NotebookNode

ROOT = Path(__file__).resolve().parent.parent
WIDGET = "application/vnd.jupyter.widget-view+json"
METADATA = {
    "kernelspec": {"display_name": "Python 3 (ipykernel)", "language": "python", "name": "python3"},
    "language_info": {"name": "python"},
}
KEPT = {"tags", "jupyter"}  # of a cell's metadata: nbval's tags, and whether it is folded
MAX_BYTES, MAX_LINES, MAX_SECONDS, TIMEOUT = 2_000_000, 25, 25, 120
VARYING = "nbval-ignore-output"
BESIDE = re.compile(r"""\b(?:Path|open)\(["'][\w.]""")
MACHINE = re.compile(r"(?<![\w./])/(?:home|root|tmp|opt|work|Users|mnt)/[\w.-]+|\b[A-Z]:\\Users\\")


def course() -> list[Path]:
    return sorted((ROOT / "notebooks").glob("[0-9][0-9]*_*.ipynb"))


def tags(cell: NotebookNode) -> list[str]:
    return cell.metadata.get("tags", [])


def in_stored_form(book: NotebookNode) -> str:
    """The text of the notebook as it is stored; the book itself is changed to it."""
    book.metadata = nbformat.from_dict(METADATA)
    book.nbformat, book.nbformat_minor = 4, 5
    for cell in book.cells:
        cell.metadata = NotebookNode({key: cell.metadata[key] for key in sorted(KEPT & cell.metadata.keys())})
        for number, output in enumerate(cell.get("outputs", [])):
            if view := output.get("data", {}).get(WIDGET):
                view["model_id"] = hashlib.sha256(f"{cell.id}/{number}".encode()).hexdigest()[:32]
    return nbformat.writes(book) + "\n"


def findings(path: Path) -> Iterator[str]:
    """What keeps this file from being a notebook as the course stores them; runs nothing."""
    text = path.read_text(encoding="utf-8")
    if len(text.encode()) > MAX_BYTES:
        yield f"{len(text.encode()) / 1e6:.1f} MB; at most {MAX_BYTES / 1e6:.0f} MB (smaller or fewer pictures)"
    book = nbformat.reads(text, as_version=4)
    ids = [cell.id for cell in book.cells]
    if len(set(ids)) < len(ids):
        yield "two cells have the same id"
    if in_stored_form(book) != text:
        yield "not in stored form (make notebooks)"
    code = [cell for cell in book.cells if cell.cell_type == "code" and cell.source.strip()]
    for expected, cell in enumerate(code, start=1):
        for finding in cell_findings(cell, expected):
            yield f"cell {cell.id}: {finding}"


def cell_findings(cell: NotebookNode, expected: int) -> Iterator[str]:
    if cell.execution_count != expected:
        yield f"stored as run number {cell.execution_count}, expected {expected} (make notebooks)"
    if (lines := len(cell.source.splitlines())) > MAX_LINES:
        yield f"{lines} lines of code; at most {MAX_LINES} (move the rest into flowlib)"
    if found := BESIDE.search(cell.source):
        yield f"{found.group()}… looks beside the page, but readers run a copy elsewhere (flowlib.course.stored)"
    for output in cell.outputs:
        data = output.get("data", {})
        if output.output_type == "error" and "raises-exception" not in tags(cell):
            yield f"stores an error, {output.ename}"
        if output.get("name") == "stderr":
            yield f"stores a warning: {output.text[:80]!r}"
        if WIDGET in data and "image/png" not in data:
            yield "a widget without a picture for readers who have no kernel"
        shown = " ".join([output.get("text", ""), data.get("text/plain", ""), data.get("text/html", "")])
        if found := MACHINE.search(shown):
            yield f"its output names a path of this machine, {found.group()}"


def run(path: Path, fresh: bool) -> None:
    """Runs every cell in a new kernel and stores the notebook; a cell that fails ends the program."""
    start, before = time.perf_counter(), path.read_text(encoding="utf-8")
    old = {cell.id: cell for cell in nbformat.reads(before, as_version=4).cells}
    book = nbformat.reads(before, as_version=4)
    client = NotebookClient(
        book,
        timeout=TIMEOUT,
        kernel_name="python3",
        coalesce_streams=True,
        resources={"metadata": {"path": str(path.parent)}},
    )
    try:
        client.execute()
    except CellExecutionError as error:
        raise SystemExit(f"{path.name}: {error}") from error
    seconds = time.perf_counter() - start
    for cell in book.cells:
        last = old[cell.id]
        if VARYING in tags(cell) and last.outputs and last.source == cell.source and not fresh:
            cell.outputs = last.outputs
            for output in cell.outputs:
                if output.output_type == "execute_result":
                    output.execution_count = cell.execution_count
    after = in_stored_form(book)
    if after != before:
        path.write_text(after, encoding="utf-8")
    news = "changed" if after != before else "as it was"
    if seconds > MAX_SECONDS:
        news += f"; SLOW: over {MAX_SECONDS} s, kernel start included"
    print(f"{path.stem:32s} {seconds:5.1f} s {len(after.encode()) / 1e6:5.2f} MB   {news}", flush=True)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("notebooks", nargs="*", type=Path)
    parser.add_argument("--check", action="store_true", help="run nothing, write nothing")
    parser.add_argument("--fresh", action="store_true", help=f"renew the outputs of cells tagged {VARYING} too")
    args = parser.parse_args()
    paths = args.notebooks or course()
    if not args.check:
        for path in paths:
            run(path, args.fresh)
    problems = [f"{path.name}: {finding}" for path in paths for finding in findings(path)]
    sys.exit("\n".join(problems) or 0)


if __name__ == "__main__":
    main()
