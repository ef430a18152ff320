"""Writes notebook 13, the whole course at one glance, from flowlib/course/formulas.

    python -m tools.formulas        writes notebooks/13_formulas.ipynb; then python -m tools.notebooks runs it

The tables themselves are made when the page runs, so that each proof runs in front of the reader. Written here are the
words around them and one cell for each page and each source. Outputs of cells that did not change are kept.
"""

from pathlib import Path

import nbformat
from nbformat import NotebookNode

from flowlib.course.formulas.glance import PAGES
from flowlib.course.formulas.sources import SOURCES
from tools.notebooks import ROOT, in_stored_form

PAGE = ROOT / "notebooks" / "13_formulas.ipynb"

INTRO = """# 13 · The whole course at one glance

Every formula of the course, every system by its name, and every claim of the five documents that it is built on: in
our letters, with the place where it is taught, its name in `flowlib`, its exercise, and a **proof that runs while you
look**.

**You will be able to**
- find any formula, and the page that derives it, in a few seconds;
- read one of the sources with a finger on this page, and know of each line where it is, whether it is printed right,
  and whether it holds;
- see what a proof by number can say, and write one for a formula of your own.

**You need** nothing to look something up. To read on from a row, the page that it names.

**Time** as long as you like; under 25 seconds to run."""

NOTATION = """## Notation on this page

| our symbol | in code | in words |
| --- | --- | --- |
| $z,\\ p_Z$ | `z`, `base` | noise and its density |
| $x = f(z),\\ p_X$ | `forward`, `flow.log_prob` | data and their density; $f = f_K \\circ \\dots \\circ f_1$ |
| $J$ | | the Jacobian $\\partial f / \\partial z$ |
| tutorial, chef, review, wiki, lecture | | the five documents; notebook 00 has their alphabets |
| tutorial 12, lecture 17.5 | | a place: the lecture's own numbers, in the others counted from the top |
| ✓ < 1e-10 | `row.proved` | the proof was run, and its error is below this |

A proof compares two ways to one number, in double precision: the formula and autograd, a closed form and an integral
on a grid, what a page measured and what is said of it. Below the ✓ stands what is compared."""

SEARCH = """## Find something

Choose a source, a kind of row, or write a word: *planar*, *trace*, *17.1*, *Glow*. Without a running kernel, look
below: the tables of all pages and of all sources are there."""

BY_PAGE = """## Page by page

A link leads to the section. Where the page was not open yet, JupyterLab may open it at its top: click once more.
Below the name in `flowlib` stands the exercise; on its page `check("03_u_hat", function)` asks for it."""

TITLES = {
    "00": "the one formula",
    "01": "the line",
    "02": "the plane",
    "03": "planar and radial flows",
    "04": "training",
    "05": "coupling layers",
    "06": "splines and autoregressive flows",
    "07": "image flows",
    "08": "Glow and transformer flows",
    "09": "residual flows",
    "10": "infinitely many small steps",
    "11a": "anomalies",
    "11b": "noise and outliers",
    "11c": "posteriors",
    "12a": "rivals in the plane",
    "12b": "rivals on digits",
}

BY_SOURCE = """## Line by line

Each source from its first line to its last. *There* is what it prints, in its letters or in a few words of ours, with a
*but* where it is misprinted or needs a word more; *here* is where the course deals with it, with a verdict on
claims."""

FAILURE = """## A proof that fails

> **Predict.** A proof compares two numbers and finds them equal. How do you know that it could have found anything
> else?

<details><summary>Think, then open</summary>

By breaking what it proves. A test of this page changes a sign, a factor or a number inside every single proof, or what
the proof relies on, and asks that some such change is found. A proof that no change can upset proves nothing.

</details>

<br>

Here the planar determinant of notebook 03, once as it is and once with the sign of a careless hand:"""

FAILS = """import torch

from flowlib.transforms import Planar

u, w = torch.tensor([0.7, -0.2]), torch.tensor([1.0, 0.6])
z = torch.randn(50, 2, generator=torch.Generator().manual_seed(0))
_, log_det = Planar(2, u=u, w=w, b=0.0)(z)
slope = 1.0 - torch.tanh(z @ w).square()
for sign in (1.0, -1.0):
    error = (log_det - (1.0 + sign * (u @ w) * slope).log()).abs().max()
    print(f"1 {'+' if sign > 0 else '−'} w·u h'   error below 1e-6: {bool(error < 1e-6)}")"""

