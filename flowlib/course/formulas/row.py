"""One row of the index: a formula, a system or a claim, where it is taught, and a proof that runs."""

import functools
from collections.abc import Callable
from dataclasses import dataclass

import torch

from flowlib.course.address import address

Proof = Callable[[], float]
Words = str | Callable[[], str]
KINDS = ("formula", "system", "claim")


@dataclass(frozen=True, eq=False)
class Row:
    """What is said, where, and a proof.

    Args:
        kind: "formula", "system" (a model, a method or a family by its name) or "claim" (what a source says in words).
        name: what it is called here; of a claim, what the sources say, in our words.
        latex: the formula in our letters, without the sign | that would end a cell of a table.
        page: the page without its ending, "05_coupling_layers"; `section` is a heading on it, as it stands there.
        at: where the sources have it, "lecture 17.12" (sources.py).
        code: what it is in flowlib, "transforms.Coupling", or nothing.
        exercise: the name that `check` knows it by, or nothing.
        proof: returns an error, at most a tenth of `bound`; its docstring says what is compared.
        verdict, figure: of a claim, whether it holds and what was measured; a function where it reads a stored file.
    """

    kind: str
    name: str
    latex: str
    page: str
    section: str
    at: tuple[str, ...]
    code: str
    exercise: str
    proof: Proof
    bound: float
    verdict: str = ""
    figure: Words = ""

    @functools.cached_property
    def error(self) -> float:
        """What the proof finds, in float64 and from a seed; the precision and random state of the caller stay."""
        before = torch.get_default_dtype()
        with torch.random.fork_rng(devices=()):
            torch.manual_seed(0)
            torch.set_default_dtype(torch.float64)
            try:
                return float(self.proof())
            finally:
                torch.set_default_dtype(before)

    @property
    def measured(self) -> str:
        return self.figure() if callable(self.figure) else self.figure

    @property
    def holds(self) -> bool:
        return self.error <= self.bound

    @property
    def proved(self) -> str:
        """The error as a bound, which is the same on every machine."""
        return f"✓ < {self.bound:g}" if self.holds else f"✗ {self.error:.0e}"

    @property
    def link(self) -> str:
        """Its section, as JupyterLab follows it."""
        return address(f"{self.page}.ipynb", self.section)

    @property
    def place(self) -> str:
        """Page and section in a few letters: "05 §1"; a heading without a number stands as it is."""
        number, dot, _ = self.section.partition(". ")
        return f"{self.page.split('_')[0]} " + (f"§{number}" if dot and number.isdigit() else self.section)

    @property
    def compared(self) -> str:
        return (self.proof.__doc__ or "").strip()


class Rows(list[Row]):
    """The rows of one page. Each is written as a decorator above its proof, so that both are read together.

    >>> rows = Rows("01_one_dimension")
    >>> @rows.formula("one half", r"0.5 + 0.5 = 1", section="3. Bend")
    ... def half() -> float:
    ...     '''both sides'''
    ...     return abs(0.5 + 0.5 - 1.0)
    >>> rows[0].place, rows[0].proved
    ('01 §3', '✓ < 1e-10')
    """

    def __init__(self, page: str):
        self.page = page

    def formula(
        self, name: str, latex: str, *, section: str, at: str = "", code: str = "", exercise: str = "", bound=1e-10
    ) -> Callable[[Proof], Proof]:
        """Enter a formula."""
        return self.enter("formula", name, latex, section, at, code, exercise, bound)

    def system(
        self, name: str, latex: str, *, section: str, at: str = "", code: str = "", exercise: str = "", bound=1e-10
    ) -> Callable[[Proof], Proof]:
        """Enter a model, a method or a family."""
        return self.enter("system", name, latex, section, at, code, exercise, bound)

    def claim(
        self,
        name: str,
        verdict: str,
        figure: str | Callable[[], str],
        *,
        section: str,
        at: str,
        code="",
        exercise="",
        bound=1e-10,
    ) -> Callable[[Proof], Proof]:
        """Enter what a source says in words, whether it holds, and what was measured."""
        return self.enter("claim", name, "", section, at, code, exercise, bound, verdict, figure)

    def enter(self, kind: str, name: str, latex: str, section: str, at: str, code: str, exercise: str, bound, *rest):
        def keep(proof: Proof) -> Proof:
            where = tuple(part.strip() for part in at.split(",")) if at else ()
            self.append(Row(kind, name, latex, self.page, section, where, code, exercise, proof, bound, *rest))
            return proof

        return keep
