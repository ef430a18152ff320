"""What goes wrong is said in words, with the way out."""

import errno
import io
import json
import os
import sys

import pytest
import torch

from flowlib.__main__ import main
from flowlib.models.checkpoint import FORMAT, read, save
from flowlib.training.precision import networks_precision
from flowlib.training.processes import choose_device
from flowlib.training.settings import Settings
from flowlib.training.trainer import Trainer
from tests.training.trainer.runs import RUN, TINY


def test_help_names_every_command_and_setting(capsys):
    for words, expected in [
        (["--help"], ["train", "sample", "evaluate"]),
        (["train", "--help"], ["--resume", "--out"]),
    ]:
        with pytest.raises(SystemExit) as end:
            main(words)
        assert end.value.code == 0
        shown = capsys.readouterr().out
        assert all(word in shown for word in expected)
    assert all(f"--{name.replace('_', '-')}" in shown for name in vars(Settings()) if name != "arguments")


WRONG = {
    "data": (["--data", "mnits"], "'cifar10', or a folder of pictures, or a .npy or .npz file; got 'mnits'"),
    "model": (
        ["--model", "glwo"],
        "model must be one of 'glow', 'nice', 'real_nvp', 'residual', 'transformer', 'fast_flow'; got 'glwo'",
    ),
    "argument": (["--set", "wdth=3"], "glow takes scales, steps, width; got wdth"),
    "no argument": (["--set", "width"], "typed as name=value, e.g. width=32; got 'width'"),
    "batch": (["--batch", "5000"], "A batch of 5,000 is more than the 1,257 training images"),
    "steps": (["--steps", "0"], "steps must be a whole number, 1 or more; got 0"),
    "warmup": (["--warmup", "1.5"], "warmup must be at least 0 and below 1; got 1.5"),
    "alpha": (["--alpha", "0.5"], "alpha must be at least 1e-06 and below 1/2; got 0.5"),
    "rim": (["--alpha", "1e-9"], "alpha must be at least 1e-06"),
    "hidden": (["--model", "transformer", "--set", "hidden=8"], "hidden must be a list of sizes of hidden layers"),
    "size": (["--size", "16"], "--size is for pictures of your own; the images of digits have their size"),
    "threads": (["--threads", "0"], "threads must be a whole number, 1 or more; got 0"),
    "lr": (["--lr", "-1"], "lr must be a finite number greater than 0"),
    "precision": (["--precision", "float8"], "precision must be one of"),
    "scales": (["--set", "scales=9"], "scales must be"),
    "device": (["--device", "tpu"], "device must be 'auto', 'cpu', 'cuda'"),
}


@pytest.mark.parametrize("name", WRONG)
def test_a_wrong_setting_is_named(name, says, tmp_path):
    words, expected = WRONG[name]
    assert expected in says("train", *words, "--out", tmp_path / "run")
    assert not (tmp_path / "run").exists()


def test_a_missing_gpu_is_named(monkeypatch, says):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    assert "There is no GPU for --device cuda: this PyTorch is built for" in says("train", *TINY, "--device", "cuda")
    assert choose_device("auto") == torch.device("cpu")
    monkeypatch.setattr(torch.backends.mps, "is_available", lambda: False)
    assert "There is no GPU of Apple's for --device mps" in says("train", *TINY, "--device", "mps")
    monkeypatch.setattr(torch.backends.mps, "is_available", lambda: True)
    assert choose_device("mps") == torch.device("mps")
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 1)
    with pytest.raises(ValueError, match="There is no GPU number 7: this machine has 1"):
        choose_device("cuda:7")
    assert choose_device("auto", local_rank=0) == torch.device("cuda", 0)


def test_a_full_gpu_is_named(monkeypatch, says, tmp_path):
    def full(*_: object) -> None:
        raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate ...")

    monkeypatch.setattr(Trainer, "take_step", full)
    assert "the GPU is full. Use a smaller --batch" in says("train", *TINY, "--out", tmp_path / "run")
    monkeypatch.setattr("flowlib.__main__.samples", full)
    told = says("sample", "digits-glow", "--out", tmp_path / "samples.png")
    assert "the GPU is full." in told and "--batch" not in told  # sample has none


def test_float32_is_float32_on_a_gpu_too(monkeypatch, says):
    monkeypatch.setattr(torch.backends.cudnn, "allow_tf32", True)
    monkeypatch.setattr(torch.backends.cudnn, "deterministic", False)
    says("evaluate", "mnits")
    assert (torch.backends.cudnn.allow_tf32, torch.backends.cudnn.deterministic) == (False, True)


@pytest.mark.parametrize(("has", "precision"), [(True, "bfloat16"), (False, "float32")])
def test_bfloat16_is_taken_where_a_gpu_has_it(has, precision, monkeypatch):
    monkeypatch.setattr(torch.cuda, "is_bf16_supported", lambda including_emulation: has and not including_emulation)
    assert networks_precision("auto", torch.device("cuda")) == precision
    assert networks_precision("auto", torch.device("cpu")) == "float32"
    assert networks_precision("bfloat16", torch.device("cpu")) == "bfloat16"


def test_threads_are_as_many_as_asked_for(monkeypatch, says):
    asked = []
    monkeypatch.setattr(torch, "set_num_threads", asked.append)
    says("evaluate", "mnits", "--threads", 3)
    assert asked == [3]


