"""The picture under a verdict: the learner's density over the true one, where there is one to draw."""

import math
import xml.etree.ElementTree as ET

import pytest
import torch
from torch import Tensor

from flowlib.course.exercises import EXERCISES, check

DRAWN = [name for name, exercise in EXERCISES.items() if exercise.picture is not None]
MISTAKES = [(name, i) for name in DRAWN for i in range(len(EXERCISES[name].mistakes))]
LINE = "00_line_log_prob"


def bell(x: Tensor) -> Tensor:
    """The answer of 0.1."""
    return -0.5 * ((x - 1.0) / 2.0).square() - 0.5 * math.log(2.0 * math.pi) - math.log(2.0)


def curves(page: str) -> list[list[tuple[float, float]]]:
    """The points of each polyline of a verdict's HTML, which must be well formed."""
    texts = [each.get("points", "") for each in ET.fromstring(page).iter("polyline")]
    return [[tuple(map(float, point.split(","))) for point in text.split()] for text in texts]


def test_every_density_on_the_line_has_a_picture() -> None:
    assert {LINE, "01_affine_log_prob", "01_lognormal_log_prob", "02_linear_log_prob"} == set(DRAWN)


@pytest.mark.parametrize("name", DRAWN)
def test_a_right_density_lies_on_the_true_one(name: str) -> None:
    mine, true = curves(check(name, EXERCISES[name].answer)._repr_html_())
    assert mine == true and len(mine) == len(EXERCISES[name].picture.x)


@pytest.mark.parametrize(("name", "index"), MISTAKES)
def test_a_wrong_density_parts_from_the_true_one(name: str, index: int) -> None:
    """By three pixels at least, or it has no curve: a number for the whole batch, nan everywhere."""
    sentence, wrong = EXERCISES[name].mistakes[index]
    verdict, value = check(name, wrong), wrong(*EXERCISES[name].picture.arguments)
    assert repr(verdict) == f"✗ {sentence}"
    if value.dim() == 0 or value.isnan().all():
        assert "<svg" not in verdict._repr_html_()
        return
    mine, true = curves(verdict._repr_html_())
    assert max(abs(a[1] - b[1]) for a, b in zip(mine, true, strict=True)) > 3.0


def test_the_true_curve_is_the_density() -> None:
    places, heights = torch.tensor(curves(check(LINE, bell)._repr_html_())[1]).T
    x, up = -7.0 + places / 420 * 16.0, 150 - heights
    torch.testing.assert_close(up / up.max(), bell(x).exp() * 2.0 * math.sqrt(2.0 * math.pi), atol=2e-3, rtol=0.0)


def test_a_curve_is_cut_where_it_has_no_number_and_leaves_the_frame_in_words() -> None:
    page = check(LINE, lambda x: torch.where(x.abs() < 1.0, torch.nan, bell(x)))._repr_html_()
    assert len(curves(page)) == 3 and "beyond the frame" not in page
    for attempt in (lambda x: bell(x) + 9.0, lambda x: torch.where((x - 1.0).abs() < 0.01, torch.inf, bell(x))):
        assert "beyond the frame" in check(LINE, attempt)._repr_html_()
    assert "nan" not in page.split("<svg", 1)[1] and "inf" not in page.split("<svg", 1)[1]


@pytest.mark.parametrize(
    "attempt",
    [
        lambda x: "five",
        lambda x: x.no_such_thing(),
        lambda x: x[:1],
        lambda x: x / 0.0 * 0.0,
        lambda x: torch.full_like(x, -torch.inf).to(torch.complex64),
        lambda x: None,
        lambda x: x.sum() if len(x) < 99 else x.no_such_thing(),
    ],
)
def test_without_a_curve_there_is_no_picture(attempt) -> None:
    assert "<svg" not in check(LINE, attempt)._repr_html_()


def test_what_a_screen_reader_says_and_the_colours_of_a_dark_page() -> None:
    page = check(LINE, bell)._repr_html_()
    assert 'role="img" aria-label="Two curves over x: ' in page and "currentColor" in page


def test_an_attempt_that_prints_prints_once(capsys) -> None:
    assert check(LINE, lambda x: print("called") or bell(x)).passed is True
    assert capsys.readouterr().out == "called\n"
