"""Outlier scores from the likelihood of an image model, one number an image: the higher, the more of an outlier.

    surprise           −log₂ p(x)                   the plain likelihood, which low-complexity images fool
    typicality         | −log₂ p(x) − H |           too probable is as odd as too improbable (Nalisnick et al. 2020)
    input_complexity   −log₂ p(x) − L(x)            less what a PNG file of x takes (Serrà et al. 2020)
    likelihood_ratio   −log₂ p(x) + log₂ b(x)       less what a model b of the background needs (Ren et al. 2019)

All are in **bits of a whole image**. A log-likelihood arrives in nats and is converted here, once: −log p / log 2. Who
subtracts bits from nats, or bits a pixel from bits an image, weighs the two halves wrongly, and may get it backwards.

Papers: Nalisnick et al. (2019, arXiv 1810.09136), Do deep generative models know what they don't know?, the paradox;
Nalisnick et al. (2020, arXiv 1906.02994), Detecting out-of-distribution inputs using typicality; Serrà et
al. (2020, arXiv 1909.11480), Input complexity; Ren et al. (2019, arXiv 1906.02845), Likelihood ratios.
"""

import zlib
from collections.abc import Callable

import numpy as np
import torch
from torch import Tensor

from flowlib.core import bits
from flowlib.pixels.dequantize import check_pixels

SHADES = 16  # of a neighbour, for the background


def surprise(log_prob: Tensor) -> Tensor:
    """−log₂ p(x) of log p(x) in nats: (n,) -> (n,) bits."""
    return bits(log_prob, 1)


def typicality(log_prob: Tensor, known: Tensor) -> Tensor:
    """How far the bits of an image are from the mean bits of known ones, in either direction: (n,), (m,) -> (n,).

    Args:
        log_prob: of the images in question, in nats.
        known: log-likelihoods of images that are none of the training's, in nats; their mean estimates −H.

    >>> typicality(torch.tensor([-1.0, -3.0, -5.0]) * 0.6931472, torch.tensor([-2.0, -4.0]) * 0.6931472)
    tensor([2., 0., 2.])
    """
    if known.numel() == 0:
        raise ValueError("typicality: known is empty; give log-likelihoods of images that the model should know.")
    return (surprise(log_prob) - surprise(known).mean()).abs()


def input_complexity(log_prob: Tensor, pixels: Tensor) -> Tensor:
    """Bits by the model less bits by a compressor that knows nothing of the data: (n,), (n, C, H, W) uint8 -> (n,)."""
    if len(log_prob) != len(pixels):
        raise ValueError(
            f"input_complexity: one log-likelihood for each image; got {len(log_prob)} and {len(pixels)} images."
        )
    return surprise(log_prob) - png_bits(pixels).to(log_prob)


def likelihood_ratio(log_prob: Tensor, background: Tensor) -> Tensor:
    """−log₂ p(x) / b(x), of both log-likelihoods in nats: (n,), (n,) -> (n,) bits."""
    if log_prob.shape != background.shape:
        shapes = f"{tuple(log_prob.shape)} and {tuple(background.shape)}"
        raise ValueError(f"likelihood_ratio: one background log-likelihood for each image; got shapes {shapes}.")
    return surprise(log_prob) - surprise(background)


def png_bits(pixels: Tensor) -> Tensor:
    """Bits of the compressed body of a PNG file of each image, L(x): grey uint8 (n, 1, H, W) -> (n,) float32.

    As the format prescribes: each row is filtered by the one of five predictors (none, left, above, their mean, Paeth)
    whose sum of residues is smallest, then all rows are deflated. The 57 bytes of header and chunk names are left out;
    they are the same for all images.

    >>> flat, noise = torch.zeros(1, 1, 28, 28, dtype=torch.uint8), torch.randint(256, (1, 1, 28, 28)).to(torch.uint8)
    >>> png_bits(flat).item() < 200 < 6000 < png_bits(noise).item()
    True
    """
    if not isinstance(pixels, Tensor) or pixels.dtype != torch.uint8 or pixels.dim() != 4 or pixels.shape[1] != 1:
        got = f"{pixels.dtype} {tuple(pixels.shape)}" if isinstance(pixels, Tensor) else type(pixels).__name__
        raise ValueError(f"png_bits expects grey images, uint8 (n, 1, H, W); got {got}.")
    x = pixels[:, 0].cpu().numpy().astype(np.int16)
    left, above, corner = (np.pad(x, pad)[:, :h, :w] for pad, (h, w) in [  # what is decoded before a pixel
        (((0, 0), (0, 0), (1, 0)), x.shape[1:]), (((0, 0), (1, 0), (0, 0)), x.shape[1:]),
        (((0, 0), (1, 0), (1, 0)), x.shape[1:])])  # fmt: skip
    away = np.stack([abs(above - corner), abs(left - corner), abs(left + above - 2 * corner)])  # of left, above, corner
    paeth = np.choose(away.argmin(0), [left, above, corner])
    guesses = np.stack([0 * x, left, above, (left + above) // 2, paeth])  # (5, n, H, W)
    residues = (x - guesses).astype(np.uint8)
    best = np.minimum(residues, -residues).astype(np.int64).sum(-1).argmin(0)  # (n, H), which filter for which row
    rows = np.take_along_axis(residues, best[None, :, :, None], 0)[0]
    files = np.concatenate([best[..., None].astype(np.uint8), rows], -1)
    return torch.tensor([8.0 * len(zlib.compress(file.tobytes(), 9)) for file in files])


def neighbour_background(pixels: Tensor, levels: int = 256, least: float = 0.01) -> Callable[[Tensor], Tensor]:
    """A model b of what pixels do wherever they are: P(pixel | shade of the left one, shade of the one above), counted.

    It knows that pixels are like their neighbours, and nothing of garments; dividing by it leaves what the flow knows
    beyond that. (Ren et al. train a second deep model on images with pixels exchanged at random, to the same end.)

    Args:
        pixels: images to count in, whole numbers below `levels`, (n, 1, H, W).
        least: what is added to every count.

    Returns:
        A function of images (n, 1, H, W) that gives log b(x) in nats, (n,).

    >>> images = torch.zeros(2, 1, 4, 4, dtype=torch.uint8)
    >>> neighbour_background(images)(images).shape
    torch.Size([2])
    """
    check_pixels("neighbour_background", pixels, pixels.shape[1:], levels)
    counts = torch.full((SHADES + 1, SHADES + 1, levels), least, dtype=torch.float64)
    places = places_of(pixels, levels)
    ones = torch.ones(places[0].numel(), dtype=torch.float64)
    counts.index_put_(tuple(place.flatten() for place in places), ones, accumulate=True)
    log_p = (counts / counts.sum(-1, keepdim=True)).log()

    def log_prob(images: Tensor) -> Tensor:
        check_pixels("neighbour_background", images, pixels.shape[1:], levels)
        return log_p[places_of(images, levels)].sum((-3, -2, -1)).float()

    return log_prob


def places_of(pixels: Tensor, levels: int) -> tuple[Tensor, Tensor, Tensor]:
    """Shade of the left pixel, of the one above (0 beyond the border), and the pixel itself: (n, 1, H, W) each."""
    value = pixels.long()
    shade = 1 + value * SHADES // levels
    pad = torch.nn.functional.pad
    return pad(shade, (1, 0))[..., :-1], pad(shade, (0, 0, 1, 0))[..., :-1, :], value
