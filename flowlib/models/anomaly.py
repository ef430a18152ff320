"""Anomaly detection by a flow over feature maps: FastFlow (Yu et al. 2021, arXiv 2111.07677).

A network that was trained for something else turns an image into maps of features, fine to coarse. One flow a scale
learns the density of the maps of normal images. What a defect does to the features is improbable, and it is so where
the defect is: couplings of convolutions keep pixels apart, so that the log density is a sum over pixels,

    log p(x) = Σ_{h,w} log p_{hw},   log p_{hw} = Σ_c log N(z_{chw}; 0, 1) + Σ_layers Σ_c log |slope_{chw}|,

and −log p_{hw} is the score of the pixel. The second sum is the log-determinant. Ports of the paper often leave it out
and score by ½ Σ_c z²; `by="z2"` does the same, for comparison.

Parts in one position, a corner or an edge, look alike on all images. Convolutions do not know where they are, so a flow
may begin where PaDiM ends: with one Gaussian a pixel (`GaussianPixels`), whose residue its couplings then learn.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn.functional import interpolate

from flowlib.bases import LOG_2PI, StandardNormal
from flowlib.core import Compose, Flow, Transform
from flowlib.laws import Affine
from flowlib.nets.convolutional import PixelNet
from flowlib.support.checks import check_above_zero, check_choice, check_count, check_image
from flowlib.support.precision import full_precision
from flowlib.transforms import ActNorm, Channels, Coupling, Unflatten

ROWS = 64  # images in one pass of a score


@dataclass(frozen=True)
class Scores:
    """How anomalous images are, more is worse: of each image (n,), and of each pixel (n, h, w) where a method says."""

    images: Tensor
    pixels: Tensor | None


class GaussianPixels(Transform):
    """One full Gaussian a pixel, over the channels: PaDiM as a layer. Fixed numbers, not trained.

    Map: x_{hw} = m_{hw} + L_{hw} z_{hw}, L lower triangular. Log-determinant: Σ_{hw} Σ_c log L_{hw,cc}. Invertible
    always. Until `learn` has seen maps it is the identity.

    Args:
        shape: (C, H, W).

    Paper: Defard et al. (2021), PaDiM, equations 1 and 2, arXiv 2011.08785.
    """

    def __init__(self, shape: Sequence[int]):
        super().__init__(check_image("GaussianPixels", shape))
        channels, height, width = self.event_shape
        self.register_buffer("mean", torch.zeros(channels, height, width))
        self.register_buffer("factor", torch.eye(channels).repeat(height * width, 1, 1))  # (H W, C, C), L

    @torch.no_grad()
    def learn(self, maps: Tensor, ridge: float = 0.1) -> None:
        """m and L Lᵀ = S, mean and covariance of normal maps (n, C, H, W); S has `ridge` times the variance of each
        channel over all pixels on its diagonal more, so that it is invertible for few maps."""
        ridge = check_above_zero("GaussianPixels", "ridge", ridge)
        if len(maps) < 2:
            raise ValueError(f"GaussianPixels: a covariance needs two normal maps or more; got {len(maps)}.")
        x = maps.flatten(2).permute(2, 0, 1)  # (H W, n, C)
        mean = x.mean(1, keepdim=True)
        covariance = (x - mean).mT @ (x - mean) / (x.shape[1] - 1)
        covariance += ridge * maps.var((0, 2, 3)).clamp(min=1e-12).diag()
        self.mean.copy_(mean[:, 0].T.reshape(self.event_shape))
        self.factor.copy_(torch.linalg.cholesky(covariance))

    def log_volumes(self) -> Tensor:
        """log |det L| of each pixel, (H, W)."""
        return self.factor.diagonal(dim1=1, dim2=2).log().sum(1).reshape(self.event_shape[1:])

    @full_precision
    def forward(self, z: Tensor, context: Tensor | None = None) -> tuple[Tensor, Tensor]:
        self.check_input(z)
        x = (self.factor @ z.flatten(-2).movedim(-1, -2)[..., None])[..., 0]  # (..., H W, C)
        return x.movedim(-1, -2).reshape(z.shape) + self.mean, self.log_volumes().sum().expand(self.batch_shape(z))

    @full_precision
    def inverse(self, x: Tensor, context: Tensor | None = None) -> tuple[Tensor, Tensor]:
        self.check_input(x)
        rows = (x - self.mean).reshape(-1, self.event_shape[0], len(self.factor)).permute(2, 1, 0)  # (H W, C, n)
        z = torch.linalg.solve_triangular(self.factor, rows, upper=False).permute(2, 1, 0).reshape(x.shape)
        return z, -self.log_volumes().sum().expand(self.batch_shape(x))


class MapFlow(Flow):
    """A flow on one scale's maps (C, H, W) that also says the log density of each pixel.

    Map: from the data's side Gaussians of the pixels where asked for, an ActNorm, then affine couplings on channels,
    kept and moved halves in turns.
    Log-determinant: that of its layers; its parts at each pixel are kept apart in `log_prob_pixels`.

    Args:
        shape: (C, H, W), C at least 2.
        couplings: how many; the 1st, 3rd, ... have 3 × 3 convolutions, the others 1 × 1.
        width: channels inside each network.
        per_pixel: begin with a `GaussianPixels`, for objects that lie in one place; `FastFlow.learn_pixels` fills it.
    """

    def __init__(self, shape: Sequence[int], couplings: int = 8, width: int = 32, per_pixel: bool = False):
        shape = check_image("fast_flow", shape)
        partition, law, layers = Channels(shape), Affine(1.0), []
        for k in range(check_count("fast_flow", "couplings", couplings)):
            net = PixelNet(partition.kept, partition.moved * law.n_params, width, 1 if k % 2 else 3)
            layers.append(Coupling(law, net, partition))
            partition = partition.flipped()
        transforms: list[Transform] = [Unflatten(shape), *layers, ActNorm(shape)]
        if per_pixel:
            transforms.append(GaussianPixels(shape))
        super().__init__(Compose(transforms), StandardNormal(shape.numel()))

    @property
    def gaussians(self) -> GaussianPixels | None:
        """The Gaussians of its pixels, if it has them."""
        last = self.transform.transforms[-1]
        return last if isinstance(last, GaussianPixels) else None

    def log_prob_pixels(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """x (n, C, H, W) -> log p of each pixel, and the half of it that z² says, −½ Σ_c z², both (n, H, W).

        The first one, summed over the pixels, is `log_prob(x)`.
        """
        layers, log_slopes = list(self.transform.transforms[1:]), torch.zeros((), dtype=x.dtype, device=x.device)
        if self.gaussians is not None:
            gaussians = layers.pop()
            x, log_slopes = gaussians.inverse(x)[0], -gaussians.log_volumes()
        *couplings, units = layers
        x, log_det = units.inverse(x)
        log_slopes = log_slopes + (log_det / units.pixels)[:, None, None]  # ActNorm stretches every pixel alike
        for coupling in reversed(couplings):
            kept, moved = coupling.partition.split(x)
            moved, of_layer = coupling.law.inverse(moved, coupling.params(kept, None))
            x, log_slopes = coupling.partition.join(kept, moved), log_slopes + of_layer.sum(-3)
        of_z = -0.5 * x.square().sum(-3)
        return of_z - 0.5 * LOG_2PI * x.shape[-3] + log_slopes, of_z


class FastFlow(nn.Module):
    """Independent flows over the maps of several scales, log p(maps) = Σ_scales log p(map).

    >>> model = fast_flow([(4, 8, 8), (6, 4, 4)], couplings=2)
    >>> maps = [torch.randn(5, 4, 8, 8), torch.randn(5, 6, 4, 4)]
    >>> model.log_prob(maps).shape, model.score(maps).pixels.shape
    (torch.Size([5]), torch.Size([5, 8, 8]))
    """

    def __init__(self, flows: Sequence[MapFlow]):
        super().__init__()
        self.flows = nn.ModuleList(flows)

    def check(self, maps: Sequence[Tensor]) -> None:
        expected = [tuple(flow.data_shape) for flow in self.flows]
        if (came := [tuple(each.shape[1:]) for each in maps]) != expected:
            raise ValueError(f"fast_flow: it was built for maps of shapes {expected}; got {came}. Use one extractor.")

    def log_prob(self, maps: Sequence[Tensor]) -> Tensor:
        """Maps (n, C_k, H_k, W_k) of each scale -> log p (n,) in nats."""
        self.check(maps)
        return sum(flow.log_prob(each) for flow, each in zip(self.flows, maps, strict=True))

    def learn_pixels(self, maps: Sequence[Tensor], ridge: float = 0.1) -> None:
        """Fill the Gaussians of the pixels of each scale from normal maps, before any step; see `GaussianPixels`."""
        self.check(maps)
        for flow, each in zip(self.flows, maps, strict=True):
            if flow.gaussians is None:
                raise ValueError("fast_flow: it was built without Gaussians of its pixels. Use per_pixel=True.")
            flow.gaussians.learn(each, ridge)

    @torch.no_grad()
    def score(self, maps: Sequence[Tensor], by: str = "log_prob") -> Scores:
        """The scores of images by their maps; of pixels on the grid of the finest scale.

        A pixel's score is the sum over the scales of −log p_{hw} / C, the coarse ones blown up bilinearly; each is an
        average nat a channel, so that no scale drowns the others. An image's score is that of its worst pixel.

        Args:
            maps: (n, C_k, H_k, W_k) of each scale.
            by: "log_prob", or "z2" for the score without log-determinant.
        """
        check_choice("score", "by", by, ("log_prob", "z2"))
        self.check(maps)
        size = max(each.shape[-2:] for each in maps)
        total = torch.zeros(len(maps[0]), *size)
        for flow, each in zip(self.flows, maps, strict=True):
            parts = [flow.log_prob_pixels(part)[by == "z2"] for part in each.split(ROWS)]
            total += blown_up(-torch.cat(parts) / each.shape[1], size)
        return Scores(total.flatten(1).amax(1), total)


def fast_flow(
    shapes: Sequence[Sequence[int]], couplings: int = 8, width: int = 32, per_pixel: bool = False
) -> FastFlow:
    """A flow over feature maps at several scales, with couplings of 3 × 3 and 1 × 1 convolutions in turns. Yu et al.
    (2021, arXiv 2111.07677), FastFlow, section 3.2 (8 couplings for a ResNet).

    Its scales are independent: train each with `fit(flow, maps)`, for flow, maps in zip(model.flows, all_maps).

    Args:
        shapes: (C, H, W) of each scale's maps, C at least 2.
        couplings: of each scale.
        width: channels inside each network.
        per_pixel: begin with one Gaussian a pixel, PaDiM's; call `learn_pixels(maps)` before the fits.
    """
    if not shapes:
        raise ValueError("fast_flow: shapes is empty; expected (C, H, W) of each scale.")
    return FastFlow([MapFlow(shape, couplings, width, per_pixel) for shape in shapes])


def blown_up(maps: Tensor, size: Sequence[int]) -> Tensor:
    """(n, h, w) -> (n, *size), bilinear."""
    return interpolate(maps[:, None], size=tuple(size), mode="bilinear", align_corners=False)[:, 0]
