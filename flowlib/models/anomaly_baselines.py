"""What a flow over feature maps has to beat, on the same maps: two Gaussians and a memory.

    PixelGaussians    one Gaussian a pixel (PaDiM)                     score: Mahalanobis distance
    NearestPatches    a memory of normal pixels (PatchCore)            score: distance to the nearest
    WholeGaussian     one Gaussian of the maps' means (no pixel map)   score: Mahalanobis distance

Each is made from the maps of normal images, finest scale first, and has `score(maps)`. Scales are brought to the grid
of the finest, side by side as channels.
"""

from collections.abc import Sequence

import torch
from torch import Tensor
from torch.nn.functional import avg_pool2d, interpolate

from flowlib.models.anomaly import Scores
from flowlib.support.checks import check_above_zero, check_count

CHUNK = 4096  # pixels whose distances to the memory are computed at once


def aligned(maps: Sequence[Tensor]) -> Tensor:
    """Maps (n, C_k, H_k, W_k) of each scale -> (n, Σ C_k, H, W) on the finest grid."""
    size = max(each.shape[-2:] for each in maps)
    return torch.cat([interpolate(each, size=size, mode="bilinear", align_corners=False) for each in maps], 1)


class PixelGaussians:
    """A Gaussian N(m_{hw}, S_{hw}) at each pixel, over the channels of all scales.

    Score: √((x − m)ᵀ S⁻¹ (x − m)), S the covariance of the normal images plus `ridge` · I.

    Args:
        maps: of normal images, at least two.
        ridge: keeps S invertible where there are fewer images than channels.

    Paper: Defard et al. (2021), PaDiM, equations 1 and 2, arXiv 2011.08785 (ridge 0.01).
    """

    def __init__(self, maps: Sequence[Tensor], ridge: float = 0.01):
        x = of_pixels(aligned(maps))  # (H W, n, C)
        if x.shape[1] < 2:
            raise ValueError(f"PixelGaussians: a covariance needs two normal images or more; got {x.shape[1]}.")
        self.mean = x.mean(1, keepdim=True)
        centered = x - self.mean
        covariance = centered.mT @ centered / (x.shape[1] - 1)
        covariance += check_above_zero("PixelGaussians", "ridge", ridge) * torch.eye(x.shape[-1])
        self.factor = torch.linalg.cholesky(covariance)  # (H W, C, C)

    def score(self, maps: Sequence[Tensor]) -> Scores:
        x = aligned(maps)
        standard = torch.linalg.solve_triangular(self.factor, (of_pixels(x) - self.mean).mT, upper=False)  # (HW, C, n)
        pixels = standard.norm(dim=1).T.reshape(len(x), *x.shape[-2:])
        return Scores(pixels.flatten(1).amax(1), pixels)


class NearestPatches:
    """A memory of pixels of normal images, thinned to a coreset; score: the distance to the nearest.

    Each pixel is first averaged with its eight neighbors. The coreset is grown greedily: the next member is the pixel
    that lies farthest from all members (k-center), so that rare normal looks stay in the memory.

    Args:
        maps: of normal images.
        members: how many pixels the memory keeps.
        seed: of the first member, and of the random projection in which distances are taken while it grows.

    Paper: Roth et al. (2022), PatchCore, algorithm 1, arXiv 2106.08265; the image's score is its worst pixel's, without
    the weight of equation 7.
    """

    def __init__(self, maps: Sequence[Tensor], members: int = 1000, seed: int = 0):
        rows = self.rows(maps)
        self.memory = rows[coreset(rows, min(check_count("NearestPatches", "members", members), len(rows)), seed)]

    @staticmethod
    def rows(maps: Sequence[Tensor]) -> Tensor:
        """(n H W, C)."""
        x = avg_pool2d(aligned(maps), 3, stride=1, padding=1, count_include_pad=False)
        return x.movedim(1, -1).flatten(0, 2)

    def score(self, maps: Sequence[Tensor]) -> Scores:
        size = max(each.shape[-2:] for each in maps)
        nearest = torch.cat([torch.cdist(part, self.memory).amin(1) for part in self.rows(maps).split(CHUNK)])
        pixels = nearest.reshape(-1, *size)
        return Scores(pixels.flatten(1).amax(1), pixels)


def coreset(rows: Tensor, members: int, seed: int = 0, dims: int = 32) -> Tensor:
    """Indices of `members` rows of (N, C), each the farthest from those before it, in a projection to `dims`."""
    generator = torch.Generator().manual_seed(seed)
    small = rows @ torch.randn(rows.shape[1], dims, generator=generator) / dims**0.5
    squares = small.square().sum(1)
    chosen = [int(torch.randint(len(rows), (1,), generator=generator))]
    nearest = torch.full((len(rows),), torch.inf)
    for _ in range(members - 1):
        last = chosen[-1]
        nearest = torch.minimum(nearest, squares + squares[last] - 2 * (small @ small[last]))
        chosen.append(int(nearest.argmax()))
    return torch.tensor(chosen)


class WholeGaussian:
    """One Gaussian of the mean over the pixels of each channel: it says whether an image is odd, not where.

    Args:
        maps: of normal images, at least two.
        ridge: part of the mean variance that is added to each, so that the covariance is invertible.

    Paper: Rippel et al. (2021), Modeling the distribution of normal data in pre-trained deep features, arXiv
    2005.14140.
    """

    def __init__(self, maps: Sequence[Tensor], ridge: float = 0.01):
        x = self.means(maps)  # (n, C)
        if len(x) < 2:
            raise ValueError(f"WholeGaussian: a covariance needs two normal images or more; got {len(x)}.")
        self.mean, covariance = x.mean(0), torch.cov(x.T)
        covariance += ridge * covariance.diagonal().mean() * torch.eye(x.shape[1])
        self.factor = torch.linalg.cholesky(covariance)

    @staticmethod
    def means(maps: Sequence[Tensor]) -> Tensor:
        return torch.cat([each.mean((-2, -1)) for each in maps], 1)

    def score(self, maps: Sequence[Tensor]) -> Scores:
        centered = (self.means(maps) - self.mean).T
        return Scores(torch.linalg.solve_triangular(self.factor, centered, upper=False).norm(dim=0), None)


def of_pixels(x: Tensor) -> Tensor:
    """(n, C, H, W) -> (H W, n, C)."""
    return x.flatten(2).permute(2, 0, 1)
