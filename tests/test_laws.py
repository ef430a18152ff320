"""Laws, conditioners and what is built of them, where they are hard: knots, tails, masks, contexts, first batches."""

import copy
import math

import pytest
import torch

from flowlib.laws import Affine, RationalQuadratic
from flowlib.models import maf
from flowlib.nets import MADE, MLP, CausalTransformer
from flowlib.nets.patches import PatchTransformer
from flowlib.support import chunks
from flowlib.transforms import ActNorm, Autoregressive, Coupling, Partition

DOUBLE = torch.float64


def test_spline_is_exact_at_knots_and_ends() -> None:
    torch.manual_seed(0)
    law, params = RationalQuadratic(6, 2.0).double(), 2 * torch.randn(30, 17, dtype=DOUBLE)
    x, y, slope = law.knots(params).unbind(-2)  # (30, 7)
    for k in range(7):
        got, log_slope = law(x[:, k], params)
        assert torch.allclose(got, y[:, k], atol=1e-12)
        assert torch.allclose(log_slope, slope[:, k].log(), atol=1e-10)
        back, _ = law.inverse(y[:, k], params)
        assert torch.allclose(back, x[:, k], atol=1e-10)
    assert torch.equal(x[:, [0, -1]], torch.tensor([-2.0, 2.0], dtype=DOUBLE).expand(30, 2))
    assert torch.equal(slope[:, [0, -1]], torch.ones(30, 2, dtype=DOUBLE))


def test_spline_derivative_is_continuous_at_the_ends() -> None:
    torch.manual_seed(0)
    law, params = RationalQuadratic(4, 3.0).double(), torch.randn(50, 11, dtype=DOUBLE)
    for end in (-3.0, 3.0):
        inside = law(torch.full((50,), end * (1 - 1e-9), dtype=DOUBLE), params)[1]
        assert inside.abs().max() < 1e-5
        assert law(torch.full((50,), end * (1 + 1e-9), dtype=DOUBLE), params)[1].abs().max() < 1e-12


def test_spline_float32_residual_on_wild_parameters() -> None:
    torch.manual_seed(0)
    law = RationalQuadratic(8, 5.0)
    params = (8 * torch.randn(2000, 1, 23)).expand(2000, 100, 23)
    z = 12 * torch.rand(2000, 100) - 6
    x, _ = law(z, params)
    again, log_slope = law.inverse(x, params)
    assert again.isfinite().all() and log_slope.isfinite().all()
    assert (law(again, params)[0] - x).abs().max() < 1e-5


def test_spline_outside_its_box_is_the_identity_with_finite_gradients() -> None:
    law, params = RationalQuadratic(4, 1.0), torch.randn(6, 11, requires_grad=True)
    z = torch.tensor([-1e3, -5.0, -1.5, 1.5, 5.0, 1e3], requires_grad=True)
    for call in (law.forward, law.inverse):
        x, log_slope = call(z, params)
        assert torch.equal(x, z) and log_slope.abs().max() < 1e-6
        gradients = torch.autograd.grad(x.sum() + log_slope.sum(), [z, params])
        assert torch.equal(gradients[0], torch.ones(6)) and gradients[1].isfinite().all()


def test_affine_scale_is_bounded_and_smooth() -> None:
    law = Affine(bound=3.0)
    raw = torch.linspace(-50, 50, 201, requires_grad=True)
    x, log_slope = law(torch.full((201,), 1e3), torch.stack([raw, torch.zeros(201)], -1))
    assert x.isfinite().all() and log_slope.abs().max() <= 3.0
    useful = torch.linspace(-1, 1, 21, requires_grad=True)
    log_slope = law(torch.ones(21), torch.stack([useful, torch.zeros(21)], -1))[1]
    assert torch.autograd.grad(log_slope.sum(), useful)[0].abs().min() > 0.5


def moved(module):
    with torch.no_grad():
        for parameter in module.parameters():
            parameter.add_(0.3 * torch.randn_like(parameter))
    return module.double()


CONDITIONERS = {
    "MADE": lambda **how: MADE(6, 2, **how),
    "CausalTransformer": lambda **how: CausalTransformer(6, 2, **how),
    "PatchTransformer": lambda **how: PatchTransformer(3, 2, 2, width=8, heads=2, **how),
}


@pytest.mark.parametrize("name", CONDITIONERS)
@pytest.mark.parametrize("context_dim", [0, 3])
@pytest.mark.parametrize("reverse", [False, True])
@pytest.mark.parametrize("grad", [False, True])
def test_conditioners_are_causal_and_agree_with_their_steps(
    name: str, context_dim: int, reverse: bool, grad: bool
) -> None:
    torch.manual_seed(0)
    conditioner = moved(CONDITIONERS[name](context_dim=context_dim, reverse=reverse))
    x = torch.randn(4, 6, dtype=DOUBLE)
    context = torch.randn(4, context_dim, dtype=DOUBLE) if context_dim else None
    whole = conditioner(x, context)  # (4, 6, 2)
    with torch.set_grad_enabled(grad):
        state, previous = conditioner.begin(x, context), None
        for step, i in enumerate(conditioner.order):
            params, state = conditioner.step(state, step, previous)
            assert torch.allclose(params, whole[:, i], atol=1e-12)
            previous = x[:, i]
    jacobian = torch.func.jacrev(lambda row: conditioner(row, None if context is None else context[0]))(
        x[0]
    )  # (6, 2, 6)
    if reverse:
        jacobian = jacobian.flip(0, 2)
    assert jacobian.abs().sum(1).triu().max() == 0  # the parameters of x_i look at x_1, ..., x_{i-1} alone
    assert (jacobian.abs().sum(1).tril(-1) > 0).sum() == 15  # and at all of them


