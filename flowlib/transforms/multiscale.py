"""The multi-scale architecture: half of the numbers are done early, the other half go on to a coarser picture."""

from collections.abc import Iterable, Sequence

import torch
from torch import Tensor, nn

from flowlib.core import Compose, Transform, Wrapper, dearest, one_context
from flowlib.support.checks import check_image
from flowlib.transforms.partition import Channels
from flowlib.transforms.rearrange import Squeeze


class MultiScale(Transform):
    """From one flat latent to an image, coarse to fine: z (D,) -> x (C, H, W), D = C · H · W.

    Map, read from the data: scale 0 turns the image into (4 C, H/2, W/2); the second half of these channels are latent
    numbers and are done, the first half are an image for scale 1, and so on; all that the last scale gives is latent.
    Nothing is dropped: all latents lie side by side in z, so the map is one to one, and the density of z alone decides
    how they are distributed. Log-determinant: the sum over the scales. Invertible because each scale is.

    Coarse first: `slices()[0]` is the part of z that belongs to the last scale, `slices()[-1]` that of scale 0.
    Each part lies in z as an image flattened row by row, channel by channel.

    Args:
        shape: (C, H, W) of the image x.
        scales: scales[k] takes channels at half the resolution and gives the image of its scale, or gives the channels
            again, and is then followed by a Squeeze. The last scale may keep the resolution. The image of scale 0 is
            x, that of scale k + 1 has the first half of the channels that scales[k] takes.

    Paper: Dinh et al. (2017, arXiv 1605.08803), RealNVP, section 3.6.

    >>> from flowlib.transforms import Conv1x1
    >>> f = MultiScale((1, 8, 8), [Conv1x1((4, 4, 4)), Conv1x1((8, 2, 2))])
    >>> f(torch.randn(5, 64))[0].shape, f.slices()
    (torch.Size([5, 1, 8, 8]), [slice(0, 32, None), slice(32, 64, None)])
    """

    def __init__(self, shape: Sequence[int], scales: Iterable[Transform]):
        image = check_image("MultiScale", shape)
        scales, partitions = list(scales), []
        if not scales:
            raise ValueError("MultiScale: scales is empty; expected one Transform for each scale.")
        for k, scale in enumerate(scales):
            scales[k] = to_pixels(k, scale, image)
            if k + 1 < len(scales):
                partitions.append(Channels(scales[k].event_shape))
                image = partitions[k].kept_shape
        super().__init__([torch.Size(shape).numel()], shape)
        self.context_dim, self.costs = one_context("MultiScale", scales), dearest(scales)
        self.scales, self.partitions = nn.ModuleList(scales), nn.ModuleList(partitions)
        self.coarsest = scales[-1].event_shape
        self.sizes = [self.coarsest.numel(), *(part.moved_shape.numel() for part in reversed(partitions))]

    def slices(self) -> list[slice]:
        """Which part of z belongs to which scale, coarse first: z[..., slices()[0]] is the coarsest."""
        ends = torch.tensor(self.sizes).cumsum(0).tolist()
        return [slice(end - size, end) for size, end in zip(self.sizes, ends, strict=True)]

    def layers(self) -> list[Transform]:
        """The same map on the flat latent: each layer of a scale moves the first numbers, the finer ones wait."""
        dim = self.event_shape[0]
        *layers, last = [layer for scale in reversed(self.scales) for layer in scale.layers()]
        return [*(OnFirst(layer, dim) for layer in layers), OnFirst(last, dim, self.data_shape)]

    def forward(self, z: Tensor, context: Tensor | None = None) -> tuple[Tensor, Tensor]:
        self.check_input(z)
        coarse, *finer = z.split(self.sizes, -1)
        x, log_det = self.scales[-1](coarse.unflatten(-1, self.coarsest), context)
        for k, fine in zip(reversed(range(len(finer))), finer, strict=True):
            fine = fine.unflatten(-1, self.partitions[k].moved_shape)
            x, term = self.scales[k](self.partitions[k].join(x, fine), context)
            log_det = log_det + term
        return x, log_det

    def inverse(self, x: Tensor, context: Tensor | None = None) -> tuple[Tensor, Tensor]:
        self.check_data(x)
        parts, log_det = [], x.new_zeros(x.shape[:-3])
        for k, scale in enumerate(self.scales):
            x, term = scale.inverse(x, context)
            log_det = log_det + term
            if k < len(self.partitions):
                x, fine = self.partitions[k].split(x)
                parts.append(fine.flatten(-3))
        parts.append(x.flatten(-len(self.coarsest)))
        return torch.cat(parts[::-1], -1), log_det


class OnFirst(Wrapper):
    """A layer that moves the first numbers of a vector; the others wait for their turn.

    Map: x = (f(z_1, ..., z_n), z_{n+1}, ..., z_D), the first n numbers in the shape that f takes.
    Log-determinant and inverse are those of f.

    Args:
        transform: f, on n ≤ D numbers of any shape.
        dim: D.
        data_shape: of x, where it is an image of D numbers at last.

    >>> from flowlib.transforms import Sigmoid
    >>> OnFirst(Sigmoid(1), 2)(torch.zeros(2))[0]
    tensor([0.5000, 0.0000])
    """

    def __init__(self, transform: Transform, dim: int, data_shape: Iterable[int] | None = None):
        super().__init__(transform, [dim], data_shape)
        self.n = transform.event_shape.numel()

    @property
    def acts_on(self) -> torch.Size:
        return self.transform.event_shape

    def forward(self, z: Tensor, context: Tensor | None = None) -> tuple[Tensor, Tensor]:
        self.check_input(z)
        first, rest = z[..., : self.n], z[..., self.n :]
        first, log_det = self.transform(first.unflatten(-1, self.transform.event_shape), context)
        x = torch.cat([first.flatten(-self.transform.data_dims), rest], -1)
        return x.reshape(*z.shape[:-1], *self.data_shape), log_det

    def inverse(self, x: Tensor, context: Tensor | None = None) -> tuple[Tensor, Tensor]:
        self.check_data(x)
        x = x.flatten(-self.data_dims)
        first, rest = x[..., : self.n], x[..., self.n :]
        first, log_det = self.transform.inverse(first.unflatten(-1, self.transform.data_shape), context)
        return torch.cat([first.flatten(-self.transform.event_dims), rest], -1), log_det


def to_pixels(k: int, scale: Transform, image: torch.Size) -> Transform:
    """Level k as a transform whose data are images of this shape: itself, or itself and a Squeeze."""
    if not isinstance(scale, Transform):
        raise TypeError(f"MultiScale expects Transforms; scale {k} is a {type(scale).__name__}.")
    if scale.data_shape == image:
        return scale
    squeeze = Squeeze(image)
    if scale.data_shape != squeeze.event_shape:
        raise ValueError(
            f"MultiScale: scale {k} gives points of shape {tuple(scale.data_shape)}; its image is {tuple(image)}. "
            f"Build it on {tuple(squeeze.event_shape)}, half the resolution, or let it give {tuple(image)}."
        )
    return Compose([scale, squeeze])
