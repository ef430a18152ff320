"""The explorers of notebook 12b, on what its command stored."""

import pytest
import torch

from flowlib.course import stored
from flowlib.datasets import images
from flowlib.viz import mix_game_and_likelihood, nearest_digits, scrub_digit_rivals
from flowlib.viz.chapters.digit_rivals import sheet_of

RESULTS = stored("rivals_digits")


def test_all_models_are_scrubbed_at_once() -> None:
    explorer = scrub_digit_rivals(RESULTS["scrub"])
    assert [panel.title for panel in explorer.scene.panels] == [row["model"] for row in RESULTS["rows"]]
    before = [panel.layers[0].values for panel in explorer.scene.panels]
    explorer.set(time=0)
    after = [panel.layers[0].values for panel in explorer.scene.panels]
    assert all((one != other).any() for one, other in zip(before, after, strict=True)) and not explorer.error
    assert explorer.scene.numbers[0] == ("of the training", "0 %")
    distances = {name: moments[0]["wasserstein"] for name, moments in RESULTS["scrub"].items()}
    assert dict(explorer.scene.numbers[1:]) == {name: f"{value:.2f}" for name, value in distances.items()}
    with pytest.raises(ValueError, match="two moments or more of each model; got 1"):
        scrub_digit_rivals({"flow": RESULTS["scrub"]["flow"][:1]})


def test_the_mixture_goes_from_the_game_to_the_likelihood() -> None:
    explorer = mix_game_and_likelihood(RESULTS["flow_gan"])
    assert explorer.scene.numbers[0][1] == "no game"
    explorer.set(mix=0)
    assert explorer.scene.numbers[0][1] == "0" and explorer.scene.numbers[1][1].startswith("10")
    assert all(len(panel.layers) for panel in explorer.scene.panels) and not explorer.error


def test_the_nearest_training_digit_of_a_training_digit_is_itself() -> None:
    data = images.digits()
    train, test = (part.images.flatten(1) for part in (data.train, data.test))
    sheets = {name: moments[-1]["sheet"] for name, moments in RESULTS["scrub"].items()}
    explorer = nearest_digits(sheets, train, train)
    explorer.set(model="fresh digits", digit=3)
    assert dict(explorer.scene.numbers)["distance"] == "0.00"
    explorer = nearest_digits(sheets, train, test)
    explorer.set(digit=5)
    sample = sheet_of(sheets["flow"])[5].flatten()
    known = torch.cdist(sample[None], train.float() / 16).min()
    assert dict(explorer.scene.numbers)["distance"] == f"{known:.2f}"
