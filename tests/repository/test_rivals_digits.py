"""What notebook 12b says about its five models: equal budgets, and what its table of results holds."""

import json
import math
from pathlib import Path

import pytest

from flowlib.course import stored
from flowlib.datasets import images
from flowlib.models import digit_classifier
from tools.parts import write_parts
from tools.rivals_digits import COMMAND, FEW, RIVALS, SEEDS, TIMES, count, data_of, nearness, pixels, points

RESULTS = stored("rivals_digits")
ROWS = {row["model"]: row for row in RESULTS["rows"]}
LONGER = {row["model"]: row for row in RESULTS["longer"]["rows"]}


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


def test_the_longer_run_is_of_all_rivals_with_so_many_times_the_steps() -> None:
    assert RESULTS["longer"]["command"] == f"{COMMAND} --longer" and RESULTS["longer"]["times"] == TIMES
    assert {name: row["steps"] for name, row in LONGER.items()} == {each.name: TIMES * each.steps for each in RIVALS}
    for name, row in LONGER.items():
        assert set(ROWS[name]) - {"parameters"} <= set(row)
        assert all(len(values) == FEW and all(map(math.isfinite, values)) for key, values in row.items()
                   if key not in ("model", "steps"))  # fmt: skip
        assert ("bits_last" in row) == ("bits" in row) and all(0 < kept <= 1 for kept in row["kept"])


def test_the_page_says_what_the_longer_run_found() -> None:
    """Who gains by more steps, and what the last weights of the flow are worth, where held-out digits do not choose."""
    flow, vae, diffusion = (LONGER[name] for name in ("flow", "VAE", "diffusion"))
    assert max(flow["kept"] + vae["kept"]) <= 0.1 and min(diffusion["kept"]) > 0.9
    assert min(flow["bits_last"]) > 3 * math.log2(17)
    for row, better in ((diffusion, True), (vae, False)):
        pairs = zip(ROWS[row["model"]]["bits"][:FEW], row["bits"], strict=True)
        assert all((long < short) == better for short, long in pairs)
    for key, better in (("recall", 1), ("precision", 1), ("frechet", -1), ("neighbour", -1)):
        pairs = zip(ROWS["Wasserstein GAN"][key][:FEW], LONGER["Wasserstein GAN"][key], strict=True)
        assert all(better * long > better * short for short, long in pairs)
    assert max(LONGER["GAN"]["recall"]) < 0.1


def test_a_copy_has_no_distance_to_the_training_digits_and_a_test_digit_the_mean_one() -> None:
    data = data_of("digits")
    assert nearness(data.train[:50], data) == pytest.approx(0.0, abs=1e-6)
    assert nearness(data.test, data) == pytest.approx(1.0)


def test_one_run_leaves_the_parts_of_another_as_they_are(tmp_path: Path) -> None:
    path = tmp_path / "found.json"
    for parts in ({"rows": [1], "command": "plain"}, {"longer": [2]}, {"rows": [3], "command": "plain"}):
        write_parts(path, parts)
    assert json.loads(path.read_text(encoding="utf-8")) == {"rows": [3], "command": "plain", "longer": [2]}


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
