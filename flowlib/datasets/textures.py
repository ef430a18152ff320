"""Generated textures with defects and their masks: an inspection line that is always there, and whose truth is known.

A tile is grey noise that was smoothed along one direction (a brushed metal), with a brightness and a grain of its own;
several photographs of a tile share these and differ by noise, as photographs of one object do. Defects are drawn on
top: a scratch (a bright line), a stain (a dark, soft disk), a gap (a patch of another direction).
"""

import math

import torch
from torch import Tensor
from torch.nn.functional import conv2d

from flowlib.datasets.inspection import Inspection
from flowlib.support.checks import check_choice, check_count

DEFECTS = ("scratch", "stain", "gap")
SHOTS = 4  # photographs of one tile


def textures(
    tiles: int = 60, defective: int = 20, size: int = 64, seed: int = 0, kinds: tuple[str, ...] = DEFECTS
) -> Inspection:
    """Photographs of generated tiles, four of each; on those of the last `defective` tiles there is a defect each.

    Args:
        tiles: how many objects, the defective ones among them.
        defective: how many of these have defects.
        size: of a photograph, in pixels.
        seed: of everything.
        kinds: the defects that occur, in turns.

    >>> data = textures(tiles=3, defective=1, size=32)
    >>> data.images.shape, data.anomalous.sum().item(), bool(data.masks[:8].any())
    (torch.Size([12, 1, 32, 32]), 4, False)
    """
    check_count("textures", "tiles", tiles)
    if check_count("textures", "defective", defective, 0) > tiles:
        raise ValueError(f"textures: {defective} of {tiles} tiles cannot be defective. Give more tiles.")
    check_count("textures", "size", size, 16)
    for kind in kinds:
        check_choice("textures", "each kind", kind, DEFECTS)
    generator = torch.Generator().manual_seed(seed)
    images, masks, labels, groups = [], [], [], []
    for tile in range(tiles):
        base = texture(size, generator)
        for shot in range(SHOTS):
            image, mask = base + 0.02 * torch.randn(size, size, generator=generator), torch.zeros(size, size).bool()
            label = 0
            if tile >= tiles - defective:
                which = (SHOTS * tile + shot) % len(kinds)
                image, mask = with_defect(image, kinds[which], generator)
                label = 1 + which
            images.append((255 * image.clamp(0, 1)).round().byte()[None])
            masks.append(mask)
            labels.append(label)
            groups.append(tile)
    return Inspection(
        torch.stack(images), torch.stack(masks), torch.tensor(labels), torch.tensor(groups), ("good", *kinds)
    )


def texture(size: int, generator: torch.Generator) -> Tensor:
    """One brushed surface, (size, size), values about 0.3 to 0.7."""
    brightness, contrast = 0.45 + 0.1 * torch.rand(2, generator=generator)
    noise = torch.randn(1, 1, size, size + 14, generator=generator)
    brushed = conv2d(noise, torch.full((1, 1, 1, 15), 15**-0.5))[0, 0]  # smoothed along the rows, deviation 1
    return brightness + 0.12 * contrast * brushed


def scratch(
    image: Tensor, start: tuple[float, float], end: tuple[float, float], width: float = 1.2, light: float = 0.3
):
    """A bright line from `start` to `end`, (x, y) in pixels -> the image (H, W) with it, and its mask.

    The line is added as light · exp(−d² / 2 width²), d the distance to it; the mask is where d is at most two widths.
    """
    ys, xs = torch.meshgrid(*(torch.arange(n, dtype=image.dtype) for n in image.shape), indexing="ij")
    (x0, y0), (x1, y1) = start, end
    squared = max((x1 - x0) ** 2 + (y1 - y0) ** 2, 1e-9)
    along = (((xs - x0) * (x1 - x0) + (ys - y0) * (y1 - y0)) / squared).clamp(0, 1)
    distance = torch.hypot(xs - x0 - along * (x1 - x0), ys - y0 - along * (y1 - y0))
    return image + light * torch.exp(-0.5 * (distance / width).square()), distance <= 2 * width


def with_defect(image: Tensor, kind: str, generator: torch.Generator) -> tuple[Tensor, Tensor]:
    """An image (H, W) with one defect of that kind, and the mask of it."""
    size = len(image)
    x, y, angle, length = torch.rand(4, generator=generator).tolist()
    x, y = size * (0.2 + 0.6 * x), size * (0.2 + 0.6 * y)
    if kind == "scratch":
        reach, turn = size * (0.1 + 0.15 * length), 2 * math.pi * angle
        dx, dy = reach * math.cos(turn), reach * math.sin(turn)
        return scratch(image, (x - dx, y - dy), (x + dx, y + dy))
    ys, xs = torch.meshgrid(torch.arange(size), torch.arange(size), indexing="ij")
    radius = size * (0.05 + 0.06 * length)
    if kind == "stain":
        distance = torch.hypot(xs - x, ys - y)
        return image - 0.2 * torch.exp(-0.5 * (distance / radius).square()), distance <= 1.5 * radius
    mask = ((xs - x).abs() <= radius) & ((ys - y).abs() <= radius)
    return torch.where(mask, image.T, image), mask
