# ruff: noqa: E501
"""Fitting: it learns, it keeps the best, it stops well, it says what is wrong with its input."""

import math
import pickle
import time

import pytest
import torch
from torch import Tensor

from flowlib import Flow, descent
from flowlib.fitting import fit, fit_energy
from flowlib.models import planar_flow, real_nvp, spline_flow, sylvester_flow, transformer_flow

nan = float("nan")


class Moved:
    """A sampler: N(mean, ½²) in two dimensions, with its entropy and, on request, its density."""

    def __init__(self, mean: float = 3.0):
        self.mean, self.entropy = mean, 2 * (0.5 * math.log(2 * math.pi * math.e) + math.log(0.5))

    def sample(self, n: int, seed: int = 0) -> Tensor:
        return self.mean + 0.5 * torch.randn(n, 2, generator=torch.Generator().manual_seed(seed))

    def log_prob(self, x: Tensor) -> Tensor:
        return torch.distributions.Normal(self.mean, 0.5).log_prob(x).sum(-1)


class Bowl:
    """An energy: U(x) = ½ ‖x − 1‖², whose Z is 2π."""

    log_z = math.log(2 * math.pi)

    def __call__(self, x: Tensor) -> Tensor:
        return 0.5 * (x - 1.0).square().sum(-1)


def small(context_dim: int = 0) -> Flow:
    torch.manual_seed(0)
    return real_nvp(layers=2, hidden=[8, 8], context_dim=context_dim)


def points(n: int = 500) -> Tensor:
    return Moved().sample(n)


def weights(flow: Flow) -> Tensor:
    return torch.cat([value.flatten().double() for value in flow.state_dict().values()])


def loss_of(flow: Flow, x: Tensor) -> float:
    with torch.no_grad():
        return -flow.log_prob(x).mean().item()


def test_maximum_likelihood_reaches_the_floor_of_a_sampler() -> None:
    flow, data = small(), Moved()
    history = fit(flow, data, steps=200, batch=256)
    assert history.gap < 0.02 and abs(history.floor - data.entropy) < 0.03
    assert loss_of(flow, data.sample(5000, seed=9)) == pytest.approx(data.entropy, abs=0.05)
    assert len(history.losses) == 200 and history.losses[-1] < history.losses[0]


def test_a_tensor_is_split_and_shuffled() -> None:
    flow, x = small(), points(1000)
    before = x.clone()
    history = fit(flow, x, steps=120, batch=128, entropy=1.0)
    assert torch.equal(x, before) and history.floor == 1.0
    assert sorted(history.held_out) == [0, 50, 100, 120]
    assert history.held_out[history.best_step] == min(history.held_out.values()) == history.best
    assert not flow.training


def test_a_context_is_learned() -> None:
    label = torch.randint(2, (1000, 1), generator=torch.Generator().manual_seed(1)).float()
    flow = small(context_dim=1)
    fit(flow, points(1000) + 4 * label, steps=200, context=label, lr=0.01)
    near, far = torch.tensor([[3.0, 3.0]]), torch.tensor([[7.0, 7.0]])
    assert flow.log_prob(near, torch.zeros(1)) > flow.log_prob(far, torch.zeros(1)) + 5
    assert flow.log_prob(far, torch.ones(1)) > flow.log_prob(near, torch.ones(1)) + 5


def test_reverse_kl_reaches_minus_log_z() -> None:
    torch.manual_seed(0)
    flow = planar_flow(layers=4)
    history = fit_energy(flow, Bowl(), steps=400, batch=128, lr=0.02)
    assert history.floor == -Bowl.log_z
    assert -0.02 < history.gap < 0.1


UNLIKE = {
    "transformer": lambda fast: transformer_flow(layers=1, width=8, heads=2, depth=1),
    "sylvester": lambda fast: sylvester_flow(layers=2, fast=fast),
}


@pytest.mark.parametrize("name", UNLIKE)
def test_maximum_likelihood_trains_attention_and_ridges(name: str) -> None:
    torch.manual_seed(0)
    history = fit(UNLIKE[name]("density"), Moved(1.0), steps=150, batch=128, lr=0.03)
    assert -0.02 < history.gap < 0.1


