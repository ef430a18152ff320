"""The latent space of an image model: how an image gets there, ways between two points, and what an image looks like.

to_latent               from pixels to z
lerp, slerp             from one z to another, straight or along the shell
thickness, slant        of a stroke, measured on images
"""

import torch
from torch import Tensor

from flowlib.pixels.pixel_flow import PixelFlow


def to_latent(model: PixelFlow, pixels: Tensor, u: Tensor | float = 0.5) -> Tensor:
    """Where whole-number pixels (n, C, H, W) come from: z (n, D).

    Args:
        model: its flow is run backwards.
        pixels: as the model's data, 0 to levels − 1.
        u: the place within the cell of each pixel, in [0, 1): one number, or noise of the shape of the pixels.
    """
    s, _ = model.squeeze.inverse((pixels + u) / model.levels)
    return model.flow.transform.inverse(s)[0]


def lerp(a: Tensor, b: Tensor, t: Tensor | float) -> Tensor:
    """On the straight line from a to b, both (..., D), t from 0 to 1."""
    return (1 - t) * a + t * b


def slerp(a: Tensor, b: Tensor, t: Tensor | float) -> Tensor:
    """On the arc from a to b, both (..., D), t from 0 to 1. Where both have one length, so has all between them.

    Map: (sin((1 − t) ω) a + sin(t ω) b) / sin ω with ω the angle between a and b. Where ω is 0 or π no arc is defined,
    and the way is the straight line.
    """
    cosine = torch.nn.functional.cosine_similarity(a, b, -1).unsqueeze(-1)
    angle = torch.acos(cosine.clamp(-1.0, 1.0))
    bent = torch.sin(angle) > 1e-3
    safe = torch.where(bent, angle, 1.0)
    arc = (torch.sin((1 - t) * safe) * a + torch.sin(t * safe) * b) / torch.sin(safe)
    return torch.where(bent, arc, lerp(a, b, t))


def thickness(images: Tensor) -> Tensor:
    """Width in pixels of the strokes in images (n, 1, H, W) of ink between 0 and 1: (n,).

    A stroke of width w and length ℓ covers w ℓ and has an edge of 2 ℓ. So w is twice the ink over the length of the
    edge, and that is the total variation, Σ |∇ ink|. Ends and crossings make the edge a little longer or shorter.
    """
    ink = torch.nn.functional.pad(images, (1, 1, 1, 1))
    down, right = ink[..., 1:, :-1] - ink[..., :-1, :-1], ink[..., :-1, 1:] - ink[..., :-1, :-1]
    edge = (down.square() + right.square()).sqrt().sum((1, 2, 3))
    return 2 * images.sum((1, 2, 3)) / edge


def slant(images: Tensor) -> Tensor:
    """How far the ink of images (n, 1, H, W) leans to the right for each pixel upwards, by its second moments: (n,).

    It depends on the digit as well: the moments of an upright 7 lean. Only differences mean something.
    """
    ink = (images / images.sum((2, 3), keepdim=True)).squeeze(1)  # (n, H, W), a density
    y, x = (torch.arange(float(size)) for size in ink.shape[1:])
    up, right = -y[:, None], x
    up = up - (ink * up).sum((1, 2), keepdim=True)
    right = right - (ink * right).sum((1, 2), keepdim=True)
    return (ink * up * right).sum((1, 2)) / (ink * up.square()).sum((1, 2))
