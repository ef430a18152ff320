"""The latent space of an image model: how an image gets there, ways between two points, and what an image looks like.

to_latent               from pixels to z
scales                  which part of z is coarse, which is fine
lerp, slerp             from one z to another, straight or along the shell
thickness, slant        of a stroke, measured on images
"""

from itertools import pairwise

import torch
from torch import Tensor

from flowlib.core import Flow
from flowlib.pixels.pixel_flow import PixelFlow


def to_latent(model: PixelFlow, pixels: Tensor, u: Tensor | float = 0.5) -> Tensor:
    """Where whole-number pixels (n, C, H, W) come from: z (n, D).

    Args:
        model: its flow is run backwards.
        pixels: as the model's data, 0 to levels − 1.
        u: the place within the cell of each pixel, in [0, 1): one number, or noise of the shape of the pixels.
    """
    s, _ = model.logit.inverse((pixels + u) / model.levels)
    return model.flow.transform.inverse(s)[0]


def scales(flow: Flow) -> list[slice]:
    """Which part of the flat latent z (n, D) belongs to which scale, coarse first: z[..., scales(flow)[0]].

    In a multi-scale flow the first layers move the coarse numbers alone; further on, finer ones join them. Where each
    group ends is read off what the layers move.

    To draw the fine scales of some images anew and keep the coarse one:

    >>> from flowlib.models import glow
    >>> flow, x = glow((1, 8, 8), steps=1, width=4), torch.rand(5, 1, 8, 8)
    >>> z, _ = flow.transform.inverse(x)
    >>> for part in scales(flow)[1:]:
    ...     z[..., part] = torch.randn_like(z[..., part])
    >>> flow.transform(z)[0].shape
    torch.Size([5, 1, 8, 8])
    """
    ends = {layer.acts_on.numel() for layer in flow.transform.layers() if layer.acts_on != layer.event_shape}
    if not ends:
        raise ValueError("scales: this flow has no MultiScale in it, so its latent has one scale.")
    return [slice(first, end) for first, end in pairwise([0, *sorted(ends)])]


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
