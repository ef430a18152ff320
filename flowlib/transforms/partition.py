"""Partitions: which part of a point stays in a coupling, and which part moves.

A coupling asks four things of its partition, and no more, so it serves vectors and images alike:

    split(z) -> kept, moved                 z (..., *shape) in two parts (..., *kept_shape), (..., *moved_shape)
    join(kept, moved) -> z                  the way back
    params(answer, n_params)                  what a network tells of `kept`, as parameters (..., *moved_shape, n_params)
    flipped()                               the same two parts with their roles swapped

`kept` and `moved` are the sizes that a network is built with: `MLP(kept, moved * law.n_params)` where they count
coordinates, `ConvNet(kept, moved * law.n_params)` where they count channels.
"""

from collections.abc import Iterable, Sequence

import torch
from torch import Tensor, nn

from flowlib.support.checks import check_choice, check_count, check_even, check_image


class TwoParts(nn.Module):
    """What all partitions share. A subclass says how z is cut in a first and a second part, and glued again.

    Args:
        shape: of z, (D,) or (C, H, W).
        first, second: shapes of its two parts.
        flip: False if the first part stays and the second moves, True for the reverse.
    """

    kind: str

    def __init__(self, shape: Iterable[int], first: Iterable[int], second: Iterable[int], flip: bool):
        super().__init__()
        self.shape, self.flip = torch.Size(shape), flip
        shapes = torch.Size(first), torch.Size(second)
        self.kept_shape, self.moved_shape = reversed(shapes) if flip else shapes
        self.sizes = shapes[0][0], shapes[1][0]
        self.kept, self.moved = self.kept_shape[0], self.moved_shape[0]

    def cut(self, z: Tensor) -> tuple[Tensor, Tensor]:
        """z (..., *shape) -> its first and its second part."""
        raise NotImplementedError(f"{type(self).__name__} must define cut(z) -> (first, second).")

    def glue(self, first: Tensor, second: Tensor) -> Tensor:
        """The two parts back in their places, (..., *shape)."""
        raise NotImplementedError(f"{type(self).__name__} must define glue(first, second) -> z.")

    def flipped(self) -> "TwoParts":
        """The same two parts with their roles swapped."""
        return type(self)(self.shape, not self.flip)

    def split(self, z: Tensor) -> tuple[Tensor, Tensor]:
        """z (..., *shape) -> what stays (..., *kept_shape) and what moves (..., *moved_shape)."""
        first, second = self.cut(z)
        return (second, first) if self.flip else (first, second)

    def join(self, kept: Tensor, moved: Tensor) -> Tensor:
        """The two parts back in their places, (..., *shape)."""
        return self.glue(moved, kept) if self.flip else self.glue(kept, moved)

    def params(self, answer: Tensor, n_params: int) -> Tensor:
        """A network's answer (..., moved · n_params, H, W) -> (..., moved, H, W, n_params)."""
        dims = len(self.shape)
        return answer.unflatten(-dims, (self.moved, n_params)).movedim(-dims, -1)

    def extra_repr(self) -> str:
        flipped = ", flipped" if self.flip else ""
        return f"{self.kind}{flipped}, keeps {self.kept}, moves {self.moved}"


