"""Noise for pixels that looks at the image: a small convolutional flow q(v | x) for `VariationalDequantize`."""

from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torch.nn.functional import pixel_unshuffle

from flowlib.bases import DiagonalNormal
from flowlib.core import Compose, Flow
from flowlib.laws import Affine
from flowlib.nets.convolutional import ConvNet
from flowlib.support.checks import check_count
from flowlib.transforms import Checkerboard, Coupling, Unflatten, stacked

SPREAD = 1.75  # untrained, the sigmoid of such a normal is uniform but for 0.014 bits; of a standard one, for 0.28


def pixel_noise(shape: Sequence[int], couplings: int = 4, width: int = 16, blocks: int = 1) -> Flow:
    """Affine couplings on a chessboard whose networks also see the image: what is around a pixel decides its noise.

    Args:
        shape: (C, H, W), H and W even. The context is an image of this shape as a row of C · H · W numbers.
        couplings: how many; the two colours move in turn.
        width, blocks: of each network, a `ConvNet`. Their size is that of no image: the noise of 28 × 28 pixels has
            33,936 parameters, where a dense network has a million.

    Paper: Ho et al. (2019, arXiv 1902.00275), Flow++, section 3.1; theirs mixes logistic laws, and is larger.

    >>> pixel_noise((1, 4, 4)).sample(5, context=torch.zeros(5, 16)).shape
    torch.Size([5, 1, 4, 4])
    """
    board, law, layers = Checkerboard(shape), Affine(), []
    for _ in range(check_count("pixel_noise", "couplings", couplings)):
        layers.append(Coupling(law, Seeing(shape, law.n_params, width, blocks), board, torch.Size(shape).numel()))
        board = board.flipped()
    spread = [SPREAD] * torch.Size(shape).numel()
    return Flow(Compose([Unflatten(shape), stacked(layers)]), DiagonalNormal([0.0] * len(spread), spread))


class Seeing(nn.Module):
    """A `ConvNet` that sees half of the noise and all of the image, both packed to half the height and width.

    Args:
        shape: (C, H, W) of the image.
        n_params: of the law, for each number that moves.
        width, blocks: of the network.
    """

    def __init__(self, shape: Sequence[int], n_params: int, width: int, blocks: int):
        super().__init__()
        self.shape, channels = torch.Size(shape), shape[0]
        self.net = ConvNet(2 * channels + 4 * channels, 2 * channels * n_params, width, blocks)

    def forward(self, half: Tensor, context: Tensor) -> Tensor:
        """half (..., 2 C, H/2, W/2), context (..., C · H · W) -> (..., 2 C · n_params, H/2, W/2)."""
        batch = half.shape[:-3]
        image = context.to(half.dtype).expand(*batch, self.shape.numel()).reshape(*batch, *self.shape)
        return self.net(torch.cat([half, pixel_unshuffle(image, 2)], -3))
