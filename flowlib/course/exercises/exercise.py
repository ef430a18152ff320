"""One exercise: a question whose checker knows the right answer and the classic wrong ones by name."""

import functools
import html
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor


@dataclass(frozen=True)
class Verdict:
    """What a check says. `passed` is True, False, or None for a stub that nobody has filled in yet."""

    passed: bool | None
    message: str

    def __repr__(self) -> str:
        return {True: "✓ ", False: "✗ ", None: "… "}[self.passed] + self.message

    def _repr_html_(self) -> str:
        colour = {True: "#2f8f6b", False: "#c2571a", None: "#777b82"}[self.passed]
        return f'<div style="border-left:4px solid {colour};padding:0.3em 0.8em">{html.escape(repr(self))}</div>'


@dataclass(frozen=True)
class Exercise:
    """A function for the learner to write, and how to judge it.

        area = Exercise("02_log_abs_det", log_abs_det, inputs=[(J,)])
        area.mistake("That is |det J|; the question asks for its log.", lambda J: det(J).abs())

    Args:
        name: what `check` calls it; it starts with the notebook's number, e.g. "03_planar_log_det".
        answer: the right function.
        inputs: argument tuples to try it on, small enough to print.
        tolerance: how far from the answer still counts as right, absolute and relative.
        mistakes: (its sentence, the function that makes it) for each classic wrong answer; `mistake` adds one. The
            first that agrees with an attempt is named.
    """

    name: str
    answer: Callable
    inputs: Sequence[tuple]
    tolerance: float = 1e-4
    mistakes: list[tuple[str, Callable]] = field(default_factory=list)

    def mistake(self, sentence: str, wrong: Callable | None = None) -> Callable:
        """Name a classic wrong answer by its sentence; without `wrong`, as a decorator above the wrong function."""
        if wrong is None:
            return functools.partial(self.mistake, sentence)
        self.mistakes.append((sentence, wrong))
        return wrong

    def check(self, attempt: Callable) -> Verdict:
        """Judge the learner's function on every input."""
        if not callable(attempt):
            return Verdict(
                False, f"check needs the function itself, without brackets; it got {type(attempt).__name__}."
            )
        wrong_at = None
        for arguments in self.inputs:
            try:
                value = attempt(*copies(arguments))
            except Exception as error:  # a learner's function may raise anything: the verdict must say what
                return Verdict(
                    False, f"Your function raised {type(error).__name__}: {error}  (called with {shown(arguments)})"
                )
            if value is None or value is Ellipsis or value is NotImplemented:
                return Verdict(None, "Not filled in yet: replace the ... in the cell above, run it, then run this one.")
            if wrong_at is None and not self.agrees(value, self.answer(*copies(arguments))):
                wrong_at = arguments, value
        if wrong_at is None:
            return Verdict(True, f"Right, on all {len(self.inputs)} inputs.")
        return Verdict(False, self.named_mistake(attempt) or self.difference(*wrong_at))

    def named_mistake(self, attempt: Callable) -> str | None:
        """The sentence of the first classic mistake that agrees with the attempt on every input, if there is one."""
        for sentence, wrong in self.mistakes:
            if all(self.agrees(attempt(*copies(a)), wrong(*copies(a))) for a in self.inputs):
                return sentence
        return None

    def difference(self, arguments: tuple, value: Any) -> str:
        """Where the attempt and the answer part, without a name for the mistake."""
        for got, expected in zip(parts(value), parts(self.answer(*copies(arguments))), strict=False):
            got = as_tensor(got)
            if got is None:
                return f"Your function returned a {type(value).__name__}; expected {shape_of(expected)}."
            if got.shape != as_tensor(expected).shape:
                return f"Your function returned shape {tuple(got.shape)}; expected {shape_of(expected)}."
        expected = self.answer(*copies(arguments))
        if len(parts(value)) != len(parts(expected)):
            return f"Your function returned {len(parts(value))} values; expected {len(parts(expected))}."
        return f"Not yet. For {shown(arguments)} it gives {shown((value,))}; expected {shown((expected,))}."

    def agrees(self, value: Any, expected: Any) -> bool:
        """Whether two results have the same parts, shapes and, up to the tolerance, numbers."""
        if len(parts(value)) != len(parts(expected)):
            return False
        pairs = [(as_tensor(a), as_tensor(b)) for a, b in zip(parts(value), parts(expected), strict=True)]
        return all(
            a is not None
            and a.shape == b.shape
            and torch.allclose(a, b, self.tolerance, self.tolerance, equal_nan=True)
            for a, b in pairs
        )


def parts(value: Any) -> tuple:
    """A tuple of results as it is, a single result as a tuple of one."""
    return value if isinstance(value, tuple) else (value,)


def as_tensor(value: Any) -> Tensor | None:
    """`value` as a detached float64 tensor, None if it holds no numbers."""
    try:
        return torch.as_tensor(value).detach().double()
    except (TypeError, ValueError, RuntimeError):
        return None


def copies(arguments: tuple) -> tuple:
    """The arguments with fresh tensors, so that an attempt that writes into them harms nobody."""
    return tuple(a.clone() if isinstance(a, Tensor) else a for a in arguments)


def shape_of(value: Any) -> str:
    shape = tuple(as_tensor(value).shape)
    return f"shape {shape}" if shape else "one number"


def shown(values: tuple) -> str:
    """Arguments or results, rounded to four decimals, for a message."""
    texts = []
    for value in values:
        if isinstance(value, tuple):
            texts.append(f"({shown(value)})")
        elif isinstance(value, Tensor):
            texts.append(str([round(v, 4) for v in value.flatten().tolist()]) if value.dim() == 1 else rounded(value))
        else:
            texts.append(f"{value:.4g}" if isinstance(value, float) else getattr(value, "__name__", repr(value)))
    return ", ".join(texts)


def rounded(value: Tensor) -> str:
    return str((value.detach().double() * 1e4).round().div(1e4).tolist())
