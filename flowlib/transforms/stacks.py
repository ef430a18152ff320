"""The same maps in fewer operations. What a layer does is told in its own file; here it is only done faster.

`stacked(layers)` is the map of `Compose(layers)` in which each run of equal layers is taken together: planar flows with
their parameters side by side, couplings that cut and join the point once, the steps of one level of Glow, residual
layers whose weights are bounded together. `layers()` gives the plain layers back, and a test proves that both are the
same map.
"""

from collections.abc import Iterable, Sequence

import torch
from torch import Tensor, nn
from torch.nn.functional import linear

from flowlib.core import ONE_PASS, ROOTS, Compose, Transform
from flowlib.nets.lipschitz import LipschitzMLP, at_once
from flowlib.support.precision import full_precision
from flowlib.transforms.coupling import Coupling
from flowlib.transforms.elementwise import ActNorm
from flowlib.transforms.glow import GlowStep
from flowlib.transforms.linear import Conv1x1, lu_matrix
from flowlib.transforms.planar import Planar, admissible_push, pull, push
from flowlib.transforms.rearrange import Squeeze
from flowlib.transforms.residual import Residual


def stacked(layers: Iterable[Transform]) -> Transform:
    """The map of Compose(layers), each run of equal layers as one: constrained `Planar` flows, `Coupling`s with one law
    whose two parts take turns, `GlowStep`s and the `Squeeze` behind them, `Residual`s with an MLP of one size.

    >>> stacked([Planar(2) for _ in range(8)]).layers()[0]
    Planar(dim=2)
    """
    runs: list[list[Transform]] = []
    for layer in layers:
        if runs and continues(runs[-1][-1], layer):
            runs[-1].append(layer)
        else:
            runs.append([layer])
    parts = [part for run in runs for part in joined(run)]
    return parts[0] if len(parts) == 1 else Compose(parts)


def continues(before: Transform, layer: Transform) -> bool:
    """Whether a layer can be taken together with the one before it."""
    if type(before) is type(layer) is Planar:
        return before.constrain and layer.constrain
    if type(before) is type(layer) is Coupling:
        a, b = before.partition, layer.partition
        in_turns = (type(a), a.shape, a.kind, a.flip) == (type(b), b.shape, b.kind, not b.flip)
        return before.law is layer.law and in_turns
    if type(before) is type(layer) is Residual:
        a, b = before.net, layer.net
        return type(a) is type(b) is LipschitzMLP and (a.sizes, a.coefficient) == (b.sizes, b.coefficient)
    return type(before) is GlowStep and type(layer) in (GlowStep, Squeeze)


def joined(run: list[Transform]) -> list[Transform]:
    """A run of layers as one; a single layer, and steps of Glow without a squeeze behind them, stay as they are."""
    kind = type(run[0])
    if len(run) == 1 or (kind is GlowStep and type(run[-1]) is not Squeeze):
        return run
    stacks = {Planar: PlanarStack, Coupling: CouplingStack, GlowStep: GlowLevel, Residual: ResidualStack}
    return [stacks[kind](run)]


