"""Recipes: each flow of the course in a few lines that read like the figure in its paper.

Every recipe returns a `Flow`; `summary(flow)` prints what is in it. The families with networks start as the identity
and end in an `ActNorm`, which learns the units of the data from the first batch, so that a spline's box is measured in
standard deviations. Which direction is cheap differs:

    nice, real_nvp, spline_flow                 log_prob and sample in one pass
    maf, spline_maf, transformer_flow           log_prob in one pass, sample in D steps
    iaf                                         sample in one pass, log_prob in D steps
    planar_flow, radial_flow, sylvester_flow    sample in one pass, log_prob by roots; `fast="density"` swaps the two
    nice_image, real_nvp_image, glow, transformer_image: see `flowlib.models.images`
"""

from collections.abc import Callable, Sequence

import torch
from torch import nn

from flowlib.bases import Base, StandardNormal
from flowlib.core import Compose, Flow, Inverse, Transform
from flowlib.laws import Additive, Affine, Law, RationalQuadratic
from flowlib.nets import MADE, MLP, CausalTransformer
from flowlib.support.checks import check_choice, check_count
from flowlib.transforms import ActNorm, Autoregressive, CouplingStack, Partition, PlanarStack, Radial, Sylvester

HIDDEN = (64, 64)


def planar_flow(dim: int = 2, layers: int = 16, fast: str = "sampling", base: Base | None = None) -> Flow:
    """f = f_K ∘ ... ∘ f_1, each x = z + û tanh(w·z + b). Rezende and Mohamed (2015), figure 1 and equation 10.

    Args:
        dim: D.
        layers: K.
        fast: "sampling" (as in the paper, for `fit_energy`) or "density" (turned round, for `fit`).
        base: p_Z, a standard normal if not given.

    Pushes start at 1 / √K of a random length, so that all of them together are about as long as one alone; ridges start
    one unit wide, within one unit of the middle of the base.
    """
    transform = PlanarStack(dim, check_count("planar_flow", "layers", layers))
    with torch.no_grad():
        transform.u.div_(layers**0.5)
        transform.w.div_(transform.w.norm(dim=-1, keepdim=True))
        transform.b.uniform_(-1.0, 1.0)
    return Flow(turned(transform, fast), base or StandardNormal(dim))


def radial_flow(dim: int = 2, layers: int = 16, fast: str = "sampling", base: Base | None = None) -> Flow:
    """f = f_K ∘ ... ∘ f_1, each x = z + β̂ (z − z₀) / (α + r). Rezende and Mohamed (2015), equation 14.

    Its inverse is a formula, so both directions are one pass. Args: `planar_flow`.
    """
    return stack(lambda: Radial(dim), layers, fast, dim, base)


def sylvester_flow(
    dim: int = 2, layers: int = 16, ridges: int | None = None, fast: str = "sampling", base: Base | None = None
) -> Flow:
    """f = f_K ∘ ... ∘ f_1, each x = z + Q R tanh(R̃ Qᵀ z + b). van den Berg et al. (2018), equation 13.

    Args: `planar_flow`; ridges: M, D if not given.
    """
    return stack(lambda: Sylvester(dim, dim if ridges is None else ridges), layers, fast, dim, base)


def nice(
    dim: int = 2, layers: int = 8, hidden: Sequence[int] = HIDDEN, context_dim: int = 0, base: Base | None = None
) -> Flow:
    """Additive couplings, and one stretch a dimension for the volume. Dinh et al. (2015), section 3.

    The paper stretches at the noise end. Here the stretch (ActNorm) stands at the data end: additive couplings between
    two stretches are additive couplings again, so the family is the same, and the networks see data of unit size.
    Args: `real_nvp`.
    """
    return coupling_flow(Additive(), dim, layers, hidden, context_dim, base)


def real_nvp(
    dim: int = 2, layers: int = 8, hidden: Sequence[int] = HIDDEN, context_dim: int = 0, base: Base | None = None
) -> Flow:
    """Affine couplings whose two parts change places from layer to layer. Dinh et al. (2017), section 3.5, figure 4.

    Args:
        dim: D, at least 2.
        layers: K; two of them move every coordinate once.
        hidden: sizes of the hidden layers of each network.
        context_dim: size of the context, 0 for none.
        base: p_Z, a standard normal if not given.
    """
    return coupling_flow(Affine(), dim, layers, hidden, context_dim, base)


def spline_flow(
    dim: int = 2,
    layers: int = 4,
    hidden: Sequence[int] = HIDDEN,
    bins: int = 16,
    bound: float = 5.0,
    context_dim: int = 0,
    base: Base | None = None,
) -> Flow:
    """Rational-quadratic couplings. Durkan et al. (2019), Neural spline flows, section 3.

    Turned round, as in the paper: the spline's formula runs from data to noise, where maximum likelihood needs it, and
    its root from noise to data.

    Args: `real_nvp`, and
        bins: pieces of each spline.
        bound: half the side of the box that it bends, in standard deviations of the data.
    """
    return coupling_flow(RationalQuadratic(bins, bound), dim, layers, hidden, context_dim, base, turn=Inverse)


