"""Networks that do not stretch: the bound of each layer against the singular values of its whole matrix, and copies."""

import copy
import pickle

import pytest
import torch
from torch import Tensor, nn
from torch.func import jacrev, vmap

from flowlib.nets import LipschitzConv2d, LipschitzConvNet, LipschitzLinear, LipschitzMLP, LipSwish
from flowlib.nets.lipschitz import Anywhere, LipschitzNet

pytestmark = pytest.mark.usefixtures("double")
CONVOLUTIONS = [(2, 3, (4, 6), 3), (3, 2, (4, 5), 3), (1, 1, (5, 5), 5), (4, 4, (3, 3), 1), (2, 5, (1, 4), 1)]


def matrix(map_: nn.Module, shape: tuple[int, ...]) -> Tensor:
    """The matrix of a map that is linear but for its bias, by autograd: outputs × inputs."""
    return jacrev(lambda point: map_(point).flatten())(torch.zeros(shape)).flatten(1)


def norm(a: Tensor) -> Tensor:
    """The largest singular value, ()."""
    return torch.linalg.matrix_norm(a, ord=2)


@pytest.mark.parametrize("size", [0.1, 1.0, 30.0])
@pytest.mark.parametrize(("inputs", "outputs"), [(1, 1), (2, 64), (64, 2), (5, 5)])
def test_the_norm_of_a_linear_layer_is_its_largest_singular_value(inputs: int, outputs: int, size: float) -> None:
    layer = LipschitzLinear(inputs, outputs, coefficient=0.9)
    nn.init.normal_(layer.weight, std=size)
    assert torch.allclose(layer.stretch(), norm(layer.weight), rtol=1e-12)
    assert norm(matrix(layer, (inputs,))).item() == pytest.approx(min(0.9, norm(layer.weight).item()), rel=1e-12)


