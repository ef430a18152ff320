"""Runs that several processes share: the steps of one."""

import json
import signal
import subprocess
import sys
import time

import pytest
import torch
import torch.distributed as dist

from flowlib.training.evaluation import score
from flowlib.training.processes import Processes, processes
from flowlib.training.seeds import Batches
from flowlib.training.trainer import CLOCK
from tests.training.trainer.runs import ENVIRONMENT, RUN, TINY, losses_of

TWO = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2", "-m", "flowlib"]


def test_two_processes_take_the_steps_of_one(unbroken, tmp_path):
    out = tmp_path / "two"
    command = [*TWO, "train", *RUN, "--out", str(out)]
    done = subprocess.run(command, env=ENVIRONMENT, cwd=tmp_path, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert "Warning: " not in done.stderr
    assert done.stdout.count("step 60: ") == 1  # one of them speaks
    one, two = ([float(line.split(",")[1]) for line in losses_of(folder)[1:]] for folder in (unbroken, out))
    assert max(abs(a - b) for a, b in zip(one, two, strict=True)) < 1e-5
    cards = [json.loads((folder / "model.json").read_text()) for folder in (unbroken, out)]
    assert cards[1]["processes"] == 2
    assert cards[1]["test"]["bits_per_dim"] == pytest.approx(cards[0]["test"]["bits_per_dim"], abs=1e-5)


def test_a_scheduler_that_ends_several_processes_leaves_a_checkpoint(tmp_path):
    out = tmp_path / "two"
    command = [*TWO, "train", *TINY, "--steps", "100000", "--checkpoint-every", "100000", "--out", str(out)]
    run = subprocess.Popen(command, env=ENVIRONMENT, cwd=tmp_path, stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
    try:
        for _ in range(600):
            if (out / "training.json").exists() or run.poll() is not None:
                break
            time.sleep(0.1)
        time.sleep(1.0)
        run.send_signal(signal.SIGTERM)
        said = run.communicate(timeout=60)[0].decode()
    finally:
        run.kill()
    step = json.loads((out / "training.json").read_text())["step"]
    assert step > 0 and step % CLOCK == 0, said
    assert "with --resume goes on" in said


def test_one_gpu_for_all_processes_is_refused(monkeypatch):
    monkeypatch.setenv("WORLD_SIZE", "2")
    with pytest.raises(ValueError, match="--device cuda:0 puts all 2 processes on one GPU"), processes("cuda:0"):
        pass


@pytest.mark.parametrize("rank", [0, 1])
def test_the_first_process_downloads_before_the_others_look(rank, monkeypatch):
    order = []
    monkeypatch.setattr(dist, "barrier", lambda: order.append("all wait"))
    Processes(rank, 2).in_turn(lambda: order.append("looks for the images"))
    assert order == (["looks for the images", "all wait"] if rank == 0 else ["all wait", "looks for the images"])


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


def test_a_score_does_not_depend_on_who_shares_the_work(trainer, monkeypatch):
    """Shares are chunks, so the sums of two processes are those of one."""
    whole = score(trainer.model.eval(), trainer.data.validation, draws=8)
    parts = []
    monkeypatch.setattr(Processes, "total", lambda self, value: parts.append(value.clone()) or value)
    for rank in (0, 1):
        score(trainer.model, trainer.data.validation, draws=8, processes=Processes(rank, 2))
    assert float((parts[0] + parts[1])[0] / 180) == pytest.approx(whole.bits_per_dim, abs=1e-12)
    assert whole.bound < whole.bits_per_dim and whole.error > 0
