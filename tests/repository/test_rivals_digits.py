"""What notebook 12b says about its five models: equal budgets, and what its table of results holds."""

import math

import pytest

from flowlib.course import stored
from flowlib.datasets import images
from flowlib.models import digit_classifier
from tools.rivals_digits import COMMAND, RIVALS, SEEDS, count, data_of, pixels, points

RESULTS = stored("rivals_digits")
ROWS = {row["model"]: row for row in RESULTS["rows"]}


def test_parameters_agree_within_a_tenth() -> None:
    numbers = {rival.name: count(rival.build()) for rival in RIVALS}
    assert max(numbers.values()) < 1.1 * min(numbers.values())
    assert {name: row["parameters"] for name, row in ROWS.items()} == numbers
    assert {name: row["steps"] for name, row in ROWS.items()} == {rival.name: rival.steps for rival in RIVALS}


def test_all_had_about_the_same_seconds() -> None:
    means = [sum(row["training_s"]) / SEEDS for row in ROWS.values()]
    middle = sum(means) / len(means)
    assert all(abs(mean - middle) < 0.13 * middle for mean in means)  # an eighth, as the page says, rounded


def test_the_game_and_the_likelihood_teach_one_flow_different_things() -> None:
    game, *between, likelihood = RESULTS["flow_gan"]
    assert min(game["bits"]) > 1e9 and max(likelihood["bits"]) < 2.5
    assert min(game["precision"]) > max(likelihood["precision"]) and max(game["recall"]) < min(likelihood["recall"])
    assert max(between[-1]["bits"]) < 2.5 and max(between[-1]["frechet"]) < min(likelihood["frechet"])


def test_the_results_are_whole() -> None:
    assert RESULTS["command"] == COMMAND and list(ROWS) == [rival.name for rival in RIVALS]
    for row in [*ROWS.values(), *RESULTS["references"].values(), *RESULTS["flow_gan"]]:
        for key in ("neighbour", "wasserstein", "precision", "recall", "frechet"):
            assert len(row[key]) == SEEDS and all(math.isfinite(value) for value in row[key])
    assert RESULTS["flow_gan"][0]["weight"] == 0 and RESULTS["flow_gan"][-1]["weight"] is None


@pytest.mark.parametrize("name", ["flow", "VAE", "diffusion"])
def test_bits_are_between_the_certain_and_the_uniform(name: str) -> None:
    assert all(1.0 < bits < math.log2(17) for bits in ROWS[name]["bits"])


def test_pixels_come_back_from_their_points() -> None:
    x = data_of("digits").test
    assert x.shape == (360, 64)
    assert (pixels(points(x, seed=3)) == x).all()


def test_the_classifier_that_comes_along_knows_its_digits() -> None:
    test = data_of("digits").test
    named = digit_classifier()(test.float() / 16).argmax(-1)
    right = (named == images.digits().test.labels).double().mean().item()
    assert right > 0.96 and right == pytest.approx(RESULTS["classifier_right"], abs=0.006)
