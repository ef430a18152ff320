"""Small flows on images, and on noise."""

import math

import torch
from torch import nn

from flowlib import Compose, Flow
from flowlib.bases import StandardNormal, Uniform
from flowlib.models import real_nvp
from flowlib.transforms import ElementwiseAffine, Logit, Unflatten


def shaken(module: nn.Module, by: float = 0.05) -> nn.Module:
    """The module with random weights, so that no layer is the identity, and in eval mode."""
    torch.manual_seed(0)
    with torch.no_grad():
        for parameter in module.parameters():
            parameter.add_(by * torch.randn_like(parameter))
    return module.eval()


def image_flow(shape: tuple[int, ...], context_dim: int = 0) -> Flow:
    """A small RealNVP on images of this shape."""
    dim = math.prod(shape)
    flow = real_nvp(dim=dim, layers=2, hidden=[8], context_dim=context_dim)
    return Flow(Compose([flow.transform, Unflatten(shape)]), flow.base)


def normal_flow(shape: tuple[int, ...], shift: float = 0.0, scale: float = 1.0) -> Flow:
    """s ~ N(shift, scale²), each pixel alone."""
    dim = math.prod(shape)
    return Flow(Compose([ElementwiseAffine(dim, shift, scale), Unflatten(shape)]), StandardNormal(dim))


def noise_flow(dim: int, scale: float = 1.0) -> Flow:
    """v, of which u = sigmoid(v) is the noise: at scale 1, as long as the couplings are the identity, u is uniform."""
    couplings = real_nvp(dim=dim, layers=2, hidden=[8], context_dim=dim).transform.layers()[:2]
    return Flow(
        Compose([Logit(dim), ElementwiseAffine(dim, scale=scale), *couplings]), Uniform([0.0] * dim, [1.0] * dim)
    )
