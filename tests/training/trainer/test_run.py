"""`flowlib train`, `sample` and `evaluate`: what a run leaves, and what can be done with it."""

import json
from itertools import count
from types import SimpleNamespace

import pytest
import torch

from flowlib import load
from flowlib.__main__ import prepared
from flowlib.datasets import images
from flowlib.models.checkpoint import read, save
from flowlib.models.pretrained import data_set
from flowlib.training import loop, pace
from flowlib.training import trainer as training
from flowlib.training.evaluation import samples
from flowlib.training.run_files import save_losses
from flowlib.training.settings import Settings
from flowlib.training.trainer import Trainer
from tests.training.trainer.runs import SMALL, TINY, flowlib, losses_of, trainer_of


def test_a_run_leaves_its_losses_a_picture_and_a_model(unbroken):
    lines = losses_of(unbroken)
    assert len(lines) == 61 and lines[0] == "step,bits_per_dim"
    first, last = (float(line.split(",")[1]) for line in (lines[1], lines[-1]))
    assert last < first - 0.2
    pictures = sorted(path.name for path in unbroken.glob("*.png"))
    assert pictures == ["curve.png", "samples-000030.png", "samples-000060.png"]
    log = (unbroken / "log.csv").read_text().splitlines()
    assert log[0] == "step,seconds,training,validation,error,bound,rate,images_a_second"
    assert [line.split(",")[0] for line in log[1:]] == ["30", "60"]
    model = load(unbroken)
    assert not model.training and model.card["steps"] == 60 and model.card["arguments"] == SMALL["arguments"]
    assert model.sample(3).shape == (3, 1, 8, 8)


def test_the_card_says_how_the_model_was_made(unbroken):
    card = json.loads((unbroken / "model.json").read_text())
    about = {"data", "model", "arguments", "steps", "seconds", "device", "precision", "command", "test", "parameters"}
    assert about < card.keys()
    assert card["device"] == "CPU" and card["test"]["images"] == 360 and card["test"]["error"] > 0
    assert card["command"].startswith(
        "flowlib train --data digits --model glow --set scales=1 steps=2 width=8 --steps 60"
    )
    assert str(unbroken.parent) not in json.dumps(card)  # no path of this machine


def test_the_command_of_a_card_trains_the_same_model(unbroken, tmp_path, capsys):
    words = json.loads((unbroken / "model.json").read_text())["command"].split()[1:]
    assert flowlib(*words, "--out", tmp_path / "again") == 0
    assert losses_of(tmp_path / "again") == losses_of(unbroken)


def test_evaluate_reproduces_the_card(unbroken, capsys):
    assert flowlib("evaluate", unbroken) == 0
    assert "\nreproduced: " in capsys.readouterr().out
    assert flowlib("evaluate", unbroken, "--seed", 1) == 0
    assert "\nreproduced: " in capsys.readouterr().out
    assert flowlib("evaluate", unbroken, "--images", 100) == 0
    assert "not compared: these are the first 100 of 360 images" in capsys.readouterr().out
    assert flowlib("evaluate", unbroken, "--part", "validation", "--draws", 1) == 0
    assert "\nreproduced: " in capsys.readouterr().out
    assert flowlib("evaluate", unbroken, "--part", "validation", "--images", 180) == 0
    assert capsys.readouterr().out.splitlines()[-1].startswith("reproduced: a difference up to 0.0005")
    assert flowlib("evaluate", unbroken, "--part", "train", "--images", 50) == 0
    assert "not compared: the card says nothing of train images" in capsys.readouterr().out


def test_evaluate_says_where_a_card_is_not_reproduced(unbroken, tmp_path, capsys):
    card, tensors = read(unbroken, "model")
    card["test"]["bits_per_dim"] -= 0.3 * card["test"]["error"]
    save(tmp_path, "model", tensors, card)
    assert flowlib("evaluate", tmp_path) == 1
    assert "NOT reproduced" in capsys.readouterr().out


def test_sample_draws_a_picture(unbroken, tmp_path):
    from PIL import Image

    out = tmp_path / "samples.png"
    assert flowlib("sample", unbroken, "--n", 20, "--temperature", 0.7, "--out", out) == 0
    with Image.open(out) as page:
        assert page.size == (582, 118)  # ten and two squares of 56, gaps of 2
    first = out.read_bytes()
    flowlib("sample", unbroken, "--n", 20, "--temperature", 0.7, "--out", out)
    assert out.read_bytes() == first


def test_weights_can_be_stored_in_half_the_bytes(tmp_path, capsys):
    for storage in ("bfloat16", "float16"):
        out = tmp_path / storage
        assert flowlib("train", *TINY, "--steps", 2, "--draws", 1, "--storage", storage, "--out", out) == 0
        _, tensors = read(out, "model")
        assert {value.dtype for value in tensors.values() if value.is_floating_point()} == {getattr(torch, storage)}
        assert load(out).log_prob(images.digits().test.images[:2]).dtype == torch.float32
        assert flowlib("evaluate", out) == 0
        assert flowlib("evaluate", out, "--part", "validation") == 0
        assert "before they were stored with fewer digits" in capsys.readouterr().out


