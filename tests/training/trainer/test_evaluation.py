"""Scores, pictures, and the cards of the checkpoints that come with flowlib."""

import pytest

import flowlib.__main__ as command
from flowlib import load
from flowlib.__main__ import chance_of_noise
from flowlib.models.checkpoint import FOLDER
from flowlib.models.pretrained import DATA, names
from flowlib.training.evaluation import Score
from tests.training.trainer.runs import flowlib


def test_a_score_prints_its_error():
    assert str(Score(360, 1, 2.0, 0.01, 2.0, 0.01)) == "2.0000 ± 0.0100 bits per dimension on 360 images"
    assert "1.9000 by the bound of 4 draws" in str(Score(360, 4, 2.0, 0.01, 1.9, 0.01))


@pytest.mark.parametrize("name", names())
def test_a_shipped_checkpoint_is_small_and_its_card_is_reproduced(name, capsys):
    assert sum(path.stat().st_size for path in (FOLDER / name).iterdir()) < 8_000_000
    card = load(name).card
    about = {"data", "model", "arguments", "steps", "seconds", "device", "command", "test"}
    assert about < card.keys() and card["test"]["error"] > 0
    try:
        DATA[card["data"]]()
    except OSError:
        pytest.skip(f"the images of {card['data']} are not on this machine")
    some = ["--images", 200, "--draws", 1] if card["test"]["images"] > 1000 else []
    assert flowlib("evaluate", name, "--device", "cpu", *some) == 0


@pytest.mark.parametrize(
    ("card", "seed"),
    [({"seed": 5}, 5), ({"command": "flowlib train --seed 7 --steps 3"}, 7), ({"command": "--seed"}, 0)],
)
def test_the_seed_of_an_evaluation_is_that_of_the_run(card, seed, monkeypatch):
    asked = []

    def score(model, split, classes, draws, images, seed):
        asked.append(seed)
        raise ValueError("asked")

    model = load("digits-glow")
    model.card = {key: value for key, value in model.card.items() if key not in ("seed", "command")} | card
    monkeypatch.setattr(command, "score", score)
    monkeypatch.setattr(command, "load", lambda *_: model)
    assert flowlib("evaluate", "digits-glow") == flowlib("evaluate", "digits-glow", "--seed", 3) == 2
    assert asked == [seed, 3]


def test_how_far_another_seed_may_be_is_told_by_the_noise_of_one_draw():
    four, one = Score(10, 4, 2.0, 0.5, 2.0, 0.5, noise=0.01), Score(10, 1, 2.0, 0.5, 2.0, 0.5)
    assert chance_of_noise(four, one) == chance_of_noise(one, four) == pytest.approx(4 * 0.02 * (1 + 1 / 4) ** 0.5)
    assert chance_of_noise(one, one) == 0.5  # nobody knows