@pytest.mark.parametrize("name", UNLIKE)
def test_reverse_kl_trains_attention_and_ridges(name: str) -> None:
    torch.manual_seed(0)
    history = fit_energy(UNLIKE[name]("sampling"), Bowl(), steps=150, batch=128, lr=0.03)
    assert -0.02 < history.gap < 0.1


def test_a_compiled_fit_takes_the_same_steps(monkeypatch) -> None:
    """The graph is taken, forward and backward, but no code is generated: that is tested in test_compile.py."""
    asked = []

    def capture(call, compile=torch.compile):
        asked.append(call)
        return compile(call, backend="aot_eager")

    torch._dynamo.reset()
    monkeypatch.setattr(torch, "compile", capture)
    plain, compiled = (fit(small(), points(), steps=20, compile=compile) for compile in (False, True))
    assert len(asked) == 1
    assert compiled.losses == pytest.approx(plain.losses, abs=1e-4)


def test_same_seed_same_fit_and_the_random_state_is_left_alone() -> None:
    torch.manual_seed(5)
    expected = torch.rand(3)
    fits = []
    for seed in (1, 1, 2):
        flow = small()
        torch.manual_seed(5)
        fit(flow, points(), steps=5, seed=seed)
        fit_energy(flow, Bowl(), steps=5, seed=seed)
        assert torch.equal(torch.rand(3), expected)
        fits.append(weights(flow))
    assert torch.equal(fits[0], fits[1]) and not torch.equal(fits[0], fits[2])


def test_the_best_weights_are_kept_when_the_fit_goes_astray() -> None:
    """Twenty training points and a large flow: the held-out loss rises again."""
    torch.manual_seed(0)
    flow, x = spline_flow(layers=2), points(30)
    history = fit(flow, x, steps=150, lr=0.01)
    last = max(history.held_out)
    assert history.best_step < last and history.best < history.held_out[last]


def test_snapshots_can_be_scrubbed() -> None:
    flow, x = small(), points()
    history = fit(flow, x, steps=100, snapshots=5)
    assert sorted(history.snapshots) == [0, 6, 25, 56, 100]
    flow.load_state_dict(history.snapshots[0])
    first = loss_of(flow, x)
    flow.load_state_dict(history.snapshots[100])
    assert loss_of(flow, x) < first
    assert pickle.loads(pickle.dumps(history)).losses == history.losses


def test_the_history_prints_the_same_everywhere_and_plots() -> None:
    history = fit(small(), Moved(), steps=200)
    assert repr(history) == "History: 200 steps, less than 0.01 nats above the floor"
    assert repr(history.plot()) == "Picture: the loss over 200 steps"
    assert repr(fit(small(), points(), steps=1)).startswith("History: 1 step")
    assert fit(small(), points(), steps=1).plot().png()[:4] == b"\x89PNG"


def test_the_stop_button_keeps_the_best_and_returns() -> None:
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
            return super().__call__(x) * (nan if self.calls == 80 else 1.0)

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
        FloatingPointError, match=r"log_prob is not finite for .* of 50 held-out points even with the best weights"
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
        fit_energy(flow, Broken(), steps=1000)
    assert weights(flow).isfinite().all() and not torch.equal(weights(flow), start)


def with_nan() -> Tensor:
    x = points()
    x[17, 1] = nan
    return x