@pytest.mark.parametrize("kind", ["halves", "alternate"])
@pytest.mark.parametrize("dim", [2, 5])
def test_coupling_keeps_what_it_says_and_sees_its_context(kind: str, dim: int) -> None:
    torch.manual_seed(0)
    partition = Partition(dim, kind, flip=True)
    layer = moved(Coupling(Affine(), MLP(partition.kept + 3, 2 * partition.moved), partition, context_dim=3))
    z, context = torch.randn(6, dim, dtype=DOUBLE), torch.randn(6, 3, dtype=DOUBLE)
    x, _ = layer(z, context)
    assert torch.equal(partition.split(x)[0], partition.split(z)[0])
    assert torch.allclose(layer.inverse(x, context)[0], z)
    assert not torch.allclose(layer(z, context + 1)[0], x)
    assert torch.allclose(layer(z, context[0])[0][0], x[0])  # one context serves every row
    for wrong in (None, torch.zeros(6, 2, dtype=DOUBLE)):
        with pytest.raises(ValueError, match=r"needs a context of shape \(\.\.\., 3\)"):
            layer(z, wrong)


def test_a_layer_without_context_refuses_one() -> None:
    with pytest.raises(ValueError, match="takes no context"):
        Coupling(Affine(), MLP(1, 2), Partition(2))(torch.zeros(3, 2), torch.zeros(3, 1))


def test_actnorm_standardizes_the_first_training_batch_once() -> None:
    torch.manual_seed(0)
    layer, batch = ActNorm(2), 3.0 * torch.randn(500, 2) + torch.tensor([1.0, -2.0])
    z, _ = layer.inverse(batch)
    assert z.mean(0).abs().max() < 1e-5 and (z.std(0, correction=0) - 1).abs().max() < 1e-5
    kept = copy.deepcopy(layer.state_dict())
    layer.inverse(10 * batch)
    assert all(torch.equal(kept[key], value) for key, value in layer.state_dict().items())
    fresh = ActNorm(2)
    fresh.load_state_dict(kept)
    assert torch.equal(fresh.inverse(10 * batch)[0], layer.inverse(10 * batch)[0])


@pytest.mark.parametrize(
    "batch",
    [
        torch.zeros(0, 2),
        torch.ones(1, 2),
        torch.full((5, 2), 4.0),
        torch.tensor([[math.nan, 0.0], [1.0, 2.0], [3.0, 5.0]]),
    ],
    ids=["empty", "one row", "constant", "nan"],
)
def test_actnorm_is_not_poisoned_by_a_first_batch(batch) -> None:
    layer = ActNorm(2)
    layer.inverse(batch)
    assert layer.shift.isfinite().all() and layer.log_scale.isfinite().all()
    assert torch.allclose(layer(layer.inverse(torch.ones(3, 2))[0])[0], torch.ones(3, 2))


def test_actnorm_waits_in_eval_mode() -> None:
    layer = ActNorm(1).eval()
    assert torch.equal(layer.inverse(torch.tensor([[5.0], [7.0]]))[0], torch.tensor([[5.0], [7.0]]))
    assert not layer.initialized


@pytest.mark.parametrize("context", [None, torch.randn(3), torch.randn(4, 50, 3)], ids=["none", "one", "each"])
def test_a_large_evaluation_in_chunks_is_the_same(context, monkeypatch) -> None:
    torch.manual_seed(0)
    flow = maf(dim=3, layers=2, context_dim=0 if context is None else 3)
    x = torch.randn(4, 50, 3)
    flow.log_prob(x, context)  # ActNorm has seen its batch
    whole = flow.log_prob(x, context)
    monkeypatch.setattr(chunks, "CHUNK", 17 * 32)
    with torch.no_grad():
        assert torch.allclose(flow.log_prob(x, context), whole, atol=1e-5)
        torch.manual_seed(1)
        samples = flow.sample(40, None if context is None else context.flatten()[:3])
    torch.manual_seed(1)
    assert torch.allclose(flow.sample(40, None if context is None else context.flatten()[:3]), samples, atol=1e-5)


BAD = [
    (lambda: Partition(1), "Partition: dim must be a whole number, 2 or more; got 1"),
    (lambda: Partition(4, "thirds"), "Partition: kind must be one of 'halves', 'alternate'; got 'thirds'"),
    (lambda: Affine(bound=0), "Affine: bound must be a finite number greater than 0; got 0"),
    (lambda: RationalQuadratic(0), "RationalQuadratic: bins must be a whole number, 1 or more; got 0"),
    (lambda: RationalQuadratic(2000), "RationalQuadratic: bins must be below 1000; got 2000"),
    (lambda: MLP(2, 2, hidden=[8, 0]), "MLP: hidden must be a whole number, 1 or more; got 0"),
    (lambda: MADE(0, 2), "MADE: dim must be a whole number, 1 or more; got 0"),
    (lambda: CausalTransformer(3, 2, width=10, heads=4), "width must be a multiple of heads = 4; got 10"),
    (lambda: Autoregressive(Affine(), MADE(3, 5)), "Affine takes 2 parameters a coordinate, the conditioner gives 5"),
    (lambda: ActNorm(0), "ActNorm: dim must be a whole number, 1 or more; got 0"),
]  # fmt: skip


@pytest.mark.parametrize(("call", "message"), BAD, ids=[message for _, message in BAD])
def test_bad_arguments(call, message: str) -> None:
    with pytest.raises(ValueError) as error:
        call()
    assert message in str(error.value)
