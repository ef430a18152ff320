"""The bar of a fit: seen where somebody looks, and nowhere else."""

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


@pytest.mark.parametrize(("allowed", "expected"), [(True, True), (False, False)])
def test_a_live_page_is_one_that_can_answer(allowed: bool, expected: bool, monkeypatch) -> None:
    from types import SimpleNamespace

    shell = SimpleNamespace(kernel=SimpleNamespace(_allow_stdin=allowed))
    monkeypatch.setitem(sys.modules, "IPython", SimpleNamespace(get_ipython=lambda: shell))
    assert descent.watched() is expected
