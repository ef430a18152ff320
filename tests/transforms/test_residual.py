"""Residual layers: the series and its estimators against the determinant, the fixed point, and what it says if none."""

import copy
import math
from collections.abc import Callable

import pytest
import torch
from torch import Tensor, nn
from torch.func import functional_call, grad, vmap

from flowlib import Compose, Inverse
from flowlib.nets import LipschitzConvNet, LipschitzMLP
from flowlib.transforms import Exact, PowerSeries, Residual, Roulette
from flowlib.transforms.residual import SMALL
from flowlib.transforms.series import LogDet

pytestmark = pytest.mark.usefixtures("double")


def shaken(net: nn.Module, size: float = 1.0) -> nn.Module:
    """The network with random weights everywhere, so that its layers are at their bounds."""
    for parameter in net.parameters():
        nn.init.normal_(parameter, std=size)
    return net


def residual(log_det: LogDet | None = None, dim: int = 3, coefficient: float = 0.9, **options) -> Residual:
    torch.manual_seed(0)
    return Residual(shaken(LipschitzMLP(dim, [16], coefficient, **options)), log_det)


def linear(slope: float, dim: int = 1) -> Residual:
    """x = (1 + slope) z."""
    net = nn.Linear(dim, dim, bias=False)
    with torch.no_grad():
        net.weight.copy_(slope * torch.eye(dim))
    return Residual(net, size=dim)


@pytest.mark.parametrize("terms", [1, 2, 5, 10, 20])
def test_the_truncated_series_misses_no_more_than_its_tail(terms: int) -> None:
    z, dim = torch.randn(200, 3), 3
    for c in (0.3, 0.6, 0.9):
        flow = residual(PowerSeries(terms), dim, c)
        error = (flow(z)[1] - residual(Exact(), dim, c)(z)[1]).abs().max()
        assert error < dim * c ** (terms + 1) / ((terms + 1) * (1.0 - c))


def test_the_error_of_the_series_where_it_is_known() -> None:
    """g(z) = z / 2 in three dimensions: two terms miss 3 (log 1.5 − 1/2 + 1/8) = 0.09 nats."""
    flow, exact = linear(0.5, 3), 3.0 * math.log(1.5)
    assert flow(torch.zeros(3))[1].item() == pytest.approx(exact)
    for terms, sum_ in ((1, 0.5), (2, 0.5 - 0.125), (3, 0.5 - 0.125 + 0.125 / 3)):
        flow.log_det = PowerSeries(terms)
        assert flow(torch.zeros(3))[1].item() == pytest.approx(3.0 * sum_)


@pytest.mark.parametrize("probes", [0, 1])
def test_roulette_is_right_on_average(probes: int) -> None:
    """10,000 draws of one number: the mean within four standard errors, and nearer than what is always taken."""
    z, draws = torch.ones(1, 3), 10_000
    with torch.no_grad():
        g = residual(coefficient=0.8).at(None)
        exact = Exact()(g, z, 1)[1].item()
        way = Roulette(least=1, stop=0.3, probes=probes)
        found = torch.cat([way(g, z, 1)[1] for _ in range(draws)])
        first = PowerSeries(1)(g, z, 1)[1].item()
    error = found.std().item() / draws**0.5
    assert 1e-5 < error < 0.02 and abs(found.mean().item() - exact) < 4.0 * error
    assert abs(found.mean().item() - exact) < 0.2 * abs(first - exact)


@pytest.mark.parametrize("probes", [1, 3])
def test_probes_are_right_on_average(probes: int) -> None:
    z, draws = torch.randn(1, 3).expand(10_000, 3), 10_000
    found = residual(PowerSeries(6, probes))(z)[1]
    exact = residual(PowerSeries(6))(z[:1])[1].item()
    assert abs(found.mean().item() - exact) < 4.0 * found.std().item() / draws**0.5


def gradients(flow: Residual, z: Tensor) -> list[Tensor]:
    """Of the mean log-determinant, in the point and all parameters."""
    z = z.clone().requires_grad_()
    return torch.autograd.grad(flow(z)[1].mean(), [z, *flow.parameters()], materialize_grads=True)


@pytest.mark.parametrize("terms", [1, 2, 7])
def test_the_gradient_that_saves_memory_is_the_plain_one(terms: int) -> None:
    z = torch.randn(20, 3)
    plain, saving = (gradients(residual(PowerSeries(terms, saves_memory=saves)), z) for saves in (False, True))
    for a, b in zip(plain, saving, strict=True):
        assert torch.allclose(a, b, atol=1e-12)
    values = [residual(PowerSeries(terms, saves_memory=saves))(z)[1] for saves in (False, True)]
    assert torch.allclose(*values, atol=1e-12)