def test_a_run_is_not_overwritten(unbroken, says):
    assert "holds a run already. Go on with --resume" in says("train", *RUN, "--out", unbroken)


def test_another_run_is_not_resumed(unbroken, says, tmp_path):
    said = says("train", "--model", "nice", "--lr", 0.1, "--out", unbroken, "--resume")
    assert "glow takes" in said or "nice takes" in said  # its arguments are those of a glow
    said = says("train", "--lr", 0.1, "--batch", 16, "--out", unbroken, "--resume")
    assert "holds another run: batch was 32, is 16; lr was 0.001, is 0.1" in said
    assert "training.json is missing" in says("train", *RUN, "--out", tmp_path / "none", "--resume")


def test_tensors_of_another_model_are_not_resumed(unbroken, says, tmp_path):
    card, tensors = read(unbroken, "training")
    tensors["model/more"] = torch.zeros(1)
    save(tmp_path, "training", tensors, card)
    assert "more has no place" in says("train", "--out", tmp_path, "--resume")
    tensors.pop("model/more")
    save(tmp_path, "training", {name: value for name, value in tensors.items() if name != "losses/training"}, card)
    assert "cannot be resumed: its training checkpoint has no 'training'" in says(
        "train", "--out", tmp_path, "--resume"
    )
    save(tmp_path, "training", tensors, {key: value for key, value in card.items() if key != "step"})
    assert "has no 'step'" in says("train", "--out", tmp_path, "--resume")
    save(tmp_path, "training", {"losses/training": tensors["losses/training"]}, card)
    assert "is missing" in says("train", "--out", tmp_path, "--resume")


def test_a_run_of_an_earlier_format_is_not_resumed(unbroken, says, tmp_path):
    """Its tensors mean another map."""
    save(tmp_path, "training", *reversed(read(unbroken, "training")))
    card = tmp_path / "training.json"
    card.write_text(card.read_text().replace(f'"format": {FORMAT}', '"format": 1'))
    assert "an earlier flowlib has written it, in format 1" in says("train", "--out", tmp_path, "--resume")


def test_a_folder_that_cannot_be_written_to_is_found_at_once(monkeypatch, says, tmp_path):
    def refuse(*args, **kwargs):
        raise PermissionError(errno.EACCES, os.strerror(errno.EACCES))

    monkeypatch.setattr("tempfile.mkstemp", refuse)
    monkeypatch.setattr(Trainer, "take_step", lambda *_: pytest.fail("it took a step"))
    assert "Choose a folder of yours with --out" in says("train", *TINY, "--out", tmp_path / "run")


def test_a_loss_that_is_not_a_number_is_named(says, tmp_path):
    out = tmp_path / "run"
    said = says("train", *TINY, "--steps", 50, "--lr", 1e9, "--warmup", 0, "--checkpoint-every", 50, "--out", out)
    assert "the loss is nan or infinite at step" in said and "try --lr" in said
    assert json.loads((out / "training.json").read_text())["step"] == 0


def test_what_is_no_checkpoint_is_refused(unbroken, says, tmp_path):
    assert "'mnits' is neither a checkpoint that comes with flowlib (" in says("evaluate", "mnits")
    torch.save({"a": torch.zeros(1)}, tmp_path / "model.pt")
    assert "is a pickle, and is refused. A pickle can run any code" in says("sample", tmp_path / "model.pt")
    assert "model.json is missing" in says("sample", tmp_path)
    card, tensors = read(unbroken, "model")
    save(tmp_path, "model", tensors, card | {"arguments": {"scales": 1, "steps": 3, "width": 8}})
    assert "the card does not fit the tensors" in says("sample", tmp_path)
    save(tmp_path, "model", tensors, {key: value for key, value in card.items() if key != "shape"})
    assert "the card says nothing of shape" in says("sample", tmp_path)
    path = unbroken / card["tensors"]["file"]
    save(tmp_path, "model", tensors, card)
    (tmp_path / path.name).write_bytes(path.read_bytes()[:1000])
    assert "it has 1,000 bytes" in says("evaluate", tmp_path)


def test_a_label_for_a_model_without_classes_is_refused(unbroken, says):
    assert "trained without classes" in says("sample", unbroken, "--label", 3)


@pytest.mark.parametrize("option", ["images", "draws"])
def test_an_evaluation_of_nothing_is_refused(option, unbroken, says):
    assert f"evaluate: {option} must be a whole number, 1 or more; got 0" in says(
        "evaluate", unbroken, f"--{option}", 0
    )


def test_a_shorter_step_is_advised_that_may_help(says, tmp_path):
    told = says("train", *TINY, "--steps", 50, "--lr", 1e6, "--out", tmp_path / "run")
    assert "try --lr 0.001 (it was 1e+06)" in told


@pytest.mark.parametrize("encoding", ["cp1251", "cp437", "ascii"])
def test_a_console_without_a_sign_prints_a_question_mark(encoding, monkeypatch, tmp_path):
    console = io.TextIOWrapper(io.BytesIO(), encoding=encoding)
    monkeypatch.setattr(sys, "stdout", console)
    assert main(["train", *TINY, "--steps", "1", "--draws", "1", "--out", str(tmp_path / "run")]) == 0
    console.flush()
    shown = console.buffer.getvalue().decode(encoding)
    assert "1 ? 8 ? 8" in shown and "bits per dimension on 360 images" in shown
