"""The bar of a fit: seen where somebody looks, and nowhere else."""

import re
import sys
import time

import pytest
from torch import Tensor

from flowlib.training import fit, fit_energy
from flowlib.training import loop as descent
from tests.training.fitting.examples import Bowl, points, small


def test_no_bar_where_nobody_looks(capsys) -> None:
    fit(small(), points(), steps=40)
    captured = capsys.readouterr()
    assert captured.out == captured.err == ""


def test_the_bar_shows_loss_floor_and_time_left(capsys, monkeypatch) -> None:
    pytest.importorskip("tqdm")
    monkeypatch.setattr(descent, "watched", lambda: True)

    class Slow(Bowl):
        def __call__(self, x: Tensor) -> Tensor:
            time.sleep(0.005)  # tqdm draws ten times a second at most
            return super().__call__(x)

    fit_energy(small(), Slow(), steps=40)
    shown = capsys.readouterr().err
    assert "loss" in shown and "= floor + " in shown and "left" in shown and "of 40" in shown


class Broken(Bowl):
    """An energy that raises, or is nan, at its 30th call."""

    def __init__(self, error: BaseException | None = None):
        self.error, self.calls = error, 0

    def __call__(self, x: Tensor) -> Tensor:
        self.calls += 1
        if self.calls == 30 and self.error is not None:
            raise self.error
        return super().__call__(x) * (float("nan") if self.calls == 30 else 1.0)


@pytest.mark.parametrize("error", [None, KeyboardInterrupt()], ids=["nan", "stop"])
def test_a_bar_that_ends_early_stays_at_the_step_of_the_message(error, capsys, monkeypatch) -> None:
    pytest.importorskip("tqdm")
    monkeypatch.setattr(descent, "watched", lambda: True)
    monkeypatch.setattr(descent, "STOPPED", [])
    if error is None:
        with pytest.raises(FloatingPointError, match=r"nan or infinite at step (\d+)") as raised:
            fit_energy(small(), Broken(), steps=1000)
        step, words = re.search(r"at step (\d+)", str(raised.value))[1], "nan or infinite at step {}"
    else:
        step = re.search(r"after (\d+) of", fit_energy(small(), Broken(error), steps=1000).stopped)[1]
        words = "stopped by hand after {} of 1000 steps"
    last = capsys.readouterr().err.split("\r")[-1]
    assert words.format(step) in last and f"step {step} of 1000" in last


@pytest.mark.parametrize(("allowed", "expected"), [(True, True), (False, False)])
def test_a_live_page_is_one_that_can_answer(allowed: bool, expected: bool, monkeypatch) -> None:
    from types import SimpleNamespace

    shell = SimpleNamespace(kernel=SimpleNamespace(_allow_stdin=allowed))
    monkeypatch.setitem(sys.modules, "IPython", SimpleNamespace(get_ipython=lambda: shell))
    assert descent.watched() is expected
