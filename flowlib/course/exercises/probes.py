"""Wrong answers of any exercise that have a name although nobody prepared one: a sign, an exp, a constant, a factor."""

import math

import torch
from torch import Tensor

CLOSE = {"rtol": 1e-4, "atol": 1e-4}
WORDS = {
    math.log(2.0): "log 2",
    0.5 * math.log(2.0 * math.pi): "½ log 2π",
    math.log(2.0 * math.pi): "log 2π",
    math.pi: "π",
    2.0 * math.pi: "2π",
}


def probe(got: list[Tensor], expected: list[Tensor]) -> str:
    """What is wrong with the numbers of an attempt, input by input, beside the right ones; "" if nothing is found."""
    if any(a.shape != b.shape for a, b in zip(got, expected, strict=True)):
        return of_shapes(got, expected)
    a, b = (torch.cat([each.flatten() for each in values]) for values in (got, expected))
    if (a.isnan() & ~b.isnan()).any():
        bad = int((a.isnan() & ~b.isnan()).sum())
        return f"{bad} of {len(a)} numbers are nan: a logarithm or a root of something negative, or 0 / 0?"
    if (a.isinf() & b.isfinite()).any():
        bad = int((a.isinf() & b.isfinite()).sum())
        return f"{bad} of {len(a)} numbers are infinite: the log of 0, the exp of something large, or a division by 0?"
    keep = a.isfinite() & b.isfinite()
    a, b = a[keep], b[keep]
    if len(a) < 2 or torch.allclose(b, b[:1].expand_as(b)):
        return ""
    if torch.allclose(a, -b, **CLOSE):
        return "Only the sign is wrong, everywhere."
    if torch.allclose(a, b.exp(), **CLOSE):
        return "That is exp of the right answer: its logarithm is asked for."
    if (b > 0).all() and torch.allclose(a, b.log(), **CLOSE):
        return "That is the logarithm of the right answer."
    difference = a - b
    if torch.allclose(difference, difference[:1].expand_as(a), **CLOSE):
        return f"It is off by the same number everywhere, {in_words(float(difference[0]))}: a constant term?"
    if (b.abs() > 1e-3).all() and torch.allclose(ratio := a / b, ratio[:1].expand_as(a), **CLOSE):
        return f"It is {in_words(float(ratio[0]))} times the right answer everywhere: a factor?"
    return ""


def of_shapes(got: list[Tensor], expected: list[Tensor]) -> str:
    """The right numbers, summed or averaged over something that should have been kept."""
    pairs = list(zip(got, expected, strict=True))
    for name, reduce in (("summed", torch.sum), ("averaged", torch.mean)):
        if all(a.dim() == 0 and b.dim() > 0 and torch.allclose(a, reduce(b), **CLOSE) for a, b in pairs):
            return f"You {name} over everything: {numbers(expected[0])} are asked for, one for each point."
    if all(a.dim() > 0 and a.shape[:-1] == b.shape and torch.allclose(a.sum(-1), b, **CLOSE) for a, b in pairs):
        return "The numbers are right, but not yet summed over the last dimension."
    return ""


def numbers(value: Tensor) -> str:
    return f"{value.shape[0]} numbers" if value.dim() == 1 else f"numbers of shape {tuple(value.shape)}"


def in_words(number: float) -> str:
    """A number, with a name if it has one."""
    for value, name in WORDS.items():
        if math.isclose(abs(number), value, rel_tol=1e-3):
            return f"{'−' if number < 0 else ''}{name}"
    return f"{number:.4g}".replace("-", "−")
