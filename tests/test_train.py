"""`flowlib train`, `sample` and `evaluate`: runs that end, that are killed, that are shared, and errors in words."""

import errno
import json
import os
import signal
import subprocess
import sys
from functools import partial
from itertools import count
from pathlib import Path
from types import SimpleNamespace

import pytest
import torch

from flowlib import load
from flowlib import train as training
from flowlib.__main__ import main
from flowlib.checkpoint_files import read, save
from flowlib.checkpoints import FOLDER
from flowlib.datasets import images
from flowlib.evaluation import Score, picture, samples, score
from flowlib.precision import networks_in_bfloat16
from flowlib.pretrained import DATA, names
from flowlib.processes import Processes, choose_device
from flowlib.run_files import kept_tensors
from flowlib.settings import Settings
from flowlib.stateless import Batches
from flowlib.train import Objective, Trainer, rate

TINY = ["--data", "digits", "--model", "glow", "--set", "levels=1", "steps=2", "width=8", "--batch", "32"]
SMALL = {"arguments": {"levels": 1, "steps": 2, "width": 8}, "batch": 32, "draws": 2}
RUN = [*TINY, "--steps", "60", "--checkpoint-every", "5", "--evaluate-every", "30", "--draws", "2"]
ROOT = Path(__file__).parent.parent
ENVIRONMENT = {**os.environ, "PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"}


def flowlib(*words: object) -> int:
    return main([str(word) for word in words])


def losses_of(folder: Path) -> list[str]:
    return (folder / "losses.csv").read_text().splitlines()


@pytest.fixture(scope="module")
def unbroken(tmp_path_factory):
    """A run of 60 steps from start to end."""
    out = tmp_path_factory.mktemp("runs") / "unbroken"
    assert flowlib("train", *RUN, "--out", out) == 0
    return out


@pytest.fixture
def trainer(tmp_path):
    return Trainer(Settings(**SMALL), tmp_path)


# ---- a run


def test_a_run_leaves_its_losses_a_picture_and_a_model(unbroken):
    lines = losses_of(unbroken)
    assert len(lines) == 61 and lines[0] == "step,bits_per_dim"
    first, last = (float(line.split(",")[1]) for line in (lines[1], lines[-1]))
    assert last < first - 0.2
    assert sorted(path.name for path in unbroken.glob("*.png")) == ["samples-000030.png", "samples-000060.png"]
    model = load(unbroken)
    assert not model.training and model.card["steps"] == 60 and model.card["arguments"] == SMALL["arguments"]
    assert model.sample(3).shape == (3, 1, 8, 8)


def test_the_card_says_how_the_model_was_made(unbroken):
    card = json.loads((unbroken / "model.json").read_text())
    about = {"data", "model", "arguments", "steps", "seconds", "device", "precision", "command", "test", "parameters"}
    assert about < card.keys()
    assert card["device"] == "CPU" and card["test"]["images"] == 360 and card["test"]["error"] > 0
    assert card["command"].startswith(
        "flowlib train --data digits --model glow --set levels=1 steps=2 width=8 --steps 60"
    )
    assert str(unbroken.parent) not in json.dumps(card)  # no path of this machine


def test_the_command_of_a_card_trains_the_same_model(unbroken, tmp_path, capsys):
    words = json.loads((unbroken / "model.json").read_text())["command"].split()[1:]
    assert flowlib(*words, "--out", tmp_path / "again") == 0
    assert losses_of(tmp_path / "again") == losses_of(unbroken)


def test_evaluate_reproduces_the_card(unbroken, capsys):
    assert flowlib("evaluate", unbroken) == 0
    assert "\nreproduced: " in capsys.readouterr().out
    assert flowlib("evaluate", unbroken, "--images", 100, "--seed", 1) == 0
    assert flowlib("evaluate", unbroken, "--part", "validation", "--draws", 1) == 0
    assert capsys.readouterr().out.splitlines()[-1].startswith("validation: ")


def test_evaluate_says_where_a_card_is_not_reproduced(unbroken, tmp_path, capsys):
    card, tensors = read(unbroken, "model")
    card["test"]["bits_per_dim"] -= 2 * card["test"]["error"]
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


def test_weights_can_be_stored_in_half_the_bytes(unbroken, tmp_path):
    for storage in ("bfloat16", "float16"):
        out = tmp_path / storage
        assert flowlib("train", *TINY, "--steps", 2, "--draws", 1, "--storage", storage, "--out", out) == 0
        _, tensors = read(out, "model")
        assert {value.dtype for value in tensors.values() if value.is_floating_point()} == {getattr(torch, storage)}
        assert load(out).log_prob(images.digits().test.images[:2]).dtype == torch.float32
        assert flowlib("evaluate", out) == 0


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


