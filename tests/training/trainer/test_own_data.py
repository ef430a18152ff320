"""`flowlib` on a folder of pictures that nobody prepared: train, resume, prolong, evaluate, sample."""

import json
import multiprocessing
import shutil
import signal
import sys
import time
from pathlib import Path

import numpy as np
import pytest

from flowlib import load
from flowlib.datasets.images import digits
from flowlib.training.run_files import alone
from flowlib.training.trainer import Trainer
from tests.training.trainer.runs import flowlib
from tools import textures

SMALL = ["--model", "glow", "--set", "scales=1", "steps=1", "width=4", "--batch", 8, "--draws", 2]


@pytest.fixture(scope="module")
def folder(tmp_path_factory) -> Path:
    """Textures of four kinds."""
    path = tmp_path_factory.mktemp("own") / "textures"
    sys.argv, before = ["textures", str(path), "--n", "6"], sys.argv
    textures.main()
    sys.argv = before
    return path


def test_train_prolong_evaluate_and_sample(folder, tmp_path, capsys) -> None:
    out = tmp_path / "run"
    words = ["--data", folder, "--size", 8, "--conditional", *SMALL, "--out", out]
    assert flowlib("train", *words, "--steps", 4) == 0
    card = json.loads((out / "model.json").read_text())
    assert (card["shape"], card["classes"], card["steps"]) == ([3, 8, 8], 4, 4)
    assert flowlib("train", "--resume", "--steps", 8, "--out", out) == 0
    assert json.loads((out / "model.json").read_text())["steps"] == 8
    assert len((out / "losses.csv").read_text().splitlines()) == 9
    capsys.readouterr()
    assert flowlib("evaluate", out) == 0
    assert "\nreproduced: " in capsys.readouterr().out
    assert flowlib("sample", out, "--n", 4, "--out", tmp_path / "x.npy", "--temperature", 0) == 0
    assert np.load(tmp_path / "x.npy").shape == (4, 3, 8, 8)
    assert flowlib("sample", out, "--n", 4, "--out", tmp_path / "x.jpg") == 0
    assert (tmp_path / "x.jpg").read_bytes()[6:10] == b"JFIF"
    assert flowlib("sample", out, "--n", 4, "--out", tmp_path / "x.xyz") == 2
    assert "no picture format for '.xyz'" in capsys.readouterr().err


def test_other_images_are_not_compared(folder, tmp_path, capsys) -> None:
    out = tmp_path / "run"
    assert flowlib("train", "--data", folder, "--size", 8, *SMALL, "--steps", 1, "--out", out) == 0
    np.save(tmp_path / "a.npy", np.random.default_rng(0).integers(0, 256, (20, 3, 64, 64)))
    assert flowlib("evaluate", out, "--data", tmp_path / "a.npy") == 2
    np.save(tmp_path / "b.npy", np.random.default_rng(0).integers(0, 256, (20, 3, 8, 8)))
    card = json.loads((out / "model.json").read_text())
    (out / "model.json").write_text(json.dumps(card | {"size": None}))
    capsys.readouterr()
    assert flowlib("evaluate", out, "--data", tmp_path / "b.npy") == 0
    assert "not compared: these are other images" in capsys.readouterr().out


def test_info(capsys) -> None:
    assert flowlib("info", "digits-glow") == 0
    shown = capsys.readouterr().out
    assert "2.1278" in shown and "GlowNet" in shown and "flowlib train --data digits" in shown


def hold(out: Path, held) -> None:
    with alone(out):
        held.set()
        time.sleep(60)


def test_two_runs_in_one_folder(tmp_path, says) -> None:
    """The second one is refused; once the first was killed, its lock is gone."""
    out = tmp_path / "run"
    context = multiprocessing.get_context("spawn")
    held = context.Event()
    other = context.Process(target=hold, args=(out, held))
    other.start()
    try:
        assert held.wait(60)
        assert "another run trains into this folder right now" in says("train", *SMALL, "--steps", 1, "--out", out)
    finally:
        other.kill()
        other.join()
    assert flowlib("train", *SMALL, "--steps", 1, "--out", out) == 0


@pytest.mark.parametrize("test", [{"images": 3}, "high", {"images": "many", "draws": 1, "bits_per_dim": 1, "error": 1}])
def test_a_card_whose_score_cannot_be_read(test, unbroken, tmp_path, says) -> None:
    from flowlib.models.checkpoint import read, save

    card, tensors = read(unbroken, "model")
    save(tmp_path, "model", tensors, {**card, "test": test})
    assert "its card has no score that can be read" in says("evaluate", tmp_path)


def test_a_card_may_say_more_than_is_known(unbroken, tmp_path) -> None:
    from flowlib.models.checkpoint import read, save

    card, tensors = read(unbroken, "model")
    save(tmp_path, "model", tensors, {**card, "test": {**card["test"], "mood": "good"}})
    assert flowlib("evaluate", tmp_path) == 0


def test_weights_that_are_no_numbers(unbroken, tmp_path, says) -> None:
    from flowlib.models.checkpoint import read, save

    card, tensors = read(unbroken, "model")
    name = next(name for name, value in tensors.items() if value.is_floating_point())
    tensors[name].view(-1)[0] = float("nan")
    save(tmp_path, "model", tensors, card)
    assert f"{name} holds nan or inf" in says("evaluate", tmp_path)


