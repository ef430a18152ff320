"""Digits written by a pen whose thickness and slant are known: images like those of MNIST, made by a formula.

Nobody wrote down how thick the pens of MNIST were. Here everything is known, so that what a model makes of an attribute
can be held against the truth; and nothing has to be downloaded.

>>> draw(torch.tensor([3, 8]), thickness=2.5, slant=0.2).shape
torch.Size([2, 1, 28, 28])
"""

import math

import torch
from torch import Tensor

SIDE, HEIGHT = 28, 18.0  # px: of an image, of the digit in it
POINTS = 96  # along the way of the pen

# Where the pen passes, as text: pairs x y in percent of the height, x from the middle, y from the top. Between them it
# runs along a smooth curve (Catmull and Rom). All is one stroke: for the bar of a 4 the pen goes back along its way.
WAYS = [
    "0 0  -28 18  -34 50  -28 82  0 100  28 82  34 50  28 18  0 0  -20 10",
    "0 0  0 25  0 50  0 75  0 100",
    "-30 20  -12 2  16 4  26 26  12 52  -12 76  -32 97  0 95  36 97",
    "-28 10  -2 0  22 12  18 36  -6 47  22 58  28 80  4 99  -30 90",
    "-20 4  -26 28  -30 54  0 56  26 53  26 4  26 40  25 72  24 100",
    "28 2  2 2  -20 3  -24 42  2 36  26 52  26 80  2 99  -28 92",
    "16 0  -10 22  -25 55  -22 88  2 100  24 86  20 62  -2 54  -23 70",
    "-32 6  -10 5  12 5  32 5  22 28  10 52  0 76  -8 100",
    "0 48  -24 30  -16 4  12 2  24 24  0 48  -26 74  -12 98  16 96  26 72  0 48",
    "24 20  2 1  -22 14  -22 40  2 48  22 34  26 10  23 50  18 100",
]


def draw(
    digits: Tensor, thickness: Tensor | float = 2.5, slant: Tensor | float = 0.1, wobble: float = 0.0, seed: int = 0
) -> Tensor:
    """Images uint8 (n, 1, 28, 28) of the digits (n,), 255 where the ink is.

    Args:
        digits: whole numbers from 0 to 9.
        thickness: of the pen in pixels, one number or (n,).
        slant: how far the top leans to the right, as a share of the height, one number or (n,).
        wobble: how much hands differ; 0.04 looks natural. Each image has a hand of its own.
        seed: of the hands; the same seed gives the same hands at any thickness and slant.
    """
    if wrong := [int(digit) for digit in digits if int(digit) not in range(10)]:
        raise ValueError(f"pen.draw: digits are whole numbers from 0 to 9; got {wrong[0]}.")
    ways = torch.stack([way(WAYS[int(digit)]) for digit in digits])  # (n, POINTS, 2)
    if wobble:
        ways = ways + wobble * hands(len(ways), seed)
    slant, thickness = (torch.as_tensor(v, dtype=torch.float32).expand(len(ways)) for v in (slant, thickness))
    x, y = ways.unbind(-1)
    ways = HEIGHT * torch.stack([x - slant[:, None] * y, y], -1)
    ways = ways - (ways.amax(1, keepdim=True) + ways.amin(1, keepdim=True)) / 2  # into the middle of the image
    side = torch.arange(SIDE) - (SIDE - 1) / 2
    pixels = torch.cartesian_prod(side, side).flip(-1)  # (x, y) of each, row by row
    distance = torch.cdist(pixels.expand(len(ways), -1, 2), ways).amin(-1)  # of a pixel from the middle of the stroke
    ink = (thickness[:, None] / 2 - distance + 0.5).clamp(0.0, 1.0)
    return (255 * ink).round().to(torch.uint8).reshape(-1, 1, SIDE, SIDE)


def way(text: str) -> Tensor:
    """The way of the pen, POINTS points (x, y) evenly in time; the height is 1."""
    p = torch.tensor([float(number) for number in text.split()]).reshape(-1, 2) / 100
    p = torch.cat([2 * p[:1] - p[1:2], p, 2 * p[-1:] - p[-2:-1]])  # a point before the first, one after the last
    time = torch.linspace(0, len(p) - 3, POINTS)
    piece = time.long().clamp(max=len(p) - 4)
    t = (time - piece)[:, None]
    a, b, c, d = (p[piece + k] for k in range(4))
    return b + t * ((c - a) + t * ((2 * a - 5 * b + 4 * c - d) + t * (3 * b - a - 3 * c + d))) / 2


def hands(n: int, seed: int) -> Tensor:
    """Three slow waves along the way in x and in y, for each of n images: (n, POINTS, 2)."""
    generator = torch.Generator().manual_seed(seed)
    phase, size = torch.rand(n, 3, 1, 2, generator=generator), torch.randn(n, 3, 1, 2, generator=generator)
    k = torch.arange(1, 4)[:, None, None]
    along = torch.linspace(0, 1, POINTS)[:, None]
    return (size / k * torch.sin(math.pi * (k * along + 2 * phase))).sum(1)