@pytest.mark.parametrize("model", ["nice", "real_nvp"])
def test_every_recipe_trains(model, tmp_path):
    small = ["--set", "levels=1", "couplings=1", "width=4", "blocks=0"]
    words = ["--model", model, *small, "--steps", 1, "--batch", 8, "--draws", 1]
    assert flowlib("train", *words, "--out", tmp_path / "run") == 0


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


# ---- killed, stopped, and resumed


KILLED = """
import os, signal, sys
from flowlib.__main__ import main
from flowlib.train import Trainer

def kill():
    os.kill(os.getpid(), signal.SIGKILL)

def step_then_kill(self, lr, step=Trainer.take_step):
    step(self, lr)
    if self.step == 23:
        kill()

def replace_or_kill(source, target, replace=os.replace, count=[0]):
    count[0] += target.name == "training.json"
    if count[0] == 6 and target.name == "training.json":  # of step 25: its tensors are written, its card is not
        kill()
    replace(source, target)

if sys.argv.pop(1) == "between two checkpoints":
    Trainer.take_step = step_then_kill
else:
    os.replace = replace_or_kill
main(sys.argv[1:])
"""


@pytest.mark.parametrize("moment", ["between two checkpoints", "in the middle of one"])
def test_a_run_that_was_killed_goes_on_to_the_same_numbers(unbroken, tmp_path, moment):
    out = tmp_path / "killed"
    command = [sys.executable, "-c", KILLED, moment, "train", *RUN, "--out", str(out)]
    assert subprocess.run(command, env=ENVIRONMENT, stdout=subprocess.DEVNULL).returncode == -signal.SIGKILL
    assert json.loads((out / "training.json").read_text())["step"] == 20
    assert flowlib("train", "--out", out, "--resume") == 0  # its settings are in the checkpoint
    assert losses_of(out) == losses_of(unbroken)  # to the last digit
    one, other = (read(folder, "model") for folder in (out, unbroken))
    assert all(torch.equal(value, other[1][name]) for name, value in one[1].items())
    assert one[0]["test"] == other[0]["test"]


@pytest.mark.parametrize("sign", [signal.SIGINT, signal.SIGTERM])
def test_ctrl_c_ends_a_run_after_a_step(unbroken, tmp_path, monkeypatch, capsys, sign):
    step, before = Trainer.take_step, signal.getsignal(sign)

    def interrupted(self, lr):
        if self.step == 13:
            signal.raise_signal(sign)
        step(self, lr)

    with monkeypatch.context() as patch:
        patch.setattr(Trainer, "take_step", interrupted)
        assert flowlib("train", *RUN, "--out", tmp_path / "run") == 130
    assert "--resume" in capsys.readouterr().out and signal.getsignal(sign) == before
    assert len(losses_of(tmp_path / "run")) == 15
    assert flowlib("train", *RUN, "--out", tmp_path / "run", "--resume") == 0
    assert losses_of(tmp_path / "run") == losses_of(unbroken)


def test_a_disk_that_fills_up_stops_a_run_that_then_goes_on(unbroken, tmp_path, monkeypatch, capsys):
    replace = os.replace

    def full(source, target):
        if Path(target).name.startswith("training-") and Path(target).parent.joinpath("samples-000030.png").exists():
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        replace(source, target)

    with monkeypatch.context() as patch:
        patch.setattr(os, "replace", full)
        assert flowlib("train", *RUN, "--out", tmp_path / "run") == 2
    assert "flowlib: The disk is full" in capsys.readouterr().err
    assert json.loads((tmp_path / "run" / "training.json").read_text())["step"] == 25
    assert flowlib("train", *RUN, "--out", tmp_path / "run", "--resume") == 0
    assert losses_of(tmp_path / "run") == losses_of(unbroken)


# ---- shared