def test_the_gradient_of_a_roulette_is_right_on_average() -> None:
    draws, z = 1000, torch.ones(1, 3, requires_grad=True)
    g, way = residual(coefficient=0.8).at(None), Roulette(least=2, stop=0.3)
    exact = torch.autograd.grad(Exact()(g, z, 1)[1], z, retain_graph=True)[0]
    found = [torch.autograd.grad(way(g, z, 1)[1], z, retain_graph=True)[0] for _ in range(draws)]
    found = torch.cat(found)
    assert ((found.mean(0) - exact).abs() < 4.0 * found.std(0) / draws**0.5).all()


def kept(flow: Residual) -> int:
    """How many numbers autograd keeps for the backward pass of the log-determinant."""
    count = 0

    def pack(tensor: Tensor) -> Tensor:
        nonlocal count
        count += tensor.numel()
        return tensor

    with torch.autograd.graph.saved_tensors_hooks(pack, lambda tensor: tensor):
        flow(torch.randn(50, 3))
    return count


def test_memory_does_not_grow_with_the_terms() -> None:
    plain, saving = ([kept(residual(PowerSeries(k, 1, saves))) for k in (2, 20)] for saves in (False, True))
    assert plain[1] > 3 * plain[0] and saving[1] == saving[0]


def test_eval_is_exact_where_training_is_random() -> None:
    z = torch.randn(5, 3)
    exact = residual(Exact())(z)[1]
    for way in (Roulette(), PowerSeries(3, probes=1)):
        flow = residual(way)
        assert not torch.equal(flow(z)[1], flow(z)[1])
        assert torch.equal(flow.eval()(z)[1], exact)
    assert not torch.allclose(residual(PowerSeries(3)).eval()(z)[1], exact)  # settled: what was asked for


def test_the_way_is_chosen_by_size() -> None:
    assert residual(dim=SMALL).log_det == Exact() and residual(dim=SMALL + 1).log_det == Roulette()


@pytest.mark.parametrize("dim", [1, 2, 5, SMALL, SMALL + 1, 40])
def test_round_trip_at_lipschitz_nine_tenths(dim: int) -> None:
    """Above D = 8 the plain fixed point does it."""
    flow, z = residual(dim=dim).eval(), 3.0 * torch.randn(100, dim)
    with torch.no_grad():
        assert (flow.inverse(flow(z)[0])[0] - z).abs().max() < 1e-9
        assert (flow(flow.inverse(z)[0])[0] - z).abs().max() < 1e-9


def test_round_trip_where_the_rate_is_the_bound() -> None:
    """g(z) = ∓ 0.9 z: nothing is slower for the plain fixed point."""
    for dim, slope in ((1, -0.9), (1, 0.9), (20, -0.9), (20, 0.9)):
        flow, z = linear(slope, dim).eval(), torch.randn(50, dim)
        assert (flow.inverse(flow(z)[0])[0] - z).abs().max() < 1e-9


def test_the_rate_of_the_fixed_point() -> None:
    flow, x = linear(-0.8, 2), torch.randn(7, 2)
    path = flow.fixed_point(x, steps=30)
    errors = (path - x / 0.2).norm(dim=-1)
    assert path.shape == (31, 7, 2) and torch.equal(path[0], x)
    assert torch.allclose(errors[1:] / errors[:-1], torch.tensor(0.8))


@pytest.mark.parametrize("dim", [2, SMALL + 1])
def test_gradients_through_the_inverse(dim: int) -> None:
    flow, x = Residual(shaken(LipschitzMLP(dim, [3])), Exact()), torch.randn(2, dim, requires_grad=True)
    weights = list(flow.parameters())

    def inverse(*tensors: Tensor) -> Tensor:  # the weights are moved in place
        return flow.inverse(tensors[0])[0].sum(0)

    assert torch.autograd.gradcheck(inverse, (x, *weights), atol=1e-7)


@pytest.mark.parametrize(("slope", "seen"), [(1.5, "1.5"), (-1.5, "1.5"), (-1.0, "1")])
@pytest.mark.parametrize("dim", [1, SMALL + 1])
def test_a_network_that_stretches_is_told_in_words(slope: float, seen: str, dim: int) -> None:
    words = rf"Residual: z ← x − g\(z\) does not settle for 4 of 4 points.* by {seen}\. .*coefficient=0\.9\)"
    with pytest.raises(ArithmeticError, match=words):
        linear(slope, dim).eval().inverse(torch.ones(4, dim))


def test_only_the_rows_where_it_stretches_are_counted() -> None:
    class Steep(nn.Module):
        def forward(self, z: Tensor) -> Tensor:
            return -0.75 * z * (z.abs() < 1.0) - 0.75 * z.square() * (z > 2.0)

    with pytest.raises(ArithmeticError, match="for 1 of 3 points"):
        Residual(Steep(), size=1).inverse(torch.tensor([[0.1], [0.2], [5.0]]))


