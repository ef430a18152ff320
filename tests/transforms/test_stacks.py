"""What is taken together for speed is the same map: values, log-dets and gradients, in both directions."""

import copy

import pytest
import torch

from flowlib import Compose, Transform, prove
from flowlib.laws import Additive, Affine, RationalQuadratic
from flowlib.nets import MLP, ConvNet, GlowNet
from flowlib.transforms import (
    ActNorm,
    Channels,
    Checkerboard,
    Coupling,
    GlowStep,
    Partition,
    Permutation,
    Planar,
    Squeeze,
    stacked,
)
from flowlib.transforms.stacks import CouplingStack, GlowLevel, PlanarStack

LAWS = [Additive(), Affine(), RationalQuadratic(bins=3)]


def moved(transform: Transform) -> Transform:
    """In float64, its units learned from a first batch, then away from where it starts."""
    x = 3.0 + 2.0 * torch.randn(20, *transform.data_shape, dtype=torch.float64)
    transform.double().inverse(x, torch.ones(1, dtype=torch.float64) if transform.context_dim else None)
    with torch.no_grad():
        for parameter in transform.parameters():
            parameter += 0.1 * torch.randn_like(parameter)
    return transform


def couplings(law, dim: int, length: int, kind: str = "alternate") -> list[Transform]:
    parts = [Partition(dim, kind, flip=k % 2 == 1) for k in range(length)]
    return [Coupling(law, MLP(part.kept + 1, part.moved * law.n_params, [16]), part, 1) for part in parts]


def image_couplings(law, partition, length: int) -> list[Transform]:
    turns = [partition.flipped() if k % 2 else partition for k in range(length)]
    return [Coupling(law, ConvNet(turn.kept, turn.moved * law.n_params, 6, 1, 1), turn, 1) for turn in turns]


def glow_steps(law, steps: int, context_dim: int = 1) -> list[Transform]:
    squeeze = Squeeze((1, 4, 6))
    nets = [GlowNet(2, 2 * law.n_params, 8, context_dim) for _ in range(steps)]
    return [*(GlowStep(squeeze.event_shape, law, net, context_dim) for net in nets), squeeze]


RUNS = {
    "planar": (PlanarStack, lambda: [Planar(3) for _ in range(4)]),
    **{
        f"coupling-{type(law).__name__}-{dim}": (CouplingStack, lambda law=law, dim=dim: couplings(law, dim, 5))
        for law in LAWS
        for dim in (2, 5)
    },
    "channels": (CouplingStack, lambda: image_couplings(LAWS[2], Channels((3, 2, 2)), 3)),
    "checkerboard": (CouplingStack, lambda: image_couplings(LAWS[1], Checkerboard((3, 2, 2)), 3)),
    **{f"glow-{type(law).__name__}": (GlowLevel, lambda law=law: glow_steps(law, 3)) for law in LAWS},
}


@pytest.mark.parametrize("name", RUNS)
def test_a_stack_is_its_layers(name: str) -> None:
    kind, make = RUNS[name]
    stack = moved(stacked(make()))
    assert type(stack) is kind
    plain = Compose(stack.layers())
    z = torch.randn(20, *stack.event_shape, dtype=torch.float64)
    context = torch.randn(20, 1, dtype=torch.float64) if stack.context_dim else None
    x = stack(z, context)[0].detach()
    for fast_call, call, points in ((stack, plain, z), (stack.inverse, plain.inverse, x)):
        for a, b in zip(fast_call(points, context), call(points, context), strict=True):
            assert a.shape == b.shape and (a - b).abs().max() < 1e-11 * (1.0 + b.abs().max())


@pytest.mark.parametrize("name", [name for name in RUNS if name != "planar"])
def test_its_gradients_are_those_of_its_layers(name: str) -> None:
    stack = moved(stacked(RUNS[name][1]()))
    x = 3.0 + 2.0 * torch.randn(20, *stack.data_shape, dtype=torch.float64)
    context = torch.randn(20, 1, dtype=torch.float64)

    def gradients(transform: Transform) -> list[torch.Tensor]:
        z, log_det = transform.inverse(x, context)
        return torch.autograd.grad((0.5 * z.square().flatten(1).sum(-1) - log_det).mean(), list(stack.parameters()))

    for a, b in zip(gradients(stack), gradients(Compose(stack.layers())), strict=True):
        assert (a - b).abs().max() < 1e-11 * (1.0 + b.abs().max())


def test_the_first_batch_of_a_level_is_that_of_its_layers() -> None:
    x = 3.0 + 2.0 * torch.randn(20, 1, 4, 6, dtype=torch.float64)
    f = stacked(glow_steps(Affine(), 3, 0)).double()
    g, again = copy.deepcopy(f), copy.deepcopy(f).eval()
    z, log_det = f.inverse(x)
    for a, b in zip((z, log_det), Compose(g.layers()).inverse(x), strict=True):
        assert torch.equal(a, b)
    norms = [[part for part in each.modules() if isinstance(part, ActNorm)] for each in (f, g, again)]
    for a, b, c in zip(*norms, strict=True):
        assert torch.equal(a.shift, b.shift) and torch.equal(a.log_scale, b.log_scale) and a.initialized
        assert not c.initialized
    for a, b in zip(f.inverse(x), (z, log_det), strict=True):  # from now on in fewer operations
        assert torch.allclose(a, b)
    again.inverse(x)
    assert not any(norm.initialized for norm in norms[2])  # none learns in eval mode


@pytest.mark.parametrize("batch", [(0,), (2, 3), (1, 0)], ids=str)
def test_any_batch(batch: tuple[int, ...]) -> None:
    x = torch.randn(*batch, 1, 4, 6, dtype=torch.float64)
    z, log_det = stacked(glow_steps(Affine(), 2, 0)).double().eval().inverse(x)
    assert z.shape == (*batch, 4, 2, 3) and log_det.shape == batch


def test_only_equal_neighbours_are_taken_together() -> None:
    law = Affine()
    three = [couplings(law, 5, 2), couplings(law, 5, 2), couplings(law, 5, 2, "halves")]
    mixed = [*three[0], Permutation([1, 0, 2, 3, 4]), *three[1], *three[2]]
    f = stacked(mixed)
    assert [type(part).__name__ for part in f.transforms] == [
        "CouplingStack", "Permutation", "CouplingStack", "CouplingStack",
    ]  # fmt: skip
    assert f.layers() == mixed
    other_law = [*couplings(law, 2, 1), *couplings(Affine(), 2, 2)[1:]]
    same_turn = [*couplings(law, 2, 1), *couplings(law, 2, 1)]
    folded = [Planar(2, constrain=False), Planar(2, constrain=False)]
    for layers in (other_law, same_turn, folded, glow_steps(law, 2)[:-1]):
        assert type(stacked(layers)) is Compose
    alone = Planar(2)
    assert stacked([alone]) is alone


def test_prove_works_on_a_level() -> None:
    assert prove(moved(stacked(glow_steps(Affine(), 2, 0)))).holds