class Partition(TwoParts):
    """A vector: which coordinates stay and which move.

    Args:
        dim: D, at least 2.
        kind: "halves" (the first ⌈D / 2⌉ stay) or "alternate" (every other one stays, the first among them).
        flip: True swaps the two roles.
    """

    def __init__(self, dim: int, kind: str = "halves", flip: bool = False):
        first = (check_count("Partition", "dim", dim, 2) + 1) // 2
        super().__init__([dim], [first], [dim - first], flip)
        self.dim, self.kind = dim, check_choice("Partition", "kind", kind, ("halves", "alternate"))

    def flipped(self) -> "Partition":
        return Partition(self.dim, self.kind, not self.flip)

    def cut(self, z: Tensor) -> tuple[Tensor, Tensor]:
        return z.split(self.sizes, -1) if self.kind == "halves" else (z[..., ::2], z[..., 1::2])

    def glue(self, first: Tensor, second: Tensor) -> Tensor:
        if self.kind == "halves":
            return torch.cat([first, second], -1)
        if first.shape[-1] > second.shape[-1]:  # odd D: the last coordinate has no partner
            pairs = torch.stack([first[..., :-1], second], -1).flatten(-2)
            return torch.cat([pairs, first[..., -1:]], -1)
        return torch.stack([first, second], -1).flatten(-2)

    def params(self, answer: Tensor, n_params: int) -> Tensor:
        """(..., moved · n_params) -> (..., moved, n_params)."""
        return answer.view(*answer.shape[:-1], self.moved, n_params)


class Channels(TwoParts):
    """An image: the first ⌈C / 2⌉ channels stay, the others move, at all pixels alike.

    Args:
        shape: (C, H, W), C at least 2.
        flip: True swaps the two roles.

    Paper: Dinh et al. (2017, arXiv 1605.08803), RealNVP, section 3.4 (channel-wise masking).

    >>> kept, moved = Channels((3, 4, 4)).split(torch.zeros(5, 3, 4, 4))
    >>> kept.shape, moved.shape
    (torch.Size([5, 2, 4, 4]), torch.Size([5, 1, 4, 4]))
    """

    kind = "channels"

    def __init__(self, shape: Sequence[int], flip: bool = False):
        channels, *pixels = check_image("Channels", shape)
        first = (check_count("Channels", "the number of channels", channels, 2) + 1) // 2
        super().__init__(shape, [first, *pixels], [channels - first, *pixels], flip)

    def cut(self, z: Tensor) -> tuple[Tensor, Tensor]:
        return z.split(self.sizes, -3)

    def glue(self, first: Tensor, second: Tensor) -> Tensor:
        return torch.cat([first, second], -3)


class Checkerboard(TwoParts):
    """An image: the pixels of one colour of a chessboard stay, those of the other move; upper left stays.

    A mask would have the network work on all pixels, half of them zero. Here each colour is packed: a 2 × 2 block has
    two pixels of it, on a diagonal, and they become two channels of half the height and width, (2 C, H/2, W/2): first
    the C channels of the upper pixels, then those of the lower ones. Nothing is zero and nothing is computed twice.

    Args:
        shape: (C, H, W), H and W even.
        flip: True swaps the two roles.

    Paper: Dinh et al. (2017, arXiv 1605.08803), RealNVP, section 3.4 (spatial checkerboard patterns, by masks).

    >>> Checkerboard((1, 2, 2)).split(torch.tensor([[[1.0, 2.0], [3.0, 4.0]]]))[0].flatten()
    tensor([1., 4.])
    """

    kind = "checkerboard"

    def __init__(self, shape: Sequence[int], flip: bool = False):
        channels, height, width = check_even("Checkerboard", shape)
        packed = 2 * channels, height // 2, width // 2
        super().__init__(shape, packed, packed, flip)

    def cut(self, z: Tensor) -> tuple[Tensor, Tensor]:
        first = torch.cat([z[..., ::2, ::2], z[..., 1::2, 1::2]], -3)  # upper left, lower right
        second = torch.cat([z[..., ::2, 1::2], z[..., 1::2, ::2]], -3)  # upper right, lower left
        return first, second

    def glue(self, first: Tensor, second: Tensor) -> Tensor:
        (a, d), (b, c) = first.chunk(2, -3), second.chunk(2, -3)  # each (..., C, H/2, W/2)
        upper, lower = torch.stack([a, b], -1).flatten(-2), torch.stack([c, d], -1).flatten(-2)  # (..., C, H/2, W)
        return torch.stack([upper, lower], -2).flatten(-3, -2)