def test_a_model_of_each_class(tmp_path, capsys):
    out = tmp_path / "run"
    words = [*TINY, "--steps", 2, "--conditional", "--draws", 1, "--out", out]
    assert flowlib("train", *words, "--dequantize", "variational") == 0
    model = load(out)
    assert model.card["classes"] == 10
    assert samples(model, 4, classes=10, label=3).shape == (4, 1, 8, 8)
    assert flowlib("sample", out, "--n", 2, "--label", 3, "--out", tmp_path / "3.png") == 0
    assert flowlib("sample", out, "--label", 10, "--out", tmp_path / "3.png") == 2
    assert "label must be one of 0, 1" in capsys.readouterr().err
    assert flowlib("evaluate", out) == 0


COUPLINGS = ["scales=1", "couplings=1", "width=4", "blocks=0"]
PATCHES = ["layers=2", "width=8", "heads=2", "depth=1", "hidden=(8,)", "bins=3"]


@pytest.mark.parametrize(("model", "small"), [("nice", COUPLINGS), ("real_nvp", COUPLINGS), ("transformer", PATCHES)])
def test_every_recipe_trains(model, small, tmp_path):
    words = ["--model", model, "--set", *small, "--alpha", 1e-3, "--steps", 1, "--batch", 8, "--draws", 1]
    assert flowlib("train", *words, "--out", tmp_path / "run") == 0
    assert load(tmp_path / "run").logit.alpha == 1e-3
    assert flowlib("train", *words, "--out", tmp_path / "run", "--resume") == 0  # the same settings, read from its card


def test_a_time_budget_ends_a_run_at_a_learning_rate_of_zero(tmp_path, monkeypatch):
    rates, ticks = [], count()
    monkeypatch.setattr(training, "time", SimpleNamespace(perf_counter=lambda: next(ticks) / 100))
    step = Trainer.take_step
    monkeypatch.setattr(Trainer, "take_step", lambda self, lr: (rates.append(lr), step(self, lr))[1])
    words = [*TINY, "--steps", 1_000_000, "--draws", 1, "--time-budget", 1.0, "--out", tmp_path / "run"]
    assert flowlib("train", *words) == 0
    assert json.loads((tmp_path / "run" / "model.json").read_text())["seconds"] == 1.0 and len(rates) == 100
    assert max(rates) > 0.95 * Settings.lr and rates[-1] < 0.03 * Settings.lr
    rates.clear()
    assert flowlib("train", *words, "--resume") == 0 and not rates  # its time is over


def test_the_bar_counts_to_the_time(tmp_path, monkeypatch):
    monkeypatch.setattr(loop, "watched", lambda: True)
    bar = trainer_of(Settings(**SMALL, steps=1_000_000, time_budget=840.0), tmp_path).bar().bar
    assert (bar.total, bar.n) == (840, 0) and "second 0 of 840" in str(bar)
    bar.close()


def test_a_pace_tells_speed_and_time_left(monkeypatch):
    now = iter([100.0, 110.0, 110.0, 170.0, 171.0])  # as it starts, tells twice, and is asked whether it was silent
    monkeypatch.setattr(pace, "time", SimpleNamespace(monotonic=lambda: next(now)))
    run = pace.Pace(batch=32, step=50, progress=0.5)
    assert run.words(step=60, progress=0.6) == "32 images a second, 0:00:40 left"
    assert not run.silent() and run.silent()


def test_a_log_file_hears_of_a_run_between_its_looks(tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(pace.Pace, "silent", lambda self: True)
    assert flowlib("train", *TINY, "--steps", 3, "--draws", 1, "--out", tmp_path / "run") == 0
    lines = [line for line in capsys.readouterr().out.splitlines() if line.startswith(("step 1: ", "step 2: "))]
    assert len(lines) == 2 and all("images a second, " in line and line.endswith(" left") for line in lines)


def test_losses_are_appended(tmp_path):
    """What stands in the file is left alone, whatever it is; a run that goes on writes it anew."""
    save_losses(tmp_path, [3.0, 2.5], listed=0)
    before = losses_of(tmp_path)
    (tmp_path / "losses.csv").write_text("\n".join([*before, "a line of a reader", ""]))
    save_losses(tmp_path, [3.0, 2.5, 2.0], listed=2)
    assert losses_of(tmp_path) == [*before, "a line of a reader", "3,2.0"]
    save_losses(tmp_path, [3.0, 2.5, 2.0], listed=0)
    assert losses_of(tmp_path) == [*before, "3,2.0"]


def test_temperature_0_is_one_image(unbroken):
    model = load(unbroken)
    one, other = (samples(model, 2, temperature=0.0, seed=seed) for seed in (0, 1))
    assert torch.equal(one, other) and torch.equal(one[0], one[1])


def test_fewer_batches_of_cifar10(monkeypatch):
    monkeypatch.setattr(images, "cifar10", lambda batches: batches)
    assert (data_set("cifar10"), data_set("cifar10", batches=2)) == (5, 2)


def test_training_leaves_the_random_state_alone(tmp_path):
    state = torch.get_rng_state()
    settings = Settings(**SMALL, steps=1)
    training.train(settings, *prepared(settings), tmp_path)
    assert torch.get_rng_state().equal(state)