@pytest.mark.parametrize("size", [0.01, 1.0])
@pytest.mark.parametrize(("inputs", "outputs", "image", "kernel"), CONVOLUTIONS, ids=str)
def test_the_norm_of_a_convolution_is_that_of_its_whole_matrix(inputs, outputs, image, kernel, size) -> None:
    layer = LipschitzConv2d(inputs, outputs, image, kernel, coefficient=0.9)
    nn.init.normal_(layer.weight, std=size)
    whole = nn.Conv2d(inputs, outputs, kernel, padding=kernel // 2)
    whole.load_state_dict(layer.state_dict())
    sigma = norm(matrix(whole, (inputs, *image)))
    assert torch.allclose(layer.stretch(), sigma, rtol=1e-12)
    assert norm(matrix(layer, (inputs, *image))).item() == pytest.approx(min(0.9, sigma.item()), rel=1e-12)


def test_a_kernel_laid_flat_is_not_the_convolution() -> None:
    """What torch's spectral_norm divides by is too small: the map it leaves stretches by more than 1."""
    layer = nn.Conv2d(4, 4, 3, padding=1)
    with torch.no_grad():
        layer.weight /= norm(layer.weight.flatten(1))
    assert norm(matrix(layer, (4, 8, 8))) > 1.5


def test_a_weight_is_scaled_only_where_it_is_too_large() -> None:
    for layer in (LipschitzLinear(3, 4, coefficient=5.0), LipschitzConv2d(2, 2, (3, 3), coefficient=50.0)):
        assert torch.equal(layer.bounded(), layer.weight)


def test_a_weight_of_zero_has_a_gradient() -> None:
    layer = LipschitzLinear(3, 2, coefficient=0.5)
    nn.init.zeros_(layer.weight)
    layer(torch.randn(4, 3)).sum().backward()
    assert layer.weight.grad.isfinite().all() and layer.weight.grad.any()


@pytest.mark.parametrize("layer", [LipschitzLinear(3, 4, 0.5), LipschitzConv2d(2, 3, (3, 2), 3, 0.5)], ids=repr)
def test_the_gradient_of_the_bound_is_that_of_differences(layer: nn.Module) -> None:
    layer = copy.deepcopy(layer).double()
    nn.init.normal_(layer.weight)
    direction = torch.randn_like(layer.weight)
    slope = (torch.autograd.grad(layer.stretch(), layer.weight)[0] * direction).sum()

    def at(step: float) -> Tensor:
        moved = copy.deepcopy(layer)
        with torch.no_grad():
            moved.weight += step * direction
            return moved.stretch()

    assert slope.item() == pytest.approx(((at(1e-5) - at(-1e-5)) / 2e-5).item(), rel=1e-7)


@pytest.mark.parametrize("b", [-20.0, -1.0, 0.5, 30.0])
def test_the_bend_is_nowhere_steeper_than_one(b: float) -> None:
    bend = LipSwish().double()
    nn.init.constant_(bend.b, b)
    h = torch.linspace(-60, 60, 100_001) / max(1.0, abs(b) / 4)
    slopes = vmap(jacrev(bend))(h)
    assert slopes.abs().max() < 1.0


def shaken(net: LipschitzNet) -> LipschitzNet:
    """In float64, with random weights everywhere."""
    net = net.double()
    for parameter in net.parameters():
        nn.init.normal_(parameter, std=2.0)
    return net


NETS = {
    "mlp": lambda **options: LipschitzMLP(3, [8, 7], 0.9, **options),
    "shallow": lambda **options: LipschitzMLP(3, [8], 0.5, **options),
    "images": lambda **options: LipschitzConvNet(2, (3, 4), 5, 0.9, **options),
}


@pytest.mark.parametrize("name", NETS)
def test_the_whole_network_keeps_its_bound(name: str) -> None:
    net = shaken(NETS[name](context_dim=2))
    z, context = 0.1 * torch.randn(200, *net.event_shape), torch.randn(200, 2)
    j = vmap(jacrev(lambda point, c: net(point, c).flatten()))(z, context).flatten(2)
    assert norm(j).max() < net.coefficient
    assert not torch.allclose(net(z, context), net(z, context + 1.0))


@pytest.mark.parametrize("name", NETS)
def test_tangents_are_autograds(name: str) -> None:
    net = shaken(NETS[name](context_dim=2))
    z, context = torch.randn(6, 2, *net.event_shape), torch.randn(6, 2, 2)
    tangents = torch.randn(4, 6, 2, *net.event_shape)
    value, along = net.at(context).push(z)
    again, along_again = Anywhere(net, context).push(z)
    assert torch.allclose(value, net(z, context)) and torch.equal(again, net(z, context))
    assert torch.allclose(along(tangents), along_again(tangents))
    same = torch.randn(4, 1, 1, *net.event_shape)
    assert torch.allclose(along(same), along(same.expand_as(tangents)))


@pytest.mark.parametrize("name", NETS)
def test_copies_and_averages_keep_the_bound_and_are_the_same_in_eval(name: str) -> None:
    net, other = shaken(NETS[name]()), shaken(NETS[name]())
    z = torch.randn(5, *net.event_shape)
    for twin in (copy.deepcopy(net), pickle.loads(pickle.dumps(net)), copy.deepcopy(net).eval()):
        assert torch.equal(twin(z), net(z))
    mean = torch.optim.swa_utils.AveragedModel(net, use_buffers=True)
    for model in (net, other):
        mean.update_parameters(model)
    j = vmap(jacrev(lambda point: mean.module(point).flatten()))(z).flatten(2)
    assert norm(j).max() < net.coefficient


def test_data_parallel(tmp_path) -> None:
    torch.distributed.init_process_group("gloo", init_method=f"file://{tmp_path / 'store'}", rank=0, world_size=1)
    try:
        net = shaken(LipschitzMLP(3, [8]))
        parallel, z = nn.parallel.DistributedDataParallel(copy.deepcopy(net)), torch.randn(5, 3)
        net(z).square().sum().backward()
        parallel(z).square().sum().backward()
        for a, b in zip(net.parameters(), parallel.module.parameters(), strict=True):
            assert torch.allclose(a.grad, b.grad)
    finally:
        torch.distributed.destroy_process_group()


def test_a_weight_of_nan_gives_nan() -> None:
    net = shaken(LipschitzMLP(3, [8]))
    with torch.no_grad():
        net.layers[1].weight[0, 0] = torch.nan
    assert net(torch.zeros(2, 3)).isnan().all()


@pytest.mark.parametrize(
    ("build", "words"),
    [
        (lambda: LipschitzLinear(0, 3), "LipschitzLinear: inputs must be a whole number, 1 or more; got 0"),
        (lambda: LipschitzLinear(2, 3, 0.0), "LipschitzLinear: coefficient must be a finite number greater than 0"),
        (lambda: LipschitzConv2d(2, 3, (4, 4), 2), "LipschitzConv2d: kernel must be odd.*got 2"),
        (lambda: LipschitzConv2d(2, 3, (4,)), r"LipschitzConv2d: shape must be three whole numbers \(C, H, W\)"),
        (lambda: LipschitzMLP(2, []), r"LipschitzMLP: hidden must hold one size or more, e.g. \[64, 64\]; got \[\]"),
        (lambda: LipschitzMLP(2, [8], -0.9), "LipschitzMLP: coefficient must be a finite number greater than 0"),
        (lambda: LipschitzMLP(2, [8], context_dim=-1), "LipschitzMLP: context_dim must be a whole number, 0 or more"),
        (lambda: LipschitzConvNet(1, (4, 4), width=0), "LipschitzConvNet: width must be a whole number, 1 or more"),
    ],
)
def test_wrong_arguments(build, words: str) -> None:
    with pytest.raises(ValueError, match=words):
        build()


def test_what_a_network_says_of_itself() -> None:
    assert LipschitzMLP(2, [8], 0.5).extra_repr() == "2 → 8 → 2, Lipschitz ≤ 0.5"
    assert LipschitzConvNet(4, (4, 4), 8).extra_repr() == "4 → 8 → 8 → 4 on 4 × 4, Lipschitz ≤ 0.9"