def test_a_stop_outside_the_steps_is_said(monkeypatch, tmp_path, capsys) -> None:
    def stop(*_: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("flowlib.training.trainer.Trainer.finish", stop)
    assert flowlib("train", *SMALL, "--steps", 1, "--out", tmp_path / "run") == 130
    assert "--resume goes on from the last checkpoint" in capsys.readouterr().err
    monkeypatch.undo()
    assert flowlib("train", "--resume", "--out", tmp_path / "run") == 0


def test_a_stop_before_the_first_checkpoint_promises_nothing(monkeypatch, tmp_path, capsys) -> None:
    def stop(*_: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("flowlib.__main__.prepared", stop)
    assert flowlib("train", *SMALL, "--steps", 1, "--out", tmp_path / "run") == 130
    assert capsys.readouterr().err == "stopped\n"


@pytest.mark.parametrize("moment", ["bar", "evaluate"])  # before the first step; in the look after the last one
def test_a_stop_that_no_step_hears_ends_the_run_all_the_same(moment, monkeypatch, tmp_path, capfd) -> None:
    inner = getattr(Trainer, moment)

    def stopped(self, *arguments):
        signal.raise_signal(signal.SIGINT)
        return inner(self, *arguments)

    out = tmp_path / "run"
    monkeypatch.setattr(Trainer, moment, stopped)
    assert flowlib("train", *SMALL, "--steps", 1, "--out", out) == 130
    assert "stopping after this step" in capfd.readouterr().err
    monkeypatch.undo()
    assert json.loads((out / "model.json").read_text())["test"] is None
    assert flowlib("train", "--resume", "--out", out) == 0
    assert json.loads((out / "model.json").read_text())["test"] is not None


def test_a_new_run_begins_with_a_finished_one(unbroken, tmp_path, says) -> None:
    """Its recipe is that of the other model, its images and steps are chosen; only its own run goes on."""
    np.save(tmp_path / "a.npy", digits().train.images[:40].numpy())
    out, words = tmp_path / "run", ["--steps", 1, "--batch", 8, "--draws", 1, "--lr", 1e-9]
    assert flowlib("train", "--start", unbroken, "--data", tmp_path / "a.npy", *words, "--out", out) == 0
    assert load(out).card["arguments"] == load(unbroken).card["arguments"]
    before, after = load(unbroken).state_dict(), load(out).state_dict()
    assert all((value.double() - before[name].double()).abs().max() < 1e-6 for name, value in after.items())
    assert flowlib("train", "--resume", "--steps", 2, "--out", out) == 0
    np.save(tmp_path / "b.npy", np.zeros((12, 4, 4), np.uint8))
    message = says("train", "--start", unbroken, "--data", tmp_path / "b.npy", *words, "--out", tmp_path / "other")
    assert "is a model of images of shape (1, 8, 8), so it cannot be the start of one of (1, 4, 4)" in message


def test_a_run_goes_on_with_its_own_images_only(folder, tmp_path, says) -> None:
    images, out = tmp_path / "images", tmp_path / "run"
    shutil.copytree(folder, images)
    assert flowlib("train", "--data", images, "--size", 8, *SMALL, "--steps", 1, "--out", out) == 0
    next(images.glob("*/*.png")).unlink()
    assert "are no longer those of this run" in says("train", "--resume", "--steps", 2, "--out", out)
    images.rename(tmp_path / "elsewhere")
    assert "they are not here. Say where they are with --data" in says("evaluate", out)


def test_classes_are_those_of_the_model(folder, tmp_path, says) -> None:
    grey = tmp_path / "grey.npy"
    np.save(grey, np.zeros((12, 8, 8), np.uint8))
    words = [*SMALL, "--steps", 1, "--conditional", "--out", tmp_path / "run"]
    assert "--conditional needs images of several classes" in says("train", "--data", grey, *words)
    assert flowlib("train", "--data", folder, "--size", 8, *words) == 0
    five = tmp_path / "five.npz"
    np.savez(five, images=np.zeros((12, 3, 8, 8), np.uint8), labels=np.arange(12) % 5)
    card = json.loads((tmp_path / "run" / "model.json").read_text())
    (tmp_path / "run" / "model.json").write_text(json.dumps(card | {"size": None}))
    assert "in 256 levels and 4 classes; five" in says("evaluate", tmp_path / "run", "--data", five)


@pytest.mark.parametrize("text", ["", "step;seconds\n3;4\n"])
def test_a_log_that_others_have_written_to(text, tmp_path, capsys) -> None:
    assert flowlib("train", *SMALL, "--steps", 1, "--out", tmp_path) == 0
    (tmp_path / "log.csv").write_text(text)
    assert flowlib("train", "--resume", "--steps", 2, "--out", tmp_path) == (2 if text else 0)
    assert ("Delete it, and the run goes on" in capsys.readouterr().err) == bool(text)


def test_a_wrong_ending_is_said_before_the_work(monkeypatch, tmp_path, says) -> None:
    monkeypatch.setattr("flowlib.__main__.samples", lambda *_: pytest.fail("drew images"))
    assert "no picture format for ''" in says("sample", "digits-glow", "--out", tmp_path / "samples")


@pytest.mark.parametrize("command", ["sample", "evaluate"])
def test_a_seed_is_counted_from_0(command, says) -> None:
    assert "seed must be a whole number, 0 or more; got -1" in says(command, "digits-glow", "--seed", -1)
