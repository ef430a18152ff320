"""Recipes for images: NICE, RealNVP and Glow, from one flat latent (D,) to an image (C, H, W) on ℝ.

    nice_image, real_nvp_image      couplings on a chessboard, then on channels, at several scales
    glow                            steps of ActNorm, a 1 × 1 convolution and a coupling of channels, at several scales
    residual_flow_image             residual layers between ActNorms, at several scales
    transformer_image               autoregressive layers over patches, a causal transformer in each

All start as an invertible linear map (the networks say nothing yet) and learn the units of the data from the first
batch that passes `log_prob` in training mode. Densities take one pass; so do samples, but for the transformer's and
those of residual layers. Give them images without bounds: `Dequantize` and `Logit` are what pixels need before. With
`context_dim` set, every network sees a context, e.g. the class as a one-hot vector, and the flow is p(x | class).
"""

from collections.abc import Iterator, Sequence

import torch

from flowlib.bases import Base, StandardNormal
from flowlib.core import Compose, Flow, Inverse, Transform
from flowlib.laws import Additive, Affine, Law, RationalQuadratic
from flowlib.models.saved import recipe
from flowlib.nets.convolutional import ConvNet, GlowNet
from flowlib.nets.lipschitz import LipschitzConvNet
from flowlib.nets.patches import PatchTransformer
from flowlib.support.checks import check_contraction, check_count, check_even
from flowlib.transforms import (
    ActNorm,
    Autoregressive,
    Channels,
    Checkerboard,
    Coupling,
    ElementwiseAffine,
    GlowStep,
    MultiScale,
    Patches,
    Residual,
    Squeeze,
    stacked,
)
from flowlib.transforms.partition import TwoParts


@recipe
def nice_image(
    shape: Sequence[int],
    scales: int = 2,
    couplings: int = 3,
    width: int = 32,
    blocks: int = 2,
    context_dim: int = 0,
    base: Base | None = None,
) -> Flow:
    """Additive couplings, and one stretch for each latent number: the volume is the same everywhere.

    The scales and networks are those of `real_nvp_image`, where the paper has vectors and dense networks.

    Args:
        shape: (C, H, W); each scale needs a factor of 2 in H and in W.
        scales: how many.
        couplings: on the chessboard, and again on the channels, of each scale.
        width, blocks: of each network, a `ConvNet`.
        context_dim: size of the context, 0 for none.
        base: p_Z on the flat latent, a standard normal if not given.

    Paper: Dinh et al. (2015, arXiv 1410.8516), NICE, sections 3.2 and 3.3 (the stretch).
    """
    image = coupling_image("nice_image", Additive(), shape, scales, couplings, width, blocks, context_dim)
    dim = image.event_shape.numel()
    return Flow(Compose([ElementwiseAffine(dim), image, ActNorm(shape)]), base or StandardNormal(dim))


@recipe
def real_nvp_image(
    shape: Sequence[int],
    scales: int = 2,
    couplings: int = 3,
    width: int = 32,
    blocks: int = 2,
    context_dim: int = 0,
    base: Base | None = None,
) -> Flow:
    """Affine couplings at several scales. Dinh et al. (2017, arXiv 1605.08803), RealNVP, section 3.6.

    Read from the data, each scale has couplings on a chessboard, a squeeze, couplings on channels, and sends half of
    the channels to the latent; the last scale has one more coupling on a chessboard, and nothing else. One ActNorm at
    the data end stands for the batch norms of the paper.

    Args:
        shape: (C, H, W); each scale needs a factor of 2 in H and in W.
        scales: how many.
        couplings: on the chessboard, and again on the channels, of each scale.
        width, blocks: of each network, a `ConvNet`.
        context_dim: size of the context, 0 for none.
        base: p_Z on the flat latent, a standard normal if not given.
    """
    image = coupling_image("real_nvp_image", Affine(), shape, scales, couplings, width, blocks, context_dim)
    return Flow(Compose([image, ActNorm(shape)]), base or StandardNormal(image.event_shape.numel()))


def coupling_image(
    owner: str, law: Law, shape: Sequence[int], scales: int, couplings: int, width: int, blocks: int, context_dim: int
) -> MultiScale:
    """The scales of RealNVP with any law."""

    def in_turns(partition: TwoParts, length: int) -> Iterator[Coupling]:
        for _ in range(length):
            net = ConvNet(partition.kept, partition.moved * law.n_params, width, blocks, context_dim)
            yield Coupling(law, net, partition, context_dim)
            partition = partition.flipped()

    check_count(owner, "couplings", couplings)
    parts: list[Transform] = []
    for image in images(owner, shape, scales)[:-1]:
        squeeze = Squeeze(image)
        on_channels = in_turns(Channels(squeeze.event_shape), couplings)
        parts.append(stacked([*on_channels, squeeze, *in_turns(Checkerboard(image), couplings)]))
    last = in_turns(Checkerboard(images(owner, shape, scales)[-1]), couplings + 1)
    return MultiScale(shape, [*parts, stacked(last)])