def test_two_processes_take_the_steps_of_one(unbroken, tmp_path):
    out = tmp_path / "two"
    launcher = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2"]
    command = [*launcher, "-m", "flowlib", "train", *RUN, "--out", str(out)]
    done = subprocess.run(command, env=ENVIRONMENT, cwd=tmp_path, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert "Warning: " not in done.stderr
    assert done.stdout.count("step 60: ") == 1  # one of them speaks
    one, two = ([float(line.split(",")[1]) for line in losses_of(folder)[1:]] for folder in (unbroken, out))
    assert max(abs(a - b) for a, b in zip(one, two, strict=True)) < 1e-5
    cards = [json.loads((folder / "model.json").read_text()) for folder in (unbroken, out)]
    assert cards[1]["processes"] == 2
    assert cards[1]["test"]["bits_per_dim"] == pytest.approx(cards[0]["test"]["bits_per_dim"], abs=1e-5)


def test_shares_make_up_the_batch():
    rows = torch.arange(12)
    assert torch.cat([rows[Processes(rank, 3).share(12)] for rank in range(3)]).equal(rows)
    with pytest.raises(ValueError, match="A batch of 10 cannot be shared evenly by 3 processes"):
        Processes(0, 3).share(10)


def test_batches_depend_on_seed_and_step_alone():
    batches = Batches(10, 3, seed=0)
    steps = [batches.rows(step) for step in range(9)]
    for epoch in (steps[:3], steps[3:6], steps[6:]):
        assert len(set(torch.cat(epoch).tolist())) == 9
    assert Batches(10, 3, seed=0).rows(7).equal(steps[7])
    assert not Batches(10, 3, seed=1).rows(7).equal(steps[7])
    with pytest.raises(ValueError, match="A batch of 11 is more than the 10 training images"):
        Batches(10, 11, seed=0)


# ---- precision, layout, compilation


def loss_of(trainer: Trainer) -> torch.Tensor:
    torch.manual_seed(0)
    return trainer.objective(*trainer.batch(torch.arange(32)), slice(None))


def test_networks_compute_in_bfloat16_and_log_determinants_in_float32(trainer):
    for _ in range(5):
        trainer.take_step(1e-2)  # a network that starts at zero rounds nothing
    exact = loss_of(trainer)
    networks_in_bfloat16(trainer.model)
    seen = []
    for module in trainer.model.modules():
        if isinstance(module, torch.nn.Conv2d):
            module.register_forward_hook(lambda module, inputs, output: seen.append(output.dtype))
    rounded = loss_of(trainer)
    assert set(seen) == {torch.bfloat16} and rounded.dtype == torch.float32
    assert 0 < abs(rounded - exact) < 0.01
    _, log_det = trainer.model.flow.transform.inverse(torch.randn(2, 1, 8, 8))
    assert log_det.dtype == torch.float32
    seen.clear()
    trainer.model.eval()
    assert loss_of(trainer).isclose(exact, atol=1e-6) and torch.bfloat16 not in seen  # evaluated without rounding


def test_channels_last_changes_the_layout_alone(trainer, tmp_path):
    other = Trainer(Settings(**SMALL, channels_last=True), tmp_path)
    kernels = [value for value in other.parameters.values() if value.dim() == 4 and value.shape[-1] == 3]
    assert all(value.is_contiguous(memory_format=torch.channels_last) for value in kernels)
    assert loss_of(other).isclose(loss_of(trainer), atol=1e-5)


def test_the_density_compiles_in_one_piece(trainer, monkeypatch):
    plain = loss_of(trainer)
    monkeypatch.setattr(torch, "compile", partial(torch.compile, backend="aot_eager", fullgraph=True))
    trainer.objective = Objective(trainer.model, compile=True)
    assert loss_of(trainer).isclose(plain, atol=1e-5)
    networks_in_bfloat16(trainer.model)
    torch._dynamo.reset()
    assert loss_of(trainer).isclose(plain, atol=1e-2)


def test_averaged_weights_are_lent_and_given_back(trainer):
    for _ in range(3):
        trainer.take_step(1e-2)
    own = {name: value.clone() for name, value in trainer.parameters.items()}
    with trainer.averaged_model() as model:
        assert not model.training
        assert any(not value.equal(own[name]) for name, value in trainer.parameters.items())
    assert trainer.model.training and all(value.equal(own[name]) for name, value in trainer.parameters.items())


def test_the_weights_that_were_best_are_kept(tmp_path, monkeypatch):
    found = iter([3.0, 2.0, 2.5])
    monkeypatch.setattr(training, "score", lambda *_: Score(1, 1, next(found, 9.0), 0.1, 1.0, 0.1))
    seen = []
    evaluate = Trainer.evaluate
    monkeypatch.setattr(Trainer, "evaluate", lambda self: (evaluate(self), seen.append(kept_tensors(self))))
    training.train(Settings(**SMALL, steps=6, evaluate_every=2), tmp_path)
    card, tensors = read(tmp_path, "model")
    assert card["validation"]["step"] == 4 and card["steps"] == 6
    assert all(value.equal(seen[1][name]) for name, value in tensors.items())
    assert not all(value.equal(seen[0][name]) for name, value in tensors.items())


def test_the_learning_rate_grows_and_falls():
    assert [round(rate(progress, 0.2), 4) for progress in (0.0, 0.1, 0.2, 0.6, 1.0)] == [0.0, 0.5, 1.0, 0.5, 0.0]
    assert rate(0.0, 0.0) == 1.0


def test_a_score_does_not_depend_on_who_shares_the_work(trainer, monkeypatch):
    """Shares are chunks, so the sums of two processes are those of one."""
    whole = score(trainer.model.eval(), trainer.data.validation, draws=8)
    parts = []
    monkeypatch.setattr(Processes, "total", lambda self, value: parts.append(value.clone()) or value)
    for rank in (0, 1):
        score(trainer.model, trainer.data.validation, draws=8, processes=Processes(rank, 2))
    assert float((parts[0] + parts[1])[0] / 180) == pytest.approx(whole.bits_per_dim, abs=1e-12)
    assert whole.bound < whole.bits_per_dim and whole.error > 0


def test_a_picture_has_a_row_for_ten_images_and_colors():
    assert picture(torch.zeros(11, 3, 32, 32, dtype=torch.uint8), 256).startswith(b"\x89PNG")


# ---- errors in words


@pytest.fixture
def says(capsys):
    """Run a command that must fail, and what it says."""

    def run(*words: object) -> str:
        capsys.readouterr()
        assert flowlib(*words) == 2
        return capsys.readouterr().err

    return run


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
    "data": (["--data", "mnits"], "data must be one of 'digits', 'mnist', 'fashion_mnist', 'cifar10'; got 'mnits'"),
    "model": (["--model", "glwo"], "model must be one of 'glow', 'nice', 'real_nvp'; got 'glwo'"),
    "argument": (["--set", "wdth=3"], "glow takes levels, steps, width; got wdth"),
    "no argument": (["--set", "width"], "typed as name=value, e.g. width=32; got 'width'"),
    "batch": (["--batch", "5000"], "A batch of 5,000 is more than the 1,257 training images"),
    "steps": (["--steps", "0"], "steps must be a whole number, 1 or more; got 0"),
    "warmup": (["--warmup", "1.5"], "warmup must be at least 0 and below 1; got 1.5"),
    "lr": (["--lr", "-1"], "lr must be a finite number greater than 0"),
    "precision": (["--precision", "float8"], "precision must be one of"),
    "levels": (["--set", "levels=9"], "levels must be"),
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
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 1)
    with pytest.raises(ValueError, match="There is no GPU number 7: this machine has 1"):
        choose_device("cuda:7")
    assert choose_device("auto", local_rank=0) == torch.device("cuda", 0)


