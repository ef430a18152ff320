"""One exercise: a question whose checker knows the right answer and the classic wrong ones by name."""

import functools
import html
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor
from torch.nn import Module

from flowlib.course.exercises.attempt import Outcome, copies, is_stub, names_in, outcome
from flowlib.course.exercises.picture import Picture
from flowlib.course.exercises.probes import probe

COLOURS = {True: "#2f8f6b", False: "#c2571a", None: "#777b82"}


@dataclass(frozen=True)
class Verdict:
    """What a check says. `passed` is True, False, or None for a stub that nobody has filled in yet; `picture` is SVG
    for the page, or nothing."""

    passed: bool | None
    message: str
    picture: str = ""

    def __repr__(self) -> str:
        return {True: "✓ ", False: "✗ ", None: "… "}[self.passed] + self.message

    def _repr_html_(self) -> str:
        style = f"border-left:4px solid {COLOURS[self.passed]};padding:0.3em 0.8em"
        return f'<div style="{style}">{html.escape(repr(self))}{self.picture}</div>'


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
        also: other functions that are right.
        without: name -> the sentence for an attempt that is right but uses this name, against the exercise's own rule.
        canonical: brings results that are right in another form into that of the answer: the results on all inputs,
            a list, so that it can ask what they have in common.
        picture: where to draw the density that an attempt gives, over the true one, under the verdict.
    """

    name: str
    answer: Callable
    inputs: Sequence[tuple]
    tolerance: float = 1e-4
    mistakes: list[tuple[str, Callable]] = field(default_factory=list)
    also: Sequence[Callable] = ()
    without: Mapping[str, str] = field(default_factory=dict)
    canonical: Callable[[list], list] = field(default=lambda values: values)
    picture: Picture | None = None

    def mistake(self, sentence: str, wrong: Callable | None = None) -> Callable:
        """Name a classic wrong answer by its sentence; without `wrong`, as a decorator above the wrong function."""
        if wrong is None:
            return functools.partial(self.mistake, sentence)
        self.mistakes.append((sentence, wrong))
        return wrong

    def check(self, attempt: Callable) -> Verdict:
        """Judge the learner's function: called once on every input, its prints shown for the first, and once for the
        picture, where there is one."""
        if not callable(attempt):
            return Verdict(
                False, f"check needs the function itself, without brackets; it got {type(attempt).__name__}."
            )
        if is_stub(attempt):
            return Verdict(None, "Not filled in yet: replace the ... in the cell above, run it, then run this one.")
        outcomes = [outcome(attempt, arguments, quiet=k > 0) for k, arguments in enumerate(self.inputs)]
        passed, message = self.judged(attempt, outcomes)
        if self.picture is None or any(each.error is not None for each in outcomes):
            return Verdict(passed, message)
        return Verdict(passed, message, self.picture.svg(attempt, self.answer, COLOURS[passed]))

    def judged(self, attempt: Callable, outcomes: Sequence[Outcome]) -> tuple[bool, str]:
        """Whether an attempt with these outcomes is right, and the sentence that says so or what is wrong."""
        if any(self.all_agree(outcomes, answer) for answer in (self.answer, *self.also)):
            broken = [sentence for name, sentence in self.without.items() if name in names_in(attempt)]
            return not broken, broken[0] if broken else f"Right, on all {len(self.inputs)} inputs."
        return False, self.named_mistake(outcomes) or self.first_fault(outcomes)

    def all_agree(self, outcomes: Sequence[Outcome], function: Callable) -> bool:
        """Whether a function gives the same on every input; where both raise the same kind of error, they agree."""
        others = [outcome(function, arguments) for arguments in self.inputs]
        kinds, other_kinds = ([type(each.error) for each in several] for several in (outcomes, others))
        if kinds != other_kinds or all(each.error is not None for each in outcomes):
            return False
        return all(self.agreements(*([o.value for o in several if o.error is None] for several in (outcomes, others))))

    def named_mistake(self, outcomes: Sequence[Outcome]) -> str | None:
        """The sentence of the first classic mistake that agrees with the attempt on every input, if there is one."""
        return next((sentence for sentence, wrong in self.mistakes if self.all_agree(outcomes, wrong)), None)

    def first_fault(self, outcomes: Sequence[Outcome]) -> str:
        """What is wrong with an attempt that makes none of the classic mistakes."""
        for each, arguments in zip(outcomes, self.inputs, strict=True):
            if each.error is not None:
                kind = type(each.error).__name__
                return f"Your function raised {kind}: {each.error}  (called with {shown(arguments)})"
            if each.value is None or each.value is Ellipsis or each.value is NotImplemented:
                return "Your function gives nothing back. Is there a `return` in front of its last line?"
        expected = [self.answer(*copies(arguments)) for arguments in self.inputs]
        pairs = [(as_tensor(a.value), as_tensor(b)) for a, b in zip(outcomes, expected, strict=True)]
        if all(a is not None and b is not None for a, b in pairs) and (
            found := probe(*map(list, zip(*pairs, strict=True)))
        ):
            return found
        at = self.agreements([each.value for each in outcomes], expected).index(False)
        return self.difference(self.inputs[at], outcomes[at].value)

    def difference(self, arguments: tuple, value: Any) -> str:
        """Where the attempt and the answer part, without a name for the mistake."""
        expected = self.answer(*copies(arguments))
        if len(parts(value)) != len(parts(expected)):
            return f"Your function returned {len(parts(value))} values; expected {len(parts(expected))}."
        for got, right in zip(parts(value), parts(expected), strict=True):
            got = as_tensor(got)
            if got is None:
                return f"Your function returned a {type(value).__name__}; expected {shape_of(right)}."
            if got.shape != as_tensor(right).shape:
                return f"Your function returned shape {tuple(got.shape)}; expected {shape_of(right)}."
        return f"Not yet. For {shown(arguments)} it gives {shown((value,))}; expected {shown((expected,))}."

    def agreements(self, values: list, expected: list) -> list[bool]:
        """Of each result, whether it agrees with the expected one."""
        pairs = zip(self.canonical(values), self.canonical(expected), strict=True)
        return [self.agrees(value, other) for value, other in pairs]

    def agrees(self, value: Any, expected: Any) -> bool:
        """Whether two results have the same numbers up to the tolerance, in the same parts and shapes; a list for a
        tensor, a stack for a tuple, and one number in a shape of ones will do."""
        value = fitted(value, expected)
        pairs = [(as_tensor(a), as_tensor(b)) for a, b in zip(value, parts(expected), strict=False)]
        return len(value) == len(parts(expected)) and all(
            a is not None
            and (a.shape == b.shape or a.numel() == b.numel() == 1)
            and torch.allclose(a.reshape(b.shape), b, self.tolerance, self.tolerance, equal_nan=True)
            for a, b in pairs
        )


def fitted(value: Any, expected: Any) -> tuple:
    """The parts of a value as those of the expected one: several numbers in one list, or one in several."""
    wanted = parts(expected)
    if len(wanted) > 1 and not isinstance(value, tuple):
        whole = as_tensor(value)
        return parts(value) if whole is None or whole.dim() == 0 or len(whole) != len(wanted) else tuple(whole)
    if len(wanted) == 1 and isinstance(value, tuple) and len(value) != 1:
        return (list(value),)
    return parts(value)


def parts(value: Any) -> tuple:
    """A tuple of results as it is, a single result as a tuple of one."""
    return value if isinstance(value, tuple) else (value,)


def as_tensor(value: Any) -> Tensor | None:
    """`value` as a detached float64 tensor, None if it holds no numbers."""
    try:
        holds_tensors = isinstance(value, list) and any(isinstance(each, Tensor) for each in value)
        tensor = torch.stack([*map(torch.as_tensor, value)]) if holds_tensors else torch.as_tensor(value)
        return None if tensor.is_complex() else tensor.detach().double()
    except (TypeError, ValueError, RuntimeError):
        return None


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
        elif isinstance(value, Module) and list(value.parameters()):  # a layer with its numbers
            numbers = [f"{name}={rounded(each)}" for name, each in value.named_parameters() if each.numel() < 10]
            texts.append(f"{type(value).__name__}({', '.join(numbers)})")
        else:
            texts.append(f"{value:.4g}" if isinstance(value, float) else getattr(value, "__name__", repr(value)))
    return ", ".join(texts)


def rounded(value: Tensor) -> str:
    return str((value.detach().double() * 1e4).round().div(1e4).tolist())
