"""The checks separate: no solution with a size frozen in it is called right, nor what people have tried."""

import math

import pytest
import torch
from torch import Tensor

from flowlib.bases import StandardNormal
from flowlib.course.exercises import EXERCISES, check
from flowlib.transforms import Planar
from tools.mutants import Mutant, mutants

ALL = list(mutants([]))


def test_there_are_mutants_of_most_exercises() -> None:
    assert len(ALL) > 100 and len({mutant.exercise for mutant in ALL}) > 0.4 * len(EXERCISES)


@pytest.mark.parametrize("name", sorted({mutant.exercise for mutant in ALL}))
def test_no_frozen_size_is_called_right(name: str) -> None:
    assert not [str(mutant) for mutant in ALL if mutant.exercise == name and mutant.passes()]


def test_a_check_that_does_not_separate_is_found() -> None:
    """What is right is not refused: a frozen constant of mathematics changes nothing."""
    code = "def squeeze(x):\n    n, c, h, w = x.shape\n    return x.reshape(n, c, h // 2, 2, w // 2, 2)"
    code += ".permute(0, 1, 3, 5, 2, 4).reshape(n, 4 * c, h // 2, w // 2)"
    assert Mutant("07_squeeze", "nothing", 0, code, "squeeze").passes()


def slerp_with_one_length(a: Tensor, b: Tensor, t: float) -> Tensor:
    angle = torch.acos((a * b).sum(-1, keepdim=True) / a.square().sum(-1, keepdim=True))
    return (torch.sin((1 - t) * angle) * a + torch.sin(t * angle) * b) / torch.sin(angle)


def logit_of_three(y: Tensor, alpha: float) -> tuple[Tensor, Tensor]:
    p = alpha + (1 - 2 * alpha) * y
    return torch.logit(p), 3 * math.log(1 - 2 * alpha) - (p.log() + (1 - p).log()).sum(-1)