class PlanarStack(Transform):
    """K planar flows, their parameters side by side: all û_k and all log-determinants are computed together.

    Under torch.compile it is the plain sum over the layers: the compiler fuses elementwise steps, not matrix products.

    Args:
        layers: f_1, ..., f_K, whose parameters are copied.

    Paper: Rezende and Mohamed (2015), equations 7 and 21, arXiv 1505.05770.
    """

    costs = (ONE_PASS, ROOTS)

    def __init__(self, layers: Sequence[Planar]):
        super().__init__(layers[0].event_shape)
        for name in ("u", "w", "b"):
            rows = torch.stack([getattr(layer, name).detach() for layer in layers])
            setattr(self, name, nn.Parameter(rows))  # u, w (K, D), b (K,)

    def layers(self) -> list[Transform]:
        """Planar flows with copies of the parameters."""
        layers = [Planar(self.event_shape[0], 0.0, 0.0, 0.0).to(self.u) for _ in self.u]
        with torch.no_grad():
            for k, layer in enumerate(layers):
                for name in ("u", "w", "b"):
                    getattr(layer, name).copy_(getattr(self, name)[k])
        return layers

    def parts(self) -> tuple[Tensor, list[tuple[Tensor, ...]]]:
        """w_k·û_k (K,), and of each layer û_k (D,), w_k·û_k (), w_k (D,), b_k ()."""
        u, product = admissible_push(self.u, self.w)
        return product, list(zip(u.unbind(), product.unbind(), self.w.unbind(), self.b.unbind(), strict=True))

    @full_precision
    def forward(self, z: Tensor, context: Tensor | None = None) -> tuple[Tensor, Tensor]:
        self.check_input(z)
        product, layers = self.parts()
        if torch.compiler.is_compiling():
            log_det = z.new_zeros(z.shape[:-1])
            for layer in layers:
                z, term = push(z, *layer)
                log_det = log_det + term
            return z, log_det
        x, ridges = z.reshape(-1, z.shape[-1]), []  # (N, D)
        for u_k, _, w_k, b_k in layers:
            ridges.append(torch.tanh(torch.addmv(b_k.expand(x.shape[0]), x, w_k)))  # (N,)
            x = torch.addmm(x, ridges[-1].unsqueeze(-1), u_k.unsqueeze(0))
        slopes = 1.0 + product * (1.0 - torch.stack(ridges, -1).square())  # (N, K)
        return x.reshape(z.shape), slopes.log().sum(-1).reshape(z.shape[:-1])

    @full_precision
    def inverse(self, x: Tensor, context: Tensor | None = None) -> tuple[Tensor, Tensor]:
        self.check_input(x)
        log_det = x.new_zeros(x.shape[:-1])
        for layer in reversed(self.parts()[1]):
            x, term = pull(x, *layer)
            log_det = log_det + term
        return x, log_det

    def extra_repr(self) -> str:
        return f"dim={self.event_shape[0]}, length={len(self.u)}"


class CouplingStack(Compose):
    """K couplings whose two parts take turns: the point is cut once and joined once, log-slopes are added at the end.

    Args:
        couplings: with one law; what stays in one moves in the next.

    Paper: Dinh et al. (2017), RealNVP, figure 4, arXiv 1605.08803.
    """

    generate = Transform.generate  # by the fast `forward`

    @full_precision
    def forward(self, z: Tensor, context: Tensor | None = None) -> tuple[Tensor, Tensor]:
        return self.run(z, context, list(self.transforms), self.transforms[0].law)

    @full_precision
    def inverse(self, x: Tensor, context: Tensor | None = None) -> tuple[Tensor, Tensor]:
        return self.run(x, context, list(reversed(self.transforms)), self.transforms[0].law.inverse)

    def run(self, value: Tensor, context: Tensor | None, couplings: list, law: nn.Module) -> tuple[Tensor, Tensor]:
        """The couplings in this order, with the law in one direction."""
        self.check_input(value)
        log_slopes = []
        moved, kept = couplings[0].partition.split(value)  # they change places at once
        for coupling in couplings:
            kept, moved = moved, kept
            moved, log_slope = law(moved, coupling.params(kept, context))
            log_slopes.append(log_slope)
        return couplings[-1].partition.join(kept, moved), torch.cat(log_slopes, self.axes[0]).sum(self.axes)


class GlowLevel(Compose):
    """K steps of Glow and a squeeze, z (4 C, H/2, W/2) -> x (C, H, W), faster in `inverse`, where training runs.

    What a step does before its coupling is one affine map of a pixel: with the ActNorm x = exp(a) ⊙ h + shift and the W
    of the convolution,

        W ((x − shift) ⊙ exp(−a)) = V x − V shift,    V = W diag(exp(−a)),

    and V of all K steps is made at once. Log-determinants that are the same everywhere are added as single numbers,
    log-slopes at the end. Channels come last, where cutting them and multiplying them takes no copies.

    Args:
        layers: K `GlowStep`s and a `Squeeze`.

    Paper: Kingma and Dhariwal (2018), Glow, figure 2b, without the split, which is in `MultiScale`; arXiv 1807.03039.
    """

    @full_precision
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


class ResidualStack(Compose):
    """K residual layers, faster in `forward`, where training runs: the weights of all networks are bounded together.

    Args:
        layers: K `Residual`s, each with a `LipschitzMLP` of the same sizes and coefficient.

    Paper: Chen et al. (2019), Residual flows, section 3, arXiv 1906.02735.
    """

    @full_precision
    def forward(self, z: Tensor, context: Tensor | None = None) -> tuple[Tensor, Tensor]:
        self.check_input(z)
        log_det = z.new_zeros(self.batch_shape(z))
        for layer, g in zip(self.transforms, at_once([layer.net for layer in self.transforms], context), strict=True):
            step, term = layer.pushed(g, z)
            z, log_det = z + step, log_det + term
        return z, log_det