def maf(
    dim: int = 2, layers: int = 5, hidden: Sequence[int] = HIDDEN, context_dim: int = 0, base: Base | None = None
) -> Flow:
    """Affine autoregressive layers, the order of the coordinates reversed between them. Papamakarios et al. (2017).

    Args: `real_nvp`; dim may be 1.
    """
    return autoregressive_flow(Affine(), made(hidden), dim, layers, context_dim, base)


def spline_maf(
    dim: int = 2,
    layers: int = 3,
    hidden: Sequence[int] = HIDDEN,
    bins: int = 16,
    bound: float = 5.0,
    context_dim: int = 0,
    base: Base | None = None,
) -> Flow:
    """Rational-quadratic autoregressive layers. Durkan et al. (2019), RQ-NSF (AR). Args: `spline_flow`."""
    return autoregressive_flow(RationalQuadratic(bins, bound), made(hidden), dim, layers, context_dim, base)


def transformer_flow(
    dim: int = 2,
    layers: int = 3,
    width: int = 32,
    heads: int = 4,
    depth: int = 2,
    context_dim: int = 0,
    base: Base | None = None,
) -> Flow:
    """Autoregressive layers whose conditioner is a causal transformer. Zhai et al. (2024), TarFlow, figure 2.

    Args: `real_nvp`, and the width of a token, the attention heads and the depth in blocks of each transformer.
    """

    def conditioner(dim: int, n_params: int, context_dim: int, reverse: bool) -> nn.Module:
        return CausalTransformer(dim, n_params, width, heads, depth, context_dim, reverse)

    return autoregressive_flow(Affine(), conditioner, dim, layers, context_dim, base)


def iaf(
    dim: int = 2, layers: int = 5, hidden: Sequence[int] = HIDDEN, context_dim: int = 0, base: Base | None = None
) -> Flow:
    """MAF with each layer turned round: all coordinates are sampled in one pass. Kingma et al. (2016), algorithm 1.

    Args: `maf`.
    """
    return autoregressive_flow(Affine(), made(hidden), dim, layers, context_dim, base, turn=Inverse)


def stack(layer: Callable[[], Transform], layers: int, fast: str, dim: int, base: Base | None) -> Flow:
    """K layers one after the other, or each of them turned round."""
    transforms = [turned(layer(), fast) for _ in range(check_count("flow", "layers", layers))]
    return Flow(Compose(transforms), base or StandardNormal(dim))


def turned(transform: Transform, fast: str) -> Transform:
    """A transform that is cheap from noise to data, or its inverse, for cheap densities."""
    return Inverse(transform) if check_choice("flow", "fast", fast, ("sampling", "density")) == "density" else transform


def coupling_flow(
    law: Law,
    dim: int,
    layers: int,
    hidden: Sequence[int],
    context_dim: int,
    base: Base | None,
    turn: Callable[[Transform], Transform] = lambda layer: layer,
) -> Flow:
    """K couplings, perhaps turned round: what stayed in one moves in the next, and beyond D = 2 the vector is cut in
    another way every two layers."""
    transforms: list[Transform] = []
    length = layers if dim == 2 else 2
    for k in range(0, check_count("flow", "layers", layers), length):
        partition = Partition(dim, "alternate" if k // 2 % 2 else "halves")
        first, second = (
            (kept + context_dim, moved * law.n_params, hidden)
            for kept, moved in (partition.sizes, reversed(partition.sizes))
        )
        nets = [MLP(*(second if i % 2 else first)) for i in range(min(length, layers - k))]
        transforms.append(turn(CouplingStack(law, nets, partition, context_dim)))
    return Flow(Compose([*transforms, ActNorm(dim)]), base or StandardNormal(dim))


def autoregressive_flow(
    law: Law,
    conditioner: Callable[..., nn.Module],
    dim: int,
    layers: int,
    context_dim: int,
    base: Base | None,
    turn: Callable[[Transform], Transform] = lambda layer: layer,
) -> Flow:
    """K autoregressive layers, perhaps turned round; each takes the coordinates in the reverse order of the last."""
    transforms = [
        turn(Autoregressive(law, conditioner(dim, law.n_params, context_dim=context_dim, reverse=k % 2 == 1)))
        for k in range(check_count("flow", "layers", layers))
    ]
    return Flow(Compose([*transforms, ActNorm(dim)]), base or StandardNormal(dim))


def made(hidden: Sequence[int]) -> Callable[..., nn.Module]:
    """MADE with these hidden layers, for any number of dimensions and parameters."""

    def conditioner(dim: int, n_params: int, context_dim: int, reverse: bool) -> nn.Module:
        return MADE(dim, n_params, hidden, context_dim, reverse)

    return conditioner
