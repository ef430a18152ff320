"""Recipes for vectors: each flow of the course in a few lines that read like the figure in its paper.

Every recipe returns a `Flow`; `summary(flow)` prints what is in it. The families with networks start as the identity,
and what is trained to data ends in `Units`, which learns their mean and deviation when training begins: a spline's box
is measured in standard deviations, and it does not matter whether a column is in metres. Which direction is cheap
differs:

    nice, real_nvp, spline_flow                 log_prob and sample in one pass
    maf, spline_maf, transformer_flow           log_prob in one pass, sample in D steps
    iaf                                         sample in one pass, log_prob in D steps
    residual_flow                               log_prob in one pass, sample by fixed points
    planar_flow, radial_flow, sylvester_flow    sample in one pass, log_prob by roots; `fast="density"` swaps the two
    gaussianization, density_ascent             log_prob in one pass of many layers, which `fit_greedy` fits one by one
    ffjord, flow_matching                       sample and log_prob by solving an equation, many passes of one network
"""

from collections.abc import Callable, Iterable, Sequence

import torch
from torch import nn

from flowlib.bases import StandardNormal
from flowlib.core import Base, Compose, Flow, Inverse, Transform
from flowlib.laws import Additive, Affine, Law, RationalQuadratic
from flowlib.models.saved import recipe
from flowlib.nets import MADE, MLP, CausalTransformer, LipschitzMLP, VelocityMLP
from flowlib.support.checks import check_choice, check_contraction, check_count
from flowlib.transforms import (
    Amortized,
    Autoregressive,
    Continuous,
    Coupling,
    DensityAscent,
    ElementwiseAffine,
    Gaussianization,
    InContextUnits,
    Partition,
    Planar,
    Radial,
    Residual,
    Sylvester,
    Units,
    Whitening,
    stacked,
)

HIDDEN = (64, 64)


@recipe
def planar_flow(
    dim: int = 2,
    layers: int = 16,
    fast: str = "sampling",
    hidden: Sequence[int] = HIDDEN,
    context_dim: int = 0,
    base: Base | None = None,
) -> Flow:
    """f = f_K ∘ ... ∘ f_1, each x = z + û tanh(w·z + b).

    Pushes start at 1 / √K of a random length, so that all of them together are about as long as one alone; ridges start
    one unit wide, within one unit of the middle of the base.

    Args:
        dim: D.
        layers: K.
        fast: "sampling" (as in the paper, for `fit_energy`) or "density" (turned round, for `fit`).
        hidden: where there is a context, sizes of the hidden layers of the network that moves a layer's parameters.
        context_dim: size of the context, 0 for none.
        base: p_Z, a standard normal if not given.

    Paper: Rezende and Mohamed (2015), figure 1 and equation 10, arXiv 1505.05770.
    """
    check_count("planar_flow", "dim", dim)
    check_count("planar_flow", "layers", layers)
    u, w = torch.randn(layers, dim) / layers**0.5, torch.randn(layers, dim)
    w, b = w / w.norm(dim=-1, keepdim=True), 2.0 * torch.rand(layers) - 1.0
    return pushes([Planar(dim, *start) for start in zip(u, w, b, strict=True)], fast, hidden, context_dim, base)


@recipe
def radial_flow(
    dim: int = 2,
    layers: int = 16,
    fast: str = "sampling",
    hidden: Sequence[int] = HIDDEN,
    context_dim: int = 0,
    base: Base | None = None,
) -> Flow:
    """f = f_K ∘ ... ∘ f_1, each x = z + β̂ (z − z₀) / (α + r). Its inverse is a formula: both directions are one pass.

    Args:
        dim: D.
        layers: K.
        fast: "sampling" (as in the paper) or "density" (turned round).
        hidden: where there is a context, sizes of the hidden layers of the network that moves a layer's parameters.
        context_dim: size of the context, 0 for none.
        base: p_Z, a standard normal if not given.

    Paper: Rezende and Mohamed (2015), equation 14, arXiv 1505.05770.
    """
    layers = [Radial(dim) for _ in range(check_count("radial_flow", "layers", layers))]
    return pushes(layers, fast, hidden, context_dim, base)