def test_a_full_gpu_is_named(monkeypatch, says, tmp_path):
    def full(self, lr):
        raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate ...")

    monkeypatch.setattr(Trainer, "take_step", full)
    assert "the GPU is full. Use a smaller --batch" in says("train", *TINY, "--out", tmp_path / "run")


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
    save(tmp_path, "training", {}, card)
    assert "is missing" in says("train", "--out", tmp_path, "--resume")


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
    save(tmp_path, "model", tensors, card | {"arguments": {"levels": 1, "steps": 3, "width": 8}})
    assert "the card does not fit the tensors" in says("sample", tmp_path)
    save(tmp_path, "model", tensors, {key: value for key, value in card.items() if key != "shape"})
    assert "the card says nothing of shape" in says("sample", tmp_path)
    path = unbroken / card["tensors"]["file"]
    save(tmp_path, "model", tensors, card)
    (tmp_path / path.name).write_bytes(path.read_bytes()[:1000])
    assert "it has 1,000 bytes" in says("evaluate", tmp_path)


def test_a_label_for_a_model_without_classes_is_refused(unbroken, says):
    assert "trained without classes" in says("sample", unbroken, "--label", 3)


# ---- the checkpoints that come with flowlib


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


def test_a_score_prints_its_error():
    assert str(Score(360, 1, 2.0, 0.01, 2.0, 0.01)) == "2.0000 ± 0.0100 bits per dimension on 360 images"
    assert "1.9000 by the bound of 4 draws" in str(Score(360, 4, 2.0, 0.01, 1.9, 0.01))


def test_training_leaves_the_random_state_alone(tmp_path):
    state = torch.get_rng_state()
    training.train(Settings(**SMALL, steps=1), tmp_path)
    assert torch.get_rng_state().equal(state)