@recipe
def glow(
    shape: Sequence[int],
    scales: int = 2,
    steps: int = 8,
    width: int = 64,
    context_dim: int = 0,
    base: Base | None = None,
) -> Flow:
    """Steps of ActNorm, a 1 × 1 convolution and an affine coupling. Kingma and Dhariwal (2018, arXiv 1807.03039), Glow,
    figure 2.

    Read from the data, each scale has a squeeze and K steps, and all but the last send half of the channels to the
    latent. The latent's density is one standard normal, where the paper lets finer latents depend on coarser ones.

    Args:
        shape: (C, H, W); each scale needs a factor of 2 in H and in W.
        scales: L, how many.
        steps: K, of each scale.
        width: channels inside each network, a `GlowNet`.
        context_dim: size of the context, 0 for none.
        base: p_Z on the flat latent, a standard normal if not given.
    """
    check_count("glow", "steps", steps)
    law, parts = Affine(), []
    for image in images("glow", shape, scales):
        squeeze = Squeeze(image)
        channels = Channels(squeeze.event_shape)
        nets = [GlowNet(channels.kept, channels.moved * law.n_params, width, context_dim) for _ in range(steps)]
        parts.append(stacked([*(GlowStep(channels.shape, law, net, context_dim) for net in nets), squeeze]))
    return Flow(MultiScale(shape, parts), base or StandardNormal(torch.Size(shape).numel()))


@recipe
def residual_flow_image(
    shape: Sequence[int],
    scales: int = 1,
    blocks: int = 8,
    width: int = 32,
    coefficient: float = 0.9,
    context_dim: int = 0,
    base: Base | None = None,
) -> Flow:
    """Residual layers between ActNorms. Chen et al. (2019, arXiv 1906.02735), Residual flows, appendix E.

    Read from the data, each scale has a squeeze and K times an ActNorm and a step z = x + g(x), and all but the last
    send half of the channels to the latent. While it trains, log-determinants are a roulette's, unbiased and random; in
    eval mode they are exact, which takes D tangents an image. For small images, such as digits of 8 × 8: the bound of a
    convolution is that of its whole matrix (see `LipschitzConv2d`).

    Args:
        shape: (C, H, W); each scale needs a factor of 2 in H and in W.
        scales: how many.
        blocks: K, of each scale.
        width: channels inside each network, a `LipschitzConvNet`.
        coefficient: the bound of the Lipschitz constant of each g, below 1.
        context_dim: size of the context, 0 for none.
        base: p_Z on the flat latent, a standard normal if not given.
    """
    check_count("residual_flow_image", "blocks", blocks)
    check_contraction("residual_flow_image", coefficient)
    parts: list[Transform] = []
    for image in images("residual_flow_image", shape, scales):
        squeeze = Squeeze(image)
        channels, *size = squeeze.event_shape
        steps: list[Transform] = []
        for _ in range(blocks):
            net = LipschitzConvNet(channels, size, width, coefficient, context_dim)
            steps += [Inverse(Residual(net)), ActNorm(squeeze.event_shape)]
        parts.append(Compose([*steps, squeeze]))
    return Flow(MultiScale(shape, parts), base or StandardNormal(torch.Size(shape).numel()))


@recipe
def transformer_image(
    shape: Sequence[int],
    patch: int = 4,
    layers: int = 4,
    width: int = 128,
    heads: int = 4,
    depth: int = 2,
    hidden: Sequence[int] = (128,),
    bins: int = 0,
    context_dim: int = 0,
    base: Base | None = None,
) -> Flow:
    """Autoregressive layers over patches, their order reversed between layers. Zhai et al. (2024, arXiv 2412.06329),
    TarFlow, figure 2.

    Densities take one pass. Samples take D steps a layer, each with the keys and values of all patches before.

    Args:
        shape: (C, H, W), H and W multiples of patch.
        patch: height and width of a patch.
        layers: how many.
        width, heads, depth, hidden: of each network, a `PatchTransformer`.
        bins: of the law, a rational-quadratic spline; 0 for an affine law, as in the paper.
        context_dim: size of the context, 0 for none.
        base: p_Z on the flat latent, a standard normal if not given.
    """
    patches, law = Patches(shape, patch), RationalQuadratic(bins) if bins else Affine()

    def conditioner(reverse: bool) -> PatchTransformer:
        return PatchTransformer(
            patches.tokens, patches.size, law.n_params, width, heads, depth, hidden, context_dim, reverse
        )

    check_count("transformer_image", "layers", layers)
    stack = [Autoregressive(law, conditioner(reverse=k % 2 == 1)) for k in range(layers)]
    return Flow(Compose([*stack, patches, ActNorm(shape)]), base or StandardNormal(patches.event_shape.numel()))


def images(owner: str, shape: Sequence[int], scales: int) -> list[torch.Size]:
    """The shapes of the images that the scales work on, fine first: (C, H, W), (2 C, H/2, W/2), ..."""
    channels, height, width = check_even(owner, shape)
    most = 1
    while height % 2 ** (most + 1) == width % 2 ** (most + 1) == 0:
        most += 1
    if check_count(owner, "scales", scales) > most:
        raise ValueError(
            f"{owner}: each scale halves H and W, and {height} × {width} can be halved {most} time{'s' * (most > 1)}, "
            f"so scales must be {most} or less; got {scales}."
        )
    return [torch.Size((2**k * channels, height // 2**k, width // 2**k)) for k in range(scales)]