FILES = {
    "row.py": ("a row: a formula, a system or a claim, and its proof", '`ROWS.formula("NICE", ...)`'),
    "glance.py": ("the rows of a page, of a source, with a word", '`glance(chapter="05")`, `glance(word="trace")`'),
    "sources.py": ("a source line by line", '`line_by_line("lecture")`'),
    "proving.py": ("a transform against autograd", "`prove(transform)`"),
}
FOLDER = "course/formulas"
READ = "\n".join(
    f"| {concept} | {code} | [{FOLDER}/{file}](../flowlib/{FOLDER}/{file}) |" for file, (concept, code) in FILES.items()
)

NOTICE = """**What to notice.** One sign, and the error is no longer rounding. The same holds for a misprint: what the
sources print wrongly has rows of its own above, with the number that shows it.

## Add a row

A row stands as a decorator above its proof, in `flowlib/course/formulas/nbNN.py`:

```python
@ROWS.formula(
    "matrix determinant lemma",
    r"\\det(I + a\\,u w^{\\mathsf T}) = 1 + a\\,w \\cdot u",
    section="2. Its determinant in two lines",
    at="lecture 17.11",
    code="transforms.Planar",
    exercise="03_planar_log_det",
)
def lemma() -> float:
    \"\"\"det of the matrix, and 1 + a w·u\"\"\"
    return gap(torch.linalg.det(torch.eye(4) + 0.6 * torch.outer(U, W)), 1.0 + 0.6 * U @ W)
```

`python -m tools.formulas` writes this page anew. The tests then ask whether section, code and exercise exist, whether
the proof holds with a factor of ten in hand, and whether it can fail."""

RECAP = """## Recap

| concept | code | read |
| --- | --- | --- |
{READ}

## Sources

The five documents that stand above line by line, and the papers behind them, which each page names with its equations.

Back: [12b · Rivals on digits](12b_rivals_on_digits.ipynb). Next: [14 · Glossary](14_glossary.ipynb). To the start:
[00 · Start here](00_start_here.ipynb).""".replace("{READ}", READ)


def cells() -> list[NotebookNode]:
    """The page without outputs; ids are made of what a cell is about, so that they do not change."""
    text, code = nbformat.v4.new_markdown_cell, nbformat.v4.new_code_cell
    made = [
        text(INTRO, id="intro"),
        code("from flowlib.course import glance, line_by_line\nfrom flowlib.viz import explore_formulas", id="imports"),
        text(SEARCH, id="search"),
        code("explore_formulas()", id="find"),
        text(NOTATION, id="notation"),
        text("How much is there, and does all of it hold?", id="how-much"),
        code("print(glance())", id="all"),
        text(BY_PAGE, id="pages"),
    ]
    for module in PAGES:
        name, number = module.ROWS.page, module.ROWS.page.partition("_")[0]
        made.append(text(f"### [{number}]({name}.ipynb): {TITLES[number]}", id=f"page-{number}"))
        made.append(code(f'glance(chapter="{number}")', id=f"rows-{number}"))
    made.append(text(BY_SOURCE, id="sources"))
    for key, source in SOURCES.items():
        made.append(text(f"### The {key}\n\n*{source.title}.* Direction: {source.direction}.", id=f"source-{key}"))
        made.append(code(f'line_by_line("{key}")', id=f"lines-{key}"))
    made += [text(FAILURE, id="failure"), code(FAILS, id="fails"), text(NOTICE, id="notice"), text(RECAP, id="recap")]
    return made


def written(old: Path = PAGE) -> NotebookNode:
    """The page, with the outputs that the cells of `old` have, where they did not change."""
    before = {cell.id: cell for cell in nbformat.read(old, 4).cells} if old.exists() else {}
    book = nbformat.v4.new_notebook(cells=cells())
    for cell in book.cells:
        last = before.get(cell.id)
        if cell.cell_type == "code" and last is not None and last.source == cell.source:
            cell.outputs, cell.execution_count = last.outputs, last.execution_count
    return book


def main() -> None:
    PAGE.write_text(in_stored_form(written()), encoding="utf-8")
    print(f"{PAGE.relative_to(ROOT)}: {len(cells())} cells; now python -m tools.notebooks {PAGE.relative_to(ROOT)}")


if __name__ == "__main__":
    main()
