"""Glow: the step of which it is made, and a level of steps that trains faster than its parts one by one."""

from collections.abc import Iterable, Sequence

import torch
from torch import Tensor, nn
from torch.nn.functional import linear

from flowlib.core import Compose, Inverse
from flowlib.laws import Law
from flowlib.transforms.coupling import Coupling
from flowlib.transforms.elementwise import ActNorm
from flowlib.transforms.linear import Conv1x1, lu_matrix
from flowlib.transforms.partition import Channels
from flowlib.transforms.rearrange import Squeeze


class GlowStep(Compose):
    """One step of Glow, read from the data: ActNorm, a 1 × 1 convolution, a coupling of channels.

    Map: a `Compose` of these three, from noise to data: the coupling, the mixing of channels, the units.
    Log-determinant: their sum. Invertible because each part is. The convolution is turned round, as in the paper: from
    data to noise, where maximum likelihood runs, it multiplies.

    Args:
        shape: (C, H, W), C at least 2.
        law: how a number moves in the coupling.
        conditioner: the network of the coupling, as `Coupling` takes it; the first ⌈C / 2⌉ channels stay.
        context_dim: size of the context that the network sees, 0 for none.

    Paper: Kingma and Dhariwal (2018), Glow, figure 2a and table 1.

    >>> from flowlib.nets.convolutional import GlowNet
    >>> from flowlib.laws import Affine
    >>> x, log_det = GlowStep((4, 2, 2), Affine(), GlowNet(2, 4))(torch.zeros(5, 4, 2, 2))
    >>> x.shape, log_det.shape
    (torch.Size([5, 4, 2, 2]), torch.Size([5]))
    """

    def __init__(self, shape: Sequence[int], law: Law, conditioner: nn.Module, context_dim: int = 0):
        coupling = Coupling(law, conditioner, Channels(shape), context_dim)
        super().__init__([coupling, Inverse(Conv1x1(shape)), ActNorm(shape)])


class GlowLevel(Compose):
    """One level of Glow, read from the data: a squeeze and K steps, z (4 C, H/2, W/2) -> x (C, H, W).

    Map: the `Compose` of K `GlowStep`s and a `Squeeze`, taken together. Log-determinant: the sum over the
    steps. Invertible because each part is.
    `inverse`, where maximum likelihood runs, takes the same map in fewer operations. What a step does before its
    coupling is one affine map of a pixel: with the ActNorm x = exp(a) ⊙ h + shift and the W of the convolution,

        W ((x − shift) ⊙ exp(−a)) = V x − V shift,    V = W diag(exp(−a)),

    and V of all K steps is made at once. Log-determinants that are the same everywhere are added as single numbers,
    log-slopes at the end. Channels come last, where cutting them and multiplying them takes no copies.

    Args:
        shape: (C, H, W) of the data, H and W even.
        law: how a number moves in the couplings.
        conditioners: the K networks, each as `GlowStep` takes it on (4 C, H/2, W/2), in the order from noise to data.
        context_dim: size of the context that each network sees, 0 for none.

    Paper: Kingma and Dhariwal (2018), Glow, figure 2b, without the split, which is in `MultiScale`.

    >>> from flowlib.nets.convolutional import GlowNet
    >>> from flowlib.laws import Affine
    >>> f = GlowLevel((1, 4, 4), Affine(), [GlowNet(2, 4) for _ in range(3)])
    >>> f(torch.zeros(5, 4, 2, 2))[0].shape
    torch.Size([5, 1, 4, 4])
    """

    def __init__(self, shape: Sequence[int], law: Law, conditioners: Iterable[nn.Module], context_dim: int = 0):
        squeeze = Squeeze(shape)
        steps = [GlowStep(squeeze.event_shape, law, net, context_dim) for net in conditioners]
        if not steps:
            raise ValueError("GlowLevel: conditioners is empty; expected one network for each step.")
        super().__init__([*steps, squeeze])

    def inverse(self, x: Tensor, context: Tensor | None = None) -> tuple[Tensor, Tensor]:
        self.check_data(x)
        *steps, squeeze = self.transforms
        couplings, turned, norms = zip(*(step.transforms for step in reversed(steps)), strict=True)
        if any(norm.waits() for norm in norms):
            return super().inverse(x, context)  # each ActNorm learns from what the steps before it make of the batch
        weights, biases, log_det = mixers([each.transform for each in turned], norms)
        pixels, log_slopes = squeeze.inverse(x)[0].movedim(-3, -1), []  # (..., H/2, W/2, 4 C)
        for coupling, weight, bias in zip(couplings, weights, biases, strict=True):
            kept, moved = linear(pixels, weight, bias).split(coupling.partition.sizes, -1)
            params = coupling.params(kept.movedim(-1, -3), context).movedim(-4, -2)  # (..., H/2, W/2, moved, n_params)
            moved, log_slope = coupling.law.inverse(moved, params)
            pixels = torch.cat([kept, moved], -1)
            log_slopes.append(log_slope)
        return pixels.movedim(-1, -3), torch.cat(log_slopes, -1).sum((-3, -2, -1)) + log_det


def mixers(
    convolutions: Sequence[Conv1x1], norms: Sequence[ActNorm]
) -> tuple[tuple[Tensor, ...], tuple[Tensor, ...], Tensor]:
    """ActNorm and convolution of each of K steps as one map V x + b, from data to noise: K matrices (C, C), K vectors
    (C,), and the sum of all their log-determinants, ()."""
    factors = [convolution.factors for convolution in convolutions]
    raw, sign, order = (torch.stack([getattr(lu, name) for lu in factors]) for name in ("raw", "sign", "order"))
    shift, log_scale = (torch.stack([getattr(norm, name) for norm in norms]) for name in ("shift", "log_scale"))
    v = lu_matrix(raw, sign, order) * (-log_scale).exp().view(sign.shape).unsqueeze(-2)  # (K, C, C)
    b = -(v @ shift.flatten(-2)).squeeze(-1)  # (K, C)
    log_det = convolutions[0].pixels * (raw.diagonal(dim1=-2, dim2=-1).sum() - log_scale.sum())
    return v.unbind(), b.unbind(), log_det
