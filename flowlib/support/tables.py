"""One printer for all reports: a short table as text and, in a notebook, as HTML."""

import html
from collections.abc import Sequence
from dataclasses import dataclass


@dataclass
class Table:
    """Rows of texts under a title.

    Args:
        title: the line above the table; `verdict`, where there is one, follows it after a colon, in bold.
        rows: the cells of each row.
        right: which columns are flush right, those of numbers.
        head: a row above the others.
        foot: (name, value) lines below the table.
        total: whether the last row is the sum of the others.
    """

    title: str
    rows: Sequence[Sequence[str]]
    verdict: str = ""
    right: Sequence[int] = ()
    head: Sequence[str] = ()
    foot: Sequence[tuple[str, str]] = ()
    total: bool = False

    def text(self) -> str:
        rows = [self.head, *self.rows] if self.head else self.rows
        wide = [max(map(len, column)) for column in zip(*rows, strict=True)]
        sides = [str.rjust if i in self.right else str.ljust for i in range(len(wide))]
        lines = ["  ".join(side(cell, w) for side, cell, w in zip(sides, row, wide, strict=True)) for row in rows]
        foot = [f"{name}: {value}" for name, value in self.foot]
        title = f"{self.title}: {self.verdict}" if self.verdict else self.title
        return "\n".join([title, *(f"  {line}".rstrip() for line in [*lines, *foot])])

    def html(self) -> str:
        def line(cells: Sequence[str], tag: str) -> str:
            sides = ["" if i in self.right else ' style="text-align:left"' for i in range(len(cells))]
            return "".join(f"<{tag}{side}>{html.escape(cell)}</{tag}>" for cell, side in zip(cells, sides, strict=True))

        caption = html.escape(self.title) + (f": <b>{html.escape(self.verdict)}</b>" if self.verdict else "")
        foot = " · ".join(f"{html.escape(name)}: <b>{html.escape(value)}</b>" for name, value in self.foot)
        last = len(self.rows) - 1 if self.total else len(self.rows)
        lines = [line(self.head, "th")] if self.head else []
        lines += [line(row, "th" if i == last else "td") for i, row in enumerate(self.rows)]
        body = "".join(f"<tr>{cells}</tr>" for cells in lines)
        return (
            f'<table><caption style="text-align:left">{caption}{"<br>" if foot else ""}{foot}</caption>{body}</table>'
        )


class Report:
    """What prints as a table and shows as one in a notebook. A subclass says which: `table()`."""

    def table(self) -> Table:
        raise NotImplementedError(f"{type(self).__name__} must define table().")

    def __repr__(self) -> str:
        return self.table().text()

    def _repr_html_(self) -> str:
        return self.table().html()