def patches_of_two(x: Tensor, p: int) -> Tensor:
    n, _, h, w = x.shape
    return x.reshape(n, h // 2, 2, w // 2, 2).transpose(2, 3).reshape(n, -1, 4)


def direction_by_midrange(z_high: Tensor, z_low: Tensor, a_high: Tensor, a_low: Tensor) -> Tensor:
    middle = [(a.max() + a.min()) / 2 for a in (a_high, a_low)]
    return (z_high.mean(0) - z_low.mean(0)) / (middle[0] - middle[1])


def bound_below_one_number(log_p: Tensor, log_q: Tensor) -> Tensor:
    top = (log_p - log_q).max()
    return (log_p - log_q - top).exp().mean(0).log() + top


WRONG = {
    "07_bound": bound_below_one_number,
    "08_slerp": slerp_with_one_length,
    "07_pixel_logit": logit_of_three,
    "08_patches": patches_of_two,
    "08_direction": direction_by_midrange,
}


@pytest.mark.parametrize("name", WRONG)
def test_wrong_answers_that_were_called_right(name: str) -> None:
    assert check(name, WRONG[name]).passed is False


def carried_from(start):
    """`start` of all patches -> what the first tokens carry."""

    def carried(patches: Tensor) -> Tensor:
        return torch.cat([start(patches).expand_as(patches[:, :1]), patches[:, :-1]], 1)

    return carried


STARTS = {
    "a number": lambda patches: torch.tensor(-1.0),
    "a vector": lambda patches: torch.arange(1.0, patches.shape[-1] + 1),
}
STARTS_THAT_PEEK = {
    "mean over the batch": lambda patches: patches[:, :1].mean(0, keepdim=True),
    "mean over everything": lambda patches: patches.mean(),
    "the first image": lambda patches: patches[:1, :1],
    "its own image": lambda patches: patches.mean(1, keepdim=True),
    "the size of the batch": lambda patches: torch.tensor(float(len(patches))),
}


@pytest.mark.parametrize("name", STARTS)
def test_any_constant_start_is_right(name: str) -> None:
    assert check("08_carried", carried_from(STARTS[name])).passed is True


@pytest.mark.parametrize("name", STARTS_THAT_PEEK)
def test_a_start_that_knows_of_the_images_is_wrong(name: str) -> None:
    assert check("08_carried", carried_from(STARTS_THAT_PEEK[name])).passed is False


def direction_by_regression(z_high: Tensor, z_low: Tensor, a_high: Tensor, a_low: Tensor) -> Tensor:
    a = torch.cat([a_high, a_low])
    lines = torch.stack([torch.ones_like(a), a], 1)
    return torch.linalg.lstsq(lines, torch.cat([z_high, z_low])).solution[1]


def det(j: Tensor) -> Tensor:
    return j[:, 0, 0] * j[:, 1, 1] - j[:, 0, 1] * j[:, 1, 0]


def by_torch(j: Tensor) -> Tensor:
    return torch.det(j)


RIGHT = {
    "08_direction": direction_by_regression,
    "01_uniform_to_normal": lambda u: list(EXERCISES["01_uniform_to_normal"].answer(u)),
    "00_line_log_prob": lambda x: tuple(EXERCISES["00_line_log_prob"].answer(x)),
    "02_correlation": lambda A: EXERCISES["02_correlation"].answer(A)[None],
    "02_log_abs_det": lambda J: det(J).abs().log(),  # a helper of one's own may have any name
}


@pytest.mark.parametrize("name", RIGHT)
def test_right_answers_that_were_refused(name: str) -> None:
    assert check(name, RIGHT[name]).passed is True


def by_inverse(transform, base, z):
    x, _ = transform(z)
    return base.log_prob(z) + transform.inverse(x)[1]


def by_planar(x, u, w, b):
    return Planar(len(u), u, w, b, constrain=False).inverse(x)[0]


BARRED = [
    ("00_sample_log_prob", by_inverse, "`inverse` was not to be used"),
    ("02_log_abs_det", lambda J: torch.linalg.slogdet(J)[1], "`linalg` was not to be used: take ad − bc"),
    ("02_log_abs_det", lambda J: J.det().abs().log(), "`det` was not to be used: take ad − bc"),
    ("02_log_abs_det", lambda J: by_torch(J).abs().log(), "`det` was not to be used: take ad − bc"),
    ("02_lu_log_det", lambda L, U: (L @ U).det().abs().log(), "`det` was not to be used: the diagonal of U"),
    ("03_planar_inverse", by_planar, "`Planar` is flowlib's"),
    (
        "03_log_prob_of_sample",
        lambda z, u, w, b: StandardNormal(len(u)).log_prob(z) - Planar(len(u), u, w, b, constrain=False)(z)[1],
        "`Planar` is flowlib's",
    ),
]


@pytest.mark.parametrize(("name", "attempt", "sentence"), BARRED)
def test_a_rule_of_an_exercise_is_checked(name: str, attempt, sentence: str) -> None:
    verdict = check(name, attempt)
    assert verdict.passed is False and sentence in verdict.message


def changed(name: str, change):
    """The right answer, the last part of it changed."""

    def attempt(*arguments):
        right = EXERCISES[name].answer(*arguments)
        return (*right[:-1], change(right[-1])) if isinstance(right, tuple) else change(right)

    return attempt


@pytest.mark.parametrize("change", [torch.neg, torch.exp], ids=["sign", "exp"])
@pytest.mark.parametrize("name", [name for name in EXERCISES if name[:2] in ("00", "01", "02", "03")])
def test_a_sign_and_a_forgotten_logarithm_have_names(name: str, change) -> None:
    """Of any exercise of the first pages, prepared or not: never a bare "Not yet"."""
    verdict = check(name, changed(name, change))
    assert verdict.passed is False and not verdict.message.startswith("Not yet")
