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
    z = x − Q R tanh(R̃ s + b). Gradients come from all rows at once.

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
        y, eye = x @ q, torch.eye(self.ridges).to(q)
        s = last_row_first(y, big_r, big_r_tilde, self.b, product).detach()
        for _ in range(2):  # Newton's method for all rows at once: s stays, and gets its gradients (support/roots.py)
            h = torch.tanh(s @ big_r_tilde.mT + self.b)  # (..., M)
            slopes = eye + big_r * (1.0 - h.square()).unsqueeze(-2) @ big_r_tilde  # (..., M, M), upper triangular
            residual = (s + h @ big_r.mT - y).unsqueeze(-1)
            s = s - torch.linalg.solve_triangular(slopes, residual, upper=True).squeeze(-1)
        h = torch.tanh(s @ big_r_tilde.mT + self.b)
        return x - h @ big_r.mT @ q.mT, -log_slopes(product, h)

    def extra_repr(self) -> str:
        return f"dim={self.event_shape[0]}, ridges={self.ridges}"


@torch.no_grad()
def last_row_first(s: Tensor, big_r: Tensor, big_r_tilde: Tensor, b: Tensor, product: Tensor) -> Tensor:
    """s with s + R tanh(R̃ s + b) = y, from y (..., M): what a row does to those above is taken off, s remains."""
    a = b.expand(s.shape)  # R̃ s + b, as far as rows are known
    for i in reversed(range(len(b))):
        t = ridge_root(big_r_tilde[i, i] * s[..., i] + a[..., i], product[i], constrained=True)
        s = s - torch.tanh(t).unsqueeze(-1) * big_r[:, i]
        a = a + s[..., i, None] * big_r_tilde[:, i]
    return s


def log_slopes(product: Tensor, h: Tensor) -> Tensor:
    """Σ_i log(1 + r_ii r̃_ii h'_i) with h' = 1 − h²: h (..., M) -> (...)."""
    return (1.0 + product * (1.0 - h.square())).log().sum(-1)
