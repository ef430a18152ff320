"""However a fit ends, the best weights are kept, and what went wrong is said."""

import pytest
import torch
from torch import Tensor

from flowlib.models import planar_flow, spline_flow
from flowlib.training import fit, fit_energy, loop
from tests.training.fitting.examples import Bowl, points, small, weights


def test_the_best_weights_are_kept_when_the_fit_goes_astray() -> None:
    """Twenty training points and a large flow: the held-out loss rises again."""
    torch.manual_seed(0)
    flow, x = spline_flow(layers=2), points(30)
    history = fit(flow, x, steps=150, lr=0.01)
    last = max(history.held_out)
    assert history.best_step < last and history.best < history.held_out[last]


def test_the_stop_button_keeps_the_best_and_returns(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(loop, "STOPPED", [])  # no other test has pressed it before

    class Impatient(Bowl):
        calls = 0

        def __call__(self, x: Tensor) -> Tensor:
            self.calls += 1
            if self.calls == 72:
                raise KeyboardInterrupt
            return super().__call__(x)

    flow = small()
    history = fit_energy(flow, Impatient(), steps=1000, lr=0.01, anneal=False)
    assert history.stopped == f"stopped by hand after {len(history.losses)} of 1000 steps"
    assert 60 < len(history.losses) < 72 and len(history.losses) in history.held_out
    assert history.best < history.held_out[0]
    assert "stopped by hand" in repr(history)


def test_nan_stops_with_step_and_cause_and_the_best_weights() -> None:
    class Cliff(Bowl):
        calls = 0

        def __call__(self, x: Tensor) -> Tensor:
            self.calls += 1
            return super().__call__(x) * (torch.nan if self.calls == 80 else 1.0)

    flow = small()
    with pytest.raises(FloatingPointError) as error:
        fit_energy(flow, Cliff(), steps=1000, lr=0.01, anneal=False)
    message = str(error.value)
    assert "fit_energy: the loss is nan or infinite at step 77." in message
    assert "the steps are too long; try lr=0.001" in message and "best weights again, those of step 50" in message
    assert weights(flow).isfinite().all() and not flow.training


def test_nan_in_fit_names_the_learning_rate() -> None:
    flow, x = planar_flow(layers=2, fast="density"), points()
    with pytest.raises(FloatingPointError, match=r"the steps are too long; try lr=1e\+29 .* of step 0\."):
        fit(flow, x, steps=50, lr=1e30)
    assert weights(flow).isfinite().all()


def test_nan_in_fit_names_points_without_density() -> None:
    from flowlib.bases import Uniform

    flow = planar_flow(layers=2, fast="density", base=Uniform([-1.0, -1.0], [1.0, 1.0]))
    with pytest.raises(
        FloatingPointError, match=r"log_prob is not finite for .* of 500 points even with the best weights"
    ):
        fit(flow, points(), steps=60)


def test_any_other_error_leaves_the_best_weights() -> None:
    class Broken(Bowl):
        calls = 0

        def __call__(self, x: Tensor) -> Tensor:
            self.calls += 1
            if self.calls > 70:
                raise RuntimeError("the disk is full")
            return super().__call__(x)

    flow = small()
    start = weights(flow)
    with pytest.raises(RuntimeError, match="the disk is full"):
        fit_energy(flow, Broken(), steps=1000, lr=0.01, anneal=False)
    assert weights(flow).isfinite().all() and not torch.equal(weights(flow), start)