BAD = [
    (lambda: fit(small(), with_nan()), ValueError, "fit: 1 of 500 rows of data hold nan or inf, the first is row 17"),
    (lambda: fit(small(), points(9)), ValueError, "fit: data has too few rows: 9; at least 10 are needed"),
    (lambda: fit(small(), torch.randn(50, 3)), ValueError, "data must have shape (n, 2), the points of the flow; got (50, 3)"),
    (lambda: fit(small(), torch.randn(50)), ValueError, "data must have shape (n, 2), the points of the flow; got (50,)"),
    (lambda: fit(small(), torch.ones(50, 2).long()), TypeError, "got dtype torch.int64. Convert with .float() first"),
    (lambda: fit(small(), points().numpy()), TypeError, "or be a sampler; got ndarray. Convert with torch.as_tensor first"),
    (lambda: fit(small(), points() * torch.tensor([1.0, 0.0])), ValueError, "column 1 of data has the same value in every row"),
    (lambda: fit(small(3), points()), ValueError, "the flow needs a context of 3 numbers a point (labels or conditions"),
    (lambda: fit(small(), points(), context=torch.ones(500, 1)), ValueError, "got a context, but the flow takes none"),
    (lambda: fit(small(3), points(), context=torch.ones(500)), ValueError, "context must be a tensor of shape (500, 3)"),
    (lambda: fit(small(3), points(), context=torch.ones(500)), ValueError, "torch.nn.functional.one_hot(labels)"),
    (lambda: fit(small(3), points(), context=torch.ones(400, 3)), ValueError, "got shape (400, 3)"),
    (lambda: fit(small(3), points(), context=[1, 2]), TypeError, "fit: context must be a tensor"),
    (lambda: fit(small(1), points(), context=torch.full((500, 1), nan)), ValueError, "context holds nan or inf"),
    (lambda: fit(small(1), Moved(), context=torch.ones(5, 1)), ValueError, "a context goes with a tensor of data"),
    (lambda: fit(small().transform, points()), TypeError, "fit expects a Flow first, e.g. real_nvp(dim=2); got Compose"),
    (lambda: fit(small().requires_grad_(False), points()), ValueError, "the flow has no trainable parameters"),
    (lambda: fit(small(), points(), steps=0), ValueError, "fit: steps must be a whole number, 1 or more; got 0"),
    (lambda: fit(small(), points(), batch=2.5), ValueError, "fit: batch must be a whole number, 1 or more; got 2.5"),
    (lambda: fit(small(), points(), lr=0), ValueError, "fit: lr must be a finite number greater than 0; got 0"),
    (lambda: fit(small(), points(), held_out=1.0), ValueError, "fit: held_out must be a fraction between 0 and 1; got 1.0"),
    (lambda: fit(small(), points(), entropy="low"), ValueError, "fit: entropy must be a finite number of nats; got 'low'"),
    (lambda: fit_energy(small(), Bowl(), steps=-1), ValueError, "fit_energy: steps must be a whole number, 1 or more"),
    (lambda: fit_energy(small(), "bowl"), TypeError, "fit_energy expects an energy, a function x (n, D) -> (n,); got str"),
    (lambda: fit_energy(small(), lambda x: x.square()), ValueError, "a tensor of shape (4,) for x (4, 2); got shape (4, 2)"),
    (lambda: fit_energy(small(), lambda x: x.square().sum()), ValueError, "got shape (). Sum over the last dimension only"),
    (lambda: fit_energy(small(), lambda x: 1.0), TypeError, "a tensor of shape (4,) for x (4, 2); got float"),
    (lambda: fit_energy(small(), lambda x: x.detach().sum(-1)), ValueError, "the energy has no gradient"),
    (lambda: fit_energy(small(), lambda x: x.sum(-1) * nan), ValueError, "the energy is nan or infinite at 4 of 4 samples"),
    (lambda: fit_energy(small(2), Bowl()), ValueError, "the flow needs a context of 2 numbers a point"),
]  # fmt: skip


@pytest.mark.parametrize(("call", "kind", "message"), BAD, ids=[message for _, _, message in BAD])
def test_bad_input(call, kind: type, message: str) -> None:
    with pytest.raises(kind) as error:
        call()
    assert message in str(error.value)


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
    monkeypatch.setitem(descent.sys.modules, "IPython", SimpleNamespace(get_ipython=lambda: shell))
    assert descent.watched() is expected


def test_double_flows_take_float_data() -> None:
    flow = small().double()
    fit(flow, points(), steps=2)
    assert next(flow.parameters()).dtype == torch.float64
