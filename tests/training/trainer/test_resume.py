"""Runs that are killed, stopped, or out of disk space, and go on to the same numbers."""

import errno
import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest
import torch

from flowlib.models.checkpoint import read
from flowlib.training.trainer import Trainer
from tests.training.trainer.runs import ENVIRONMENT, RUN, flowlib, losses_of

KILLED = """
import os, signal, sys
from flowlib.__main__ import main
from flowlib.training.trainer import Trainer

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
