"""Layers for noise in pictures: a causal filter, and a law of each pixel that its own condition decides."""

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from flowlib.core import Transform
from flowlib.laws import Law
from flowlib.nets.mlp import ask, describe
from flowlib.support.checks import check_context, check_count, check_image
from flowlib.support.precision import full_precision

AROUND = ((0, 1), (1, 1), (1, 0), (1, -1))  # rows up and columns left: where the four neighbours before a pixel are


class CausalFilter(Transform):
    """Each pixel hears the four neighbours that come before it in reading order: left, and the three above.

    Map: x_i = z_i + Σ_k w_k x_{i−k}, with Σ_k |w_k| < 1; beyond the border is zero.
    Log-determinant: 0, because the Jacobian is triangular in reading order with ones on its diagonal.
    Invertible always: z_i = x_i − Σ_k w_k x_{i−k} is one pass; x is found by one triangular solve with a matrix of
    (H W)², so patches should be small. Two such layers, one after the other, reach further than one.

    Args:
        shape: (C, H, W); each channel is filtered by the same w.

    Paper: a filter with a triangular matrix is the emerging convolution of Hoogeboom et al. (2019, arXiv 1901.11137).
    The bound on w is ours.

    >>> layer = CausalFilter((1, 4, 4))
    >>> x, log_det = layer(torch.ones(2, 1, 4, 4))
    >>> x.shape, log_det.shape
    (torch.Size([2, 1, 4, 4]), torch.Size([2]))
    """

    most = 0.98  # of Σ |w|

    def __init__(self, shape: Sequence[int]):
        super().__init__(check_image("CausalFilter", shape))
        self.raw = nn.Parameter(0.1 * torch.randn(len(AROUND)))  # two layers shall not learn the same
        _, height, width = self.event_shape
        rows, columns = (torch.eye(side) for side in (height, width))
        down = [torch.diag(torch.ones(height - up), -up) if up else rows for up in (0, 1)]
        right = {k: torch.diag(torch.ones(max(width - abs(k), 0)), -k) if abs(k) < width else 0 * columns
                 for k in (-1, 0, 1)}  # fmt: skip
        shifts = torch.stack([torch.kron(down[up], right[left]) for up, left in AROUND])  # (4, H W, H W)
        self.register_buffer("shifts", shifts, persistent=False)

    @property
    def w(self) -> Tensor:
        """The weights of the neighbours, (4,): left, upper left, above, upper right."""
        return self.most * self.raw / (1.0 + self.raw.abs().sum())

    def matrix(self) -> Tensor:
        """∂z/∂x of one channel, (H W, H W), lower triangular with ones on the diagonal."""
        size = self.shifts.shape[-1]
        mixed = torch.tensordot(self.w, self.shifts, 1)
        return torch.eye(size, dtype=mixed.dtype, device=mixed.device) - mixed

    @full_precision
    def forward(self, z: Tensor, context: Tensor | None = None) -> tuple[Tensor, Tensor]:
        self.check_input(z)
        flat = z.flatten(-2).unsqueeze(-1)  # (..., C, H W, 1)
        x = torch.linalg.solve_triangular(self.matrix(), flat, upper=False, unitriangular=True)
        return x.reshape(z.shape), z.new_zeros(self.batch_shape(z))

    @full_precision
    def inverse(self, x: Tensor, context: Tensor | None = None) -> tuple[Tensor, Tensor]:
        self.check_input(x)
        return (x.flatten(-2) @ self.matrix().mT).reshape(x.shape), x.new_zeros(self.batch_shape(x))


class PerPixel(Transform):
    """Each pixel moves by a law whose parameters come from the condition of this pixel alone.

    Map: x_i = g(z_i; m(c_i, c)). Log-determinant: Σ_i log |dg/dz_i|, as no pixel looks at another. Invertible always:
    the condition is known in both directions, so m is run again and the law undone.

    Args:
        law: g, such as Affine: a signal-dependent noise level.
        net: m, (..., 1 + extra) -> (..., law.n_params), one network for all pixels.
        shape: (C, H, W).
        extra: how many numbers c the whole patch has, such as an ISO. The context is the patch of all c_i in reading
            order, then c: context_dim = C · H · W + extra.

    Paper: Abdelhamed et al. (2019, arXiv 1908.08453), Noise flow: its signal-dependent layer is an affine
    law with √(β₁ c_i + β₂) for m.

    >>> from flowlib.laws import Affine
    >>> from flowlib.nets import MLP
    >>> layer = PerPixel(Affine(), MLP(2, 2, [8]), (1, 2, 2), extra=1)
    >>> x, log_det = layer(torch.zeros(3, 1, 2, 2), torch.zeros(3, 5))
    >>> x.shape, log_det.shape
    (torch.Size([3, 1, 2, 2]), torch.Size([3]))
    """

    def __init__(self, law: Law, net: nn.Module, shape: Sequence[int], extra: int = 0):
        super().__init__(check_image("PerPixel", shape))
        self.law, self.net, self.extra = law, net, check_count("PerPixel", "extra", extra, 0)
        self.context_dim = self.event_shape.numel() + self.extra

    def describe(self) -> str:
        return f"PerPixel: {self.law.describe()}, {describe(self.net)}"

    def params(self, points: Tensor, context: Tensor | None) -> Tensor:
        """m(c_i, c) at each pixel, (..., C, H, W, n_params)."""
        context = check_context(context, self.context_dim, self.batch_shape(points)).to(points.dtype)
        own, rest = context.split([self.context_dim - self.extra, self.extra], -1)
        own = own.reshape(*own.shape[:-1], *self.event_shape, 1)
        rest = rest[..., None, None, None, :].expand(*own.shape[:-1], self.extra)
        return ask(self.net, torch.cat([own, rest], -1), mixed=False)

    @full_precision
    def forward(self, z: Tensor, context: Tensor | None = None) -> tuple[Tensor, Tensor]:
        self.check_input(z)
        x, log_slopes = self.law(z, self.params(z, context).expand(*z.shape, self.law.n_params))
        return x, log_slopes.sum(self.axes)

    @full_precision
    def inverse(self, x: Tensor, context: Tensor | None = None) -> tuple[Tensor, Tensor]:
        self.check_input(x)
        z, log_slopes = self.law.inverse(x, self.params(x, context).expand(*x.shape, self.law.n_params))
        return z, log_slopes.sum(self.axes)
