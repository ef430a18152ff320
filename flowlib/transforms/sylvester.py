"""Sylvester flows: M planar pushes in one layer, along orthogonal directions.

van den Berg et al. (2018, arXiv 1803.05649), Sylvester normalizing flows for variational inference.
"""

import torch
from torch import Tensor, nn

from flowlib.core import ONE_PASS, ROOTS, Transform
from flowlib.support.checks import check_count
from flowlib.support.precision import full_precision
from flowlib.transforms.planar import admissible, ridge_root


class Sylvester(Transform):
    """M ridges at once: each pushes along its own direction and may look at the ridges that come after it.

    Map: x = z + Q R tanh(R̃ Qᵀ z + b), Q (D, M) with orthonormal columns, R and R̃ (M, M) upper triangular.
    Log-determinant: by Sylvester's identity det(I_D + A B) = det(I_M + B A) it is that of an M × M triangular matrix,
    Σ_i log |1 + r_ii r̃_ii h'_i|.
    Invertible if every r_ii r̃_ii > −1, which `admissible` ensures as in the planar flow. The inverse solves
    s + R tanh(R̃ s + b) = Qᵀ x for s = Qᵀ z from the last row to the first, one scalar root each, and then
    z = x − Q R tanh(R̃ s + b).

    Args:
        dim: D.
        ridges: M, from 1 to D. With M = 1 it is a planar flow whose u and w are parallel.

    Paper: van den Berg et al. (2018, arXiv 1803.05649), equations 8 to 13.

    >>> x, log_det = Sylvester(3, ridges=2)(torch.zeros(5, 3))
    >>> x.shape, log_det.shape
    (torch.Size([5, 3]), torch.Size([5]))
    """

    costs = (ONE_PASS, ROOTS)

    def __init__(self, dim: int, ridges: int):
        super().__init__([check_count("Sylvester", "dim", dim)])
        if check_count("Sylvester", "ridges", ridges) > dim:
            raise ValueError(f"Sylvester: ridges must be at most dim = {dim}; got {ridges}.")
        self.ridges = ridges
        self.directions = nn.Parameter(torch.randn(dim, ridges))  # Q is their orthonormal basis
        self.mix = nn.Parameter(
            torch.randn(ridges, ridges) / ridges
        )  # R above its diagonal, R̃ᵀ below, both without theirs
        self.r = nn.Parameter(torch.randn(ridges))
        self.r_tilde = nn.Parameter(torch.randn(ridges))
        self.b = nn.Parameter(torch.randn(ridges))

    def matrices(self) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        """Q (D, M), R (M, M), R̃ (M, M) and the products r_ii r̃_ii > −1 (M,)."""
        q, triangle = torch.linalg.qr(self.directions)
        q = q * torch.where(triangle.diagonal() < 0, -1.0, 1.0)  # the one Q that moves continuously
        product = self.r * self.r_tilde
        squared = self.r_tilde.square()
        squared = torch.where(squared > 0, squared, 1.0)
        r = self.r + (admissible(product) - product) * self.r_tilde / squared
        big_r = self.mix.triu(1) + r.diag()
        big_r_tilde = self.mix.tril(-1).mT + self.r_tilde.diag()
        return q, big_r, big_r_tilde, admissible(product)

    @full_precision
    def forward(self, z: Tensor, context: Tensor | None = None) -> tuple[Tensor, Tensor]:
        self.check_input(z)
        q, big_r, big_r_tilde, product = self.matrices()
        h = torch.tanh(z @ q @ big_r_tilde.mT + self.b)  # (..., M)
        return z + h @ big_r.mT @ q.mT, log_slopes(product, h)

    @full_precision
    def inverse(self, x: Tensor, context: Tensor | None = None) -> tuple[Tensor, Tensor]:
        self.check_input(x)
        q, big_r, big_r_tilde, product = self.matrices()
        rows = (x @ q).split(1, -1)  # M tensors (..., 1)
        s, h = [], []  # rows i + 1, ..., M of s = Qᵀ z and of tanh(R̃ s + b), first row first
        for i in reversed(range(self.ridges)):
            y, offset = rows[i], self.b[i]
            if h:
                y = y - (torch.cat(h, -1) * big_r[i, i + 1 :]).sum(-1, keepdim=True)
                offset = offset + (torch.cat(s, -1) * big_r_tilde[i, i + 1 :]).sum(-1, keepdim=True)
            t = ridge_root(big_r_tilde[i, i] * y + offset, product[i], constrained=True)
            h.insert(0, torch.tanh(t))
            s.insert(0, y - big_r[i, i] * h[0])
        h = torch.cat(h, -1)  # (..., M)
        return x - h @ big_r.mT @ q.mT, -log_slopes(product, h)

    def extra_repr(self) -> str:
        return f"dim={self.event_shape[0]}, ridges={self.ridges}"


def log_slopes(product: Tensor, h: Tensor) -> Tensor:
    """Σ_i log(1 + r_ii r̃_ii h'_i) with h' = 1 − h²: h (..., M) -> (...)."""
    return (1.0 + product * (1.0 - h.square())).log().sum(-1)