@pytest.mark.parametrize("dim", [2, SMALL + 1])
def test_a_row_knows_nothing_of_the_others(dim: int) -> None:
    flow, x = residual(dim=dim).eval(), torch.randn(6, dim)
    with torch.no_grad():
        alone = torch.stack([flow.inverse(row)[0] for row in x])
        x[3] = torch.nan
        together = flow.inverse(x)[0]
    others = [0, 1, 2, 4, 5]
    assert together[3].isnan().all() and torch.allclose(together[others], alone[others], rtol=0, atol=1e-13)


def test_an_empty_batch() -> None:
    for dim in (2, SMALL + 1):
        z, log_det = residual(dim=dim).inverse(torch.zeros(0, dim))
        assert z.shape == (0, dim) and log_det.shape == (0,)


class Any(nn.Module):
    """A network that flowlib has never seen, with a context."""

    def __init__(self) -> None:
        super().__init__()
        self.layer = nn.Linear(3, 2)

    def forward(self, z: Tensor, context: Tensor) -> Tensor:
        return 0.3 * torch.tanh(self.layer(torch.cat([z, context.expand(*z.shape[:-1], 1)], -1)))


def test_any_network_will_do() -> None:
    flow, z, context = Residual(Any(), size=2, context_dim=1), torch.randn(5, 2), torch.randn(5, 1)
    x, log_det = flow(z, context)
    back, log_det_back = flow.inverse(x, context)
    assert torch.allclose(back, z) and torch.allclose(log_det, -log_det_back)
    exact = vmap(lambda p, c: torch.func.jacrev(lambda q: flow(q, c)[0])(p))(z, context)
    assert torch.allclose(log_det, torch.linalg.slogdet(exact).logabsdet)
    with pytest.raises(ValueError, match="needs a context"):
        flow(z)


def test_images_and_vectors_agree_on_shapes() -> None:
    flow = Residual(shaken(LipschitzConvNet(2, (3, 4), 5))).eval()
    z = torch.randn(2, 3, 2, 3, 4)
    x, log_det = flow(z)
    assert x.shape == z.shape and log_det.shape == (2, 3)
    assert torch.allclose(flow.inverse(x)[0], z)


def test_a_copy_has_its_own_weights() -> None:
    flow, z = residual(), torch.randn(5, 3)
    twin, before = copy.deepcopy(flow), flow(z)[0]
    shaken(twin)
    assert torch.equal(flow(z)[0], before) and not torch.allclose(twin(z)[0], before)


def test_gradients_of_functional_calls_through_the_inverse() -> None:
    flow, x = residual(), torch.randn(5, 3)
    weights = dict(flow.named_parameters())

    def loss(weights: dict[str, Tensor]) -> Tensor:
        return functional_call(
            Inverse(Compose([flow])), {f"transform.transforms.0.{k}": w for k, w in weights.items()}, x
        )[0].sum()

    found = grad(loss)({name: weight.detach() for name, weight in weights.items()})
    expected = torch.autograd.grad(flow.inverse(x)[0].sum(), list(weights.values()), allow_unused=True)
    for a, b in zip(found.values(), expected, strict=True):
        assert torch.allclose(a, torch.zeros_like(a) if b is None else b)


@pytest.mark.parametrize(
    ("build", "error", "words"),
    [
        (lambda: Residual(nn.Linear(2, 2)), ValueError, "Residual: a Linear does not say on which points it works"),
        (lambda: Residual(LipschitzMLP(2), 5), TypeError, r"log_det must be Exact\(\), .* or Roulette\(\); got int"),
        (lambda: Residual(nn.Linear(2, 2), size=0), ValueError, "Residual: dim must be a whole number, 1 or more"),
        (lambda: Residual(nn.Linear(2, 3), size=2), ValueError, r"gives .*\(3,\) for points of shape \(2,\)"),
        (lambda: PowerSeries(0), ValueError, "PowerSeries: terms must be a whole number, 1 or more; got 0"),
        (lambda: PowerSeries(2, -1), ValueError, "PowerSeries: probes must be a whole number, 0 or more; got -1"),
        (lambda: Roulette(stop=1.0), ValueError, "Roulette: stop must be a probability above 0 and below 1; got 1.0"),
        (lambda: Roulette(least=-1), ValueError, "Roulette: least must be a whole number, 0 or more; got -1"),
    ],
)
def test_wrong_arguments(build: Callable, error: type, words: str) -> None:
    with pytest.raises(error, match=words):
        build()


def test_what_a_layer_says_of_itself() -> None:
    assert residual(PowerSeries(4)).describe() == (
        "Residual: LipschitzMLP 3 → 16 → 3, Lipschitz ≤ 0.9, PowerSeries(terms=4, probes=0, saves_memory=False)"
    )