@recipe
def sylvester_flow(
    dim: int = 2,
    layers: int = 16,
    ridges: int | None = None,
    fast: str = "sampling",
    hidden: Sequence[int] = HIDDEN,
    context_dim: int = 0,
    base: Base | None = None,
) -> Flow:
    """f = f_K ∘ ... ∘ f_1, each x = z + Q R tanh(R̃ Qᵀ z + b).

    Args:
        dim: D.
        layers: K.
        ridges: M, the pushes of one layer, 1 to D; D if not given.
        fast: "sampling" (as in the paper, for `fit_energy`) or "density" (turned round, for `fit`).
        hidden: where there is a context, sizes of the hidden layers of the network that moves a layer's parameters.
        context_dim: size of the context, 0 for none.
        base: p_Z, a standard normal if not given.

    Paper: van den Berg et al. (2018), equation 13, arXiv 1803.05649.
    """
    ridges = dim if ridges is None else ridges
    layers = [Sylvester(dim, ridges) for _ in range(check_count("sylvester_flow", "layers", layers))]
    return pushes(layers, fast, hidden, context_dim, base)


@recipe
def nice(
    dim: int = 2, layers: int = 8, hidden: Sequence[int] = HIDDEN, context_dim: int = 0, base: Base | None = None
) -> Flow:
    """Additive couplings, and one stretch a dimension for the volume.

    The paper stretches at the noise end. Here the stretch stands at the data end: additive couplings between two
    stretches are additive couplings again, so the family is the same, and the networks see data of unit size.

    Args:
        dim: D, at least 2.
        layers: K; two of them move every coordinate once.
        hidden: sizes of the hidden layers of each network.
        context_dim: size of the context, 0 for none.
        base: p_Z, a standard normal if not given.

    Paper: Dinh et al. (2015), NICE, section 3, arXiv 1410.8516.
    """
    return with_units(couplings(Additive(), dim, layers, hidden, context_dim), base)


@recipe
def real_nvp(
    dim: int = 2, layers: int = 8, hidden: Sequence[int] = HIDDEN, context_dim: int = 0, base: Base | None = None
) -> Flow:
    """Affine couplings whose two parts change places from layer to layer.

    Args:
        dim: D, at least 2.
        layers: K; two of them move every coordinate once.
        hidden: sizes of the hidden layers of each network.
        context_dim: size of the context, 0 for none.
        base: p_Z, a standard normal if not given.

    Paper: Dinh et al. (2017), RealNVP, section 3.5 and figure 4, arXiv 1605.08803.
    """
    return with_units(couplings(Affine(), dim, layers, hidden, context_dim), base)


@recipe
def spline_flow(
    dim: int = 2,
    layers: int = 4,
    hidden: Sequence[int] = HIDDEN,
    bins: int = 16,
    bound: float = 5.0,
    context_dim: int = 0,
    base: Base | None = None,
) -> Flow:
    """Rational-quadratic couplings, turned round as in the paper: the spline's formula runs from data to noise, where
    maximum likelihood needs it, and its root from noise to data.

    Args:
        dim: D, at least 2.
        layers: K; two of them move every coordinate once.
        hidden: sizes of the hidden layers of each network.
        bins: pieces of each spline.
        bound: half the side of the box that it bends, in standard deviations of the data.
        context_dim: size of the context, 0 for none.
        base: p_Z, a standard normal if not given.

    Paper: Durkan et al. (2019), Neural spline flows, section 3, arXiv 1906.04032.
    """
    layers = couplings(RationalQuadratic(bins, bound), dim, layers, hidden, context_dim)
    return with_units([Inverse(stacked(layers))], base)


@recipe
def maf(
    dim: int = 2, layers: int = 5, hidden: Sequence[int] = HIDDEN, context_dim: int = 0, base: Base | None = None
) -> Flow:
    """Affine autoregressive layers, the order of the coordinates reversed between them.

    Args:
        dim: D.
        layers: K.
        hidden: sizes of the hidden layers of each network, a `MADE`.
        context_dim: size of the context, 0 for none.
        base: p_Z, a standard normal if not given.

    Paper: Papamakarios et al. (2017), Masked autoregressive flow, arXiv 1705.07057.
    """
    return with_units(autoregressions(Affine(), dim, layers, MADE, hidden=hidden, context_dim=context_dim), base)


@recipe
def spline_maf(
    dim: int = 2,
    layers: int = 3,
    hidden: Sequence[int] = HIDDEN,
    bins: int = 16,
    bound: float = 5.0,
    context_dim: int = 0,
    base: Base | None = None,
) -> Flow:
    """Rational-quadratic autoregressive layers, RQ-NSF (AR) in the paper.

    Args:
        dim: D; may be 1.
        layers: K.
        hidden: sizes of the hidden layers of each network, a `MADE`.
        bins: pieces of each spline.
        bound: half the side of the box that it bends, in standard deviations of the data.
        context_dim: size of the context, 0 for none.
        base: p_Z, a standard normal if not given.

    Paper: Durkan et al. (2019), Neural spline flows, section 3, arXiv 1906.04032.
    """
    law = RationalQuadratic(bins, bound)
    return with_units(autoregressions(law, dim, layers, MADE, hidden=hidden, context_dim=context_dim), base)


