"""What a fit can be told beside its data: weights, points of its own to hold out, patience, a callback, stops."""

import pytest
import torch

from flowlib.training import fit, fit_energy, loop
from tests.training.fitting.examples import Bowl, Moved, points, small, weights


def test_weights_say_how_much_a_row_counts() -> None:
    """Two clouds; the rows of one weigh nothing."""
    x = torch.cat([points(300), -points(300)])
    flow = small()
    fit(flow, x, steps=150, weights=(torch.arange(600) < 300).double(), lr=0.02)
    near, far = torch.full((1, 2), 3.0), torch.full((1, 2), -3.0)
    assert flow.log_prob(near) > flow.log_prob(far) + 3


def test_equal_weights_change_nothing() -> None:
    fits = [small(), small()]
    histories = [
        fit(flow, points(), steps=5, weights=given)
        for flow, given in zip(fits, (None, 3 * torch.ones(500)), strict=True)
    ]
    assert histories[0].losses == histories[1].losses and torch.equal(weights(fits[0]), weights(fits[1]))


@pytest.mark.parametrize("context_dim", [0, 1])
def test_points_of_ones_own_are_held_out(context_dim: int) -> None:
    context = torch.arange(500.0)[:, None] % 2 if context_dim else None
    own = Moved().sample(50, seed=9)
    held_out = (own, torch.zeros(50, 1)) if context_dim else own
    flow = small(context_dim)
    history = fit(flow, points(), steps=5, held_out=held_out, context=context)
    found = -flow.log_prob(own, torch.zeros(1) if context_dim else None).mean()
    assert history.best == pytest.approx(float(found), abs=1e-5)


def test_patience_ends_a_fit_that_gets_no_better() -> None:
    history = fit(small(), points(30), steps=2000, lr=0.05, patience=2)
    after = [step for step in history.held_out if step > history.best_step]
    assert len(after) == 2 and len(history.losses) < 2000
    assert history.stopped == f"stopped after {len(history.losses)} of 2000 steps: 2 looks, none better"


def test_a_callback_hears_of_each_look() -> None:
    heard = []
    history = fit(small(), points(), steps=120, callback=lambda step, history: heard.append((step, history.best)))
    assert [step for step, _ in heard] == [0, 50, 100, 120]
    assert heard[-1][1] == history.best


def test_an_energy_under_a_condition() -> None:
    """U(x, c) = ½ ‖x − c‖²: the flow learns to move to wherever the condition says."""
    conditions = torch.tensor([[-2.0, 0.0], [2.0, 1.0], [0.0, 0.0]])
    flow = small(context_dim=2)
    history = fit_energy(
        flow, lambda x, c: 0.5 * (x - c).square().sum(-1), steps=300, batch=128, lr=0.02, context=conditions
    )
    assert history.best < history.held_out[0] - 1.0
    means = flow.sample((500, 3), conditions).mean(0)
    assert torch.allclose(means, conditions, atol=0.4)


class Impatient(Bowl):
    """An energy that presses stop at its 70th call."""

    def __init__(self):
        self.calls = 0

    def __call__(self, x: torch.Tensor) -> torch.Tensor:
        self.calls += 1
        if self.calls == 70:
            raise KeyboardInterrupt
        return super().__call__(x)


def test_a_second_stop_in_one_cell_passes_through(monkeypatch) -> None:
    monkeypatch.setattr(loop, "STOPPED", [])
    assert fit_energy(small(), Impatient(), steps=1000).stopped.startswith("stopped by hand after")
    flow = small()
    with pytest.raises(KeyboardInterrupt):
        fit_energy(flow, Impatient(), steps=1000)
    assert not flow.training and weights(flow).isfinite().all()


def test_a_stop_in_another_cell_is_a_first_one(monkeypatch) -> None:
    monkeypatch.setattr(loop, "STOPPED", [])
    cells = iter([3, 4])
    monkeypatch.setattr(loop, "shell", lambda: type("Shell", (), {"execution_count": next(cells)}))
    for _ in range(2):
        loop_stopped = loop.stopped_again()
        assert not loop_stopped


def test_what_is_half_done_hears_of_a_stop_later() -> None:
    import os
    import signal

    done = False
    with pytest.raises(KeyboardInterrupt), loop.undisturbed():
        os.kill(os.getpid(), signal.SIGINT)
        done = True
    assert done


BAD = [
    (lambda: fit(small(), points(), weights=torch.ones(3)), "weights must be a tensor of shape (500,)"),
    (lambda: fit(small(), points(), weights=-torch.ones(500)), "none below zero and not all zero; got [-1, -1,"),
    (lambda: fit(small(), Moved(), weights=torch.ones(3)), "weights goes with a tensor of data"),
    (lambda: fit(small(), Moved(), held_out=torch.randn(30, 2)), "held_out goes with a tensor of data"),
    (lambda: fit(small(), points(), held_out=torch.zeros(20, 3)), "held_out must have shape (n, 2)"),
    (lambda: fit(small(), points(), patience=0), "patience must be a whole number, 1 or more; got 0"),
    (lambda: fit(small(1), points(), context=torch.ones(500)), "Give it a second dimension: context[:, None]"),
]  # fmt: skip


@pytest.mark.parametrize(("call", "message"), BAD, ids=[message for _, message in BAD])
def test_bad_options(call, message: str) -> None:
    with pytest.raises(ValueError) as error:
        call()
    assert message in str(error.value)
