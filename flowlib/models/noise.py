"""Recipes for the noise of a camera, given the clean picture: a small flow, and the two Gaussians beside it.

    n = f(z; s, ISO),   z ~ N(0, I):   tails, then neighbours, then the level of each pixel

Paper: Abdelhamed, Brubaker and Brown (2019, arXiv 1908.08453), Noise flow: noise modeling with conditional normalizing
flows, ICCV. Theirs has under 2,500 parameters and gains 0.42 nats a pixel over the noise level function of the cameras.
"""

from collections.abc import Sequence

import torch
from torch import Tensor

from flowlib.bases import LOG_2PI, StandardNormal
from flowlib.core import Base, Compose, Flow
from flowlib.laws import Affine, RationalQuadratic
from flowlib.models.saved import recipe
from flowlib.nets import MLP
from flowlib.support.checks import check_image
from flowlib.transforms import CausalFilter, PerPixel, Unflatten


@recipe
def noise_flow(
    shape: Sequence[int] = (1, 16, 16),
    bins: int = 10,
    filters: int = 2,
    hidden: Sequence[int] = (24, 24),
    extra: int = 1,
    base: Base | None = None,
) -> Flow:
    """From white normal noise to that of a camera: a spline for the tails, causal filters, an affine law for the level.

    The context is the clean patch in reading order, then `extra` numbers such as log₂ (ISO / 100): `Camera.context`.
    2,127 parameters as it stands, for a patch of any size.

    Args:
        shape: (1, H, W) of a patch.
        bins: K of the spline; 0 leaves the spline out, and the noise Gaussian.
        filters: how many causal filters; 0 leaves neighbours alone.
        hidden: sizes of the hidden layers of both networks.
        extra: numbers that the whole patch has.
        base: p_Z, a standard normal if not given.

    >>> flow = noise_flow((1, 4, 4))
    >>> flow.sample(3, torch.rand(3, 17)).shape
    torch.Size([3, 1, 4, 4])
    """
    shape = check_image("noise_flow", shape)
    size, inputs = shape.numel(), 1 + extra
    laws = [RationalQuadratic(bins, bound=20.0)] if bins else []
    tails = [PerPixel(law, MLP(inputs, law.n_params, hidden), shape, extra) for law in laws]
    level = PerPixel(Affine(bound=5.0), MLP(inputs, 2, hidden), shape, extra)
    layers = [Unflatten(shape), *tails, *(CausalFilter(shape) for _ in range(filters)), level]
    return Flow(Compose(layers), base or StandardNormal(size))


def gaussian_noise(noise: Tensor, level: Tensor | float) -> Tensor:
    """log N(n; 0, σ²) of each patch: noise (n, C, H, W), one σ or one a pixel -> (n,). In nats.

    With σ = the deviation of all noise it is the plainest model; with σ = `Camera.noise_level(s, ISO)` it is the
    heteroscedastic Gaussian that cameras are calibrated with (Foi et al. 2008, IEEE TIP 17(10)).

    >>> gaussian_noise(torch.zeros(1, 1, 2, 2), 1.0)
    tensor([-3.6758])
    """
    level = torch.as_tensor(level, dtype=noise.dtype)
    if not (level > 0).all():
        raise ValueError(f"gaussian_noise: the level σ must be above 0; got {level.min().item():g}.")
    nats = -0.5 * (noise / level).square() - level.log() - 0.5 * LOG_2PI
    return nats.flatten(1).sum(-1)