@recipe
def transformer_flow(
    dim: int = 2,
    layers: int = 3,
    width: int = 32,
    heads: int = 4,
    depth: int = 2,
    context_dim: int = 0,
    base: Base | None = None,
) -> Flow:
    """Affine autoregressive layers whose conditioner is a causal transformer.

    Args:
        dim: D.
        layers: K.
        width: size of a token, a multiple of heads.
        heads, depth: attention heads, and blocks, of each `CausalTransformer`.
        context_dim: size of the context, 0 for none.
        base: p_Z, a standard normal if not given.

    Paper: Zhai et al. (2024), TarFlow, figure 2, arXiv 2412.06329.
    """
    sizes = {"width": width, "heads": heads, "depth": depth, "context_dim": context_dim}
    return with_units(autoregressions(Affine(), dim, layers, CausalTransformer, **sizes), base)


@recipe
def iaf(
    dim: int = 2, layers: int = 5, hidden: Sequence[int] = HIDDEN, context_dim: int = 0, base: Base | None = None
) -> Flow:
    """MAF with each layer turned round: all coordinates are sampled in one pass.

    Args:
        dim: D.
        layers: K.
        hidden: sizes of the hidden layers of each network, a `MADE`.
        context_dim: size of the context, 0 for none.
        base: p_Z, a standard normal if not given.

    Paper: Kingma et al. (2016), Improving variational inference with inverse autoregressive flow, algorithm 1, arXiv
    1606.04934.
    """
    layers = autoregressions(Affine(), dim, layers, MADE, hidden=hidden, context_dim=context_dim)
    return with_units(map(Inverse, layers), base)


@recipe
def gaussianization(
    dim: int = 2,
    layers: int = 100,
    directions: str = "random",
    bins: int = 24,
    stride: float = 0.35,
    base: Base | None = None,
) -> Flow:
    """Turns and marginal maps behind a full Gaussian, for `fit_greedy`, and for `fit` to go on from there.

    Args:
        dim: D.
        layers: K, at most; `fit_greedy` leaves those that gain nothing at the identity.
        directions, bins, stride: of each `Gaussianization`.
        base: p_Z, a standard normal if not given.

    Paper: Chen and Gopinath (2000), Gaussianization; Laparra et al. (2011), arXiv 1602.00229; Dai and Seljak (2021),
    arXiv 2007.00674.
    """
    count = check_count("gaussianization", "layers", layers)
    return whitened([Gaussianization(dim, directions, bins, stride=stride) for _ in range(count)], dim, base)


@recipe
def density_ascent(dim: int = 2, layers: int = 400, base: Base | None = None) -> Flow:
    """Elementary maps in turns, radial and along a ridge, behind a full Gaussian, for `fit_greedy`.

    Args:
        dim: D.
        layers: K, at most; `fit_greedy` leaves those that gain nothing at the identity.
        base: p_Z, a standard normal if not given.

    Paper: Tabak and Vanden-Eijnden (2010); Tabak and Turner (2013).
    """
    count = check_count("density_ascent", "layers", layers)
    return whitened([DensityAscent(dim, ("ridge", "radial")[k % 2]) for k in range(count)], dim, base)


@recipe
def ffjord(
    dim: int = 2,
    hidden: Sequence[int] = HIDDEN,
    steps: int = 16,
    context_dim: int = 0,
    base: Base | None = None,
) -> Flow:
    """One velocity field from noise to data, for `fit`: every step of the training solves its equation.

    Args:
        dim: D.
        hidden: sizes of the hidden layers of the field; with two of them the trace costs no more than a pass.
        steps: equal steps of the solver, four passes of the field each.
        context_dim: size of the context, 0 for none.
        base: p_Z, a standard normal if not given.

    Paper: Grathwohl et al. (2019), FFJORD, algorithm 1, arXiv 1810.01367.
    """
    return drift(dim, hidden, steps, context_dim, base)


@recipe
def flow_matching(
    dim: int = 2,
    hidden: Sequence[int] = (64, 64, 64),
    steps: int = 32,
    context_dim: int = 0,
    base: Base | None = None,
) -> Flow:
    """The same flow with a deeper field and more steps, for `fit_matching`, whose training solves no equation.

    Args:
        dim: D.
        hidden: sizes of the hidden layers of the field.
        steps: equal steps of the solver, four passes of the field each.
        context_dim: size of the context, 0 for none.
        base: p_Z, a standard normal if not given.

    Paper: Lipman et al. (2023), Flow matching for generative modeling, arXiv 2210.02747.
    """
    return drift(dim, hidden, steps, context_dim, base)


