"""The same numbers in another arrangement: vectors, images, patches.

An image is (..., C, H, W). These maps only move numbers, so their log-determinant is 0. What else an image flow needs
works on images already: `Conv1x1`, `ActNorm` and the elementwise maps, and `Coupling` with the partitions `Channels`
and `Checkerboard`.
"""

from collections.abc import Sequence

import torch
from torch import Tensor

from flowlib.core import Inverse, Transform
from flowlib.support.checks import check_count, check_even, check_image, check_size


class Squeeze(Transform):
    """Four channels of half the height and width become one channel: z (4 C, H/2, W/2) -> x (C, H, W).

    Map: x_{c, 2a+i, 2b+j} = z_{4c+2i+j, a, b}: the channels 4c, 4c + 1, 4c + 2, 4c + 3 of z are the upper left, upper
    right, lower left and lower right pixels of the 2 × 2 blocks of channel c. The name is that of the direction from
    data to noise, in which an image becomes smaller and deeper. Log-determinant: 0. Invertible always.

    Args:
        shape: (C, H, W) of the data, H and W even.

    Paper: Dinh et al. (2017, arXiv 1605.08803), RealNVP, section 3.6.

    >>> Squeeze((1, 2, 2)).inverse(torch.tensor([[[1.0, 2.0], [3.0, 4.0]]]))[0].flatten()
    tensor([1., 2., 3., 4.])
    """

    def __init__(self, shape: Sequence[int]):
        channels, height, width = check_even("Squeeze", shape)
        super().__init__(torch.Size((4 * channels, height // 2, width // 2)), shape)

    def forward(self, z: Tensor, context: Tensor | None = None) -> tuple[Tensor, Tensor]:
        self.check_input(z)
        blocks = z.unflatten(-3, (-1, 2, 2)).movedim((-4, -3), (-3, -1))  # (..., C, H/2, 2, W/2, 2)
        return blocks.flatten(-4, -3).flatten(-2), z.new_zeros(z.shape[:-3])

    def inverse(self, x: Tensor, context: Tensor | None = None) -> tuple[Tensor, Tensor]:
        self.check_data(x)
        blocks = x.unflatten(-1, (-1, 2)).unflatten(-3, (-1, 2))  # (..., C, H/2, 2, W/2, 2)
        return blocks.movedim((-3, -1), (-4, -3)).flatten(-5, -3), x.new_zeros(x.shape[:-3])


class Patches(Transform):
    """A vector becomes an image, patch by patch: z (D,) -> x (C, H, W), D = C · H · W.

    Map: the first C p² numbers of z are the upper left p × p patch of x, the next ones the patch to its right, and so
    on; within a patch, pixel by pixel and row by row, the C numbers of a pixel side by side.
    Log-determinant: 0. Invertible always.

    Args:
        shape: (C, H, W), H and W multiples of patch.
        patch: p.

    Paper: Zhai et al. (2024, arXiv 2412.06329), TarFlow, where each patch becomes one token.

    >>> Patches((1, 2, 4), 2).inverse(torch.arange(8.0).reshape(1, 2, 4))[0]
    tensor([0., 1., 4., 5., 2., 3., 6., 7.])
    """

    def __init__(self, shape: Sequence[int], patch: int):
        channels, height, width = check_image("Patches", shape)
        if height % check_count("Patches", "patch", patch) or width % patch:
            raise ValueError(
                f"Patches: {patch} × {patch} patches do not tile an image of {height} × {width}; "
                "patch must divide its height and its width."
            )
        super().__init__([channels * height * width], shape)
        self.patch, self.tokens, self.size = patch, height * width // patch**2, channels * patch**2

    def forward(self, z: Tensor, context: Tensor | None = None) -> tuple[Tensor, Tensor]:
        self.check_input(z)
        channels, _, width = self.data_shape
        p = self.patch
        blocks = z.unflatten(-1, (-1, width // p, p, p, channels))  # (..., H/p, W/p, p, p, C)
        x = blocks.movedim((-1, -3), (-5, -3))  # (..., C, H/p, p, W/p, p)
        return x.flatten(-4, -3).flatten(-2), z.new_zeros(z.shape[:-1])

    def inverse(self, x: Tensor, context: Tensor | None = None) -> tuple[Tensor, Tensor]:
        self.check_data(x)
        blocks = x.unflatten(-1, (-1, self.patch)).unflatten(-3, (-1, self.patch))  # (..., C, H/p, p, W/p, p)
        return blocks.movedim((-5, -3), (-1, -3)).flatten(-5), x.new_zeros(x.shape[:-3])


class Unflatten(Transform):
    """A vector becomes an image, row by row of each channel: z (D,) -> x (C, H, W), D = C · H · W.

    Map: x_{c, i, j} = z_{(c H + i) W + j}. Log-determinant: 0. Invertible always.

    Args:
        shape: (C, H, W), or any other shape.

    >>> Unflatten((1, 2, 2))(torch.arange(4.0))[0]
    tensor([[[0., 1.],
             [2., 3.]]])
    """

    def __init__(self, shape: Sequence[int]):
        shape = check_size("Unflatten", shape)
        super().__init__([shape.numel()], shape)

    def forward(self, z: Tensor, context: Tensor | None = None) -> tuple[Tensor, Tensor]:
        self.check_input(z)
        return z.unflatten(-1, self.data_shape), z.new_zeros(z.shape[:-1])

    def inverse(self, x: Tensor, context: Tensor | None = None) -> tuple[Tensor, Tensor]:
        self.check_data(x)
        z = x.flatten(-self.data_dims)
        return z, x.new_zeros(z.shape[:-1])


class Flatten(Inverse):
    """An image becomes a vector: the inverse of `Unflatten`, z (C, H, W) -> x (D,).

    Map: x_{(c H + i) W + j} = z_{c, i, j}. Log-determinant: 0. Invertible always.

    Args:
        shape: (C, H, W), or any other shape.

    >>> Flatten((1, 2, 2))(torch.zeros(5, 1, 2, 2))[0].shape
    torch.Size([5, 4])
    """

    def __init__(self, shape: Sequence[int]):
        super().__init__(Unflatten(shape))

    def forward(self, z: Tensor, context: Tensor | None = None) -> tuple[Tensor, Tensor]:
        self.check_input(z)
        return super().forward(z, context)

    def inverse(self, x: Tensor, context: Tensor | None = None) -> tuple[Tensor, Tensor]:
        self.check_data(x)
        return super().inverse(x, context)
