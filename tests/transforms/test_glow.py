"""A level of Glow beside the same level taken layer by layer: numbers, gradients, first batches, what it refuses."""

import copy

import pytest
import torch

from flowlib import prove
from flowlib.core import Compose
from flowlib.laws import Additive, Affine, Law, RationalQuadratic
from flowlib.nets.convolutional import GlowNet
from flowlib.transforms import ActNorm, Conv1x1, Coupling, GlowLevel, Squeeze

LAWS = [Additive(), Affine(), RationalQuadratic(bins=3)]


def level(law: Law, steps: int = 3, context_dim: int = 0, first_batch: bool = True) -> GlowLevel:
    """A level on images (1, 4, 6) in float64, moved away from where it starts."""
    torch.manual_seed(0)
    nets = [GlowNet(2, 2 * law.n_params, 8, context_dim) for _ in range(steps)]
    f = GlowLevel((1, 4, 6), law, nets, context_dim).double()
    if first_batch:
        f.inverse(images(), torch.ones(context_dim, dtype=torch.float64) if context_dim else None)
    with torch.no_grad():
        for parameter in f.parameters():
            parameter += 0.2 * torch.randn_like(parameter)
    return f


def images(*batch: int) -> torch.Tensor:
    return 3.0 + 2.0 * torch.randn(*(batch or (20,)), 1, 4, 6, dtype=torch.float64)


@pytest.mark.parametrize("law", LAWS, ids=lambda law: type(law).__name__)
@pytest.mark.parametrize("context_dim", [0, 3])
def test_a_level_is_its_layers(law: Law, context_dim: int) -> None:
    f, x = level(law, context_dim=context_dim), images()
    context = torch.randn(20, context_dim, dtype=torch.float64) if context_dim else None
    for a, b in zip(f.inverse(x, context), f.layers().inverse(x, context), strict=True):
        assert a.shape == b.shape and torch.allclose(a, b, rtol=0.0, atol=1e-11)
    z, log_det = f.inverse(x, context)
    again, log_det_back = f(z, context)
    assert torch.allclose(again, x) and torch.allclose(log_det_back, -log_det)


def test_its_gradients_are_those_of_its_layers() -> None:
    f, x = level(Affine()), images()

    def gradients(transform: Compose) -> list[torch.Tensor]:
        z, log_det = transform.inverse(x)
        return torch.autograd.grad((0.5 * z.square().sum((1, 2, 3)) - log_det).mean(), list(f.parameters()))

    for a, b in zip(gradients(f), gradients(f.layers()), strict=True):
        assert torch.allclose(a, b, rtol=0.0, atol=1e-9)


def test_the_first_batch_is_that_of_its_layers() -> None:
    f, x = level(Affine(), first_batch=False), images()
    g, again = copy.deepcopy(f), copy.deepcopy(f).eval()
    z, log_det = f.inverse(x)
    for a, b in zip((z, log_det), g.layers().inverse(x), strict=True):
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
    z, log_det = level(Affine()).inverse(images(*batch))
    assert z.shape == (*batch, 4, 2, 3) and log_det.shape == batch


def test_a_step_reads_as_in_the_paper() -> None:
    *steps, squeeze = level(Affine(), steps=2).transforms
    assert len(steps) == 2 and isinstance(squeeze, Squeeze)
    coupling, turned, norm = steps[0].transforms
    assert isinstance(coupling, Coupling) and isinstance(turned.transform, Conv1x1) and isinstance(norm, ActNorm)


def test_prove_works_on_a_level() -> None:
    assert prove(level(Affine(), steps=2).eval()).holds


def test_a_level_needs_a_network() -> None:
    with pytest.raises(ValueError, match="GlowLevel: conditioners is empty; expected one network for each step"):
        GlowLevel((1, 4, 4), Affine(), [])