def drift(dim: int, hidden: Sequence[int], steps: int, context_dim: int, base: Base | None) -> Flow:
    """One `Continuous` layer in the units of the data and of the context."""
    layer = Continuous(VelocityMLP(dim, hidden, context_dim), steps)
    return Flow(stacked([InContextUnits(layer) if context_dim else layer, Units(dim)]), base or StandardNormal(dim))


@recipe
def residual_flow(
    dim: int = 2,
    layers: int = 16,
    hidden: Sequence[int] = (32,),
    coefficient: float = 0.97,
    context_dim: int = 0,
    base: Base | None = None,
) -> Flow:
    """f = f_K ∘ ... ∘ f_1, each z = x + g(x) turned round: the step runs from data to noise, where maximum likelihood
    needs it, and its fixed point from noise to data, as in the paper.

    A layer multiplies a length by 1 − c at least and by 1 + c at most, so many small networks reach further than a few
    large ones. The log-determinant is exact up to D = 8 and a roulette beyond (see `Residual`).

    Args:
        dim: D.
        layers: K.
        hidden: sizes of the hidden layers of each network, a `LipschitzMLP`.
        coefficient: c, the bound of the Lipschitz constant of each g, below 1.
        context_dim: size of the context, 0 for none.
        base: p_Z, a standard normal if not given.

    Paper: Chen et al. (2019), Residual flows, section 3, arXiv 1906.02735.
    """
    check_contraction("residual_flow", coefficient)
    count = check_count("residual_flow", "layers", layers)
    blocks = [Residual(LipschitzMLP(dim, hidden, coefficient, context_dim)) for _ in range(count)]
    return with_units([Inverse(stacked(blocks))], base)


def pushes(layers: list[Transform], fast: str, hidden: Sequence[int], context_dim: int, base: Base | None) -> Flow:
    """Layers that are cheap from noise to data, or all of them turned round, for cheap densities; with a context, each
    has a network of it."""
    check_choice("flow", "fast", fast, ("sampling", "density"))
    dim = layers[0].event_shape[0]
    if check_count("flow", "context_dim", context_dim, 0):
        layers = [Amortized(layer, context_dim, hidden) for layer in layers]
    if fast == "density":
        layers = [Inverse(stacked(layers)), Units(dim)]
    transform = stacked(layers)
    return Flow(InContextUnits(transform) if context_dim else transform, base or StandardNormal(dim))


def whitened(layers: list[Transform], dim: int, base: Base | None) -> Flow:
    """The layers behind a full Gaussian, all of which learn from points, and the units of the data."""
    return Flow(Compose([*layers, Whitening(dim), Units(dim)]), base or StandardNormal(dim))


def couplings(law: Law, dim: int, layers: int, hidden: Sequence[int], context_dim: int) -> list[Transform]:
    """K couplings: what stays in one moves in the next, and beyond D = 2 the vector is cut in another way every two."""
    if dim == 1:
        raise ValueError("flow: a coupling needs dim = 2 or more, one number looks at another. For one: spline_maf(1).")
    parts = []
    for k in range(check_count("flow", "layers", layers)):
        kind = "alternate" if dim > 2 and k // 2 % 2 else "halves"
        partition = Partition(dim, kind, flip=k % 2 == 1)
        net = MLP(partition.kept + context_dim, partition.moved * law.n_params, hidden)
        parts.append(Coupling(law, net, partition, context_dim))
    return parts


def autoregressions(
    law: Law, dim: int, layers: int, net: Callable[..., nn.Module], **sizes: int | Sequence[int]
) -> list[Transform]:
    """K autoregressive layers; each takes the coordinates in the reverse order of the last."""
    count = check_count("flow", "layers", layers)
    return [Autoregressive(law, net(dim, law.n_params, **sizes, reverse=k % 2 == 1)) for k in range(count)]


def with_units(layers: Iterable[Transform], base: Base | None) -> Flow:
    """The layers, a stretch that is trained, and the units of the data and of the context, which are not."""
    layers = list(layers)
    dim = layers[0].event_shape[0]
    transform = stacked([*layers, ElementwiseAffine(dim), Units(dim)])
    return Flow(InContextUnits(transform) if transform.context_dim else transform, base or StandardNormal(dim))
