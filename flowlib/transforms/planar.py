"""Planar flows: push every point along one direction u, by an amount that depends on one coordinate w·z.

Rezende and Mohamed (2015, arXiv 1505.05770), Variational inference with normalizing flows, section 4.1 and appendix
A.1.
"""

import torch
from torch import Tensor, nn
from torch.nn.functional import elu

from flowlib.core import ONE_PASS, ROOTS, Transform
from flowlib.support.checks import VectorLike, check_count, check_shape
from flowlib.support.precision import full_precision
from flowlib.support.roots import monotone_root

SLOPE_FLOOR = 1e-3  # the least slope 1 + w·û h' that the constrained flow can reach


def admissible(product: Tensor) -> Tensor:
    """m(x) > −1: the identity for x ≥ 0, and c (exp(x / c) − 1) with c = 1 − SLOPE_FLOOR below.

    The paper takes m(x) = −1 + log(1 + eˣ), which also moves products that were admissible and makes û grow
    without bound as w → 0. This one leaves x ≥ 0 alone, is as smooth at zero as it must be (m'(0) = 1 from both
    sides), and keeps the slope of the flow at least SLOPE_FLOOR, so that the inverse exists in floating point too.
    """
    c = 1.0 - SLOPE_FLOOR
    return c * elu(product / c)


def admissible_push(u: Tensor, w: Tensor) -> tuple[Tensor, Tensor]:
    """û = u + (m(w·u) − w·u) w / ‖w‖² and w·û = m(w·u): u and w (..., D) -> (..., D) and (...)."""
    product, w_squared = (w * u).sum(-1), w.square().sum(-1)  # ‖w‖², not ‖w‖
    allowed = admissible(product)
    correction = (allowed - product) / torch.where(w_squared > 0, w_squared, 1.0)
    return u + correction.unsqueeze(-1) * w, allowed


class Planar(Transform):
    """Push along u by a ridge function of w·z: the plane is contracted or expanded across w·z + b = 0.

    Map: x = z + û tanh(w·z + b). Log-determinant: log |1 + w·û h'(w·z + b)|, h' = 1 − tanh².
    Invertible if and only if w·û > −1. The free parameter u is turned into û = u + (m(w·u) − w·u) w / ‖w‖², whose
    product with w is m(w·u) > −1 (see `admissible`); û = u wherever w·u ≥ 0. The inverse finds a = w·z, the root
    of a + w·û tanh(a + b) = w·x, and then z = x − û tanh(a + b).

    Args:
        dim: D.
        u: direction and size of the push, (D,). Random if not given, like w and b.
        w: normal of the ridge, its length is the steepness, (D,).
        b: offset of the ridge, one number.
        constrain: False uses u as it is, to show what goes wrong: where w·u < −1 the plane folds, and the inverse
            returns one of up to three points that land on x.

    Paper: Rezende and Mohamed (2015, arXiv 1505.05770), equations 10 to 12 and appendix A.1. Some lecture notes print
    the condition as "w·u ≠ 1" and u, w as matrices: both are misprints.

    >>> x, log_det = Planar(2, u=[2.0, 0.0], w=[1.0, 0.0], b=0.0)(torch.zeros(2))
    >>> round(log_det.item(), 4)  # log(1 + 2)
    1.0986
    """

    costs = (ONE_PASS, ROOTS)

    def __init__(
        self,
        dim: int,
        u: VectorLike | None = None,
        w: VectorLike | None = None,
        b: VectorLike | None = None,
        constrain: bool = True,
    ):
        super().__init__([check_count("Planar", "dim", dim)])
        self.u = nn.Parameter(check_shape("Planar", "u", torch.randn(dim) if u is None else u, [dim]))
        self.w = nn.Parameter(check_shape("Planar", "w", torch.randn(dim) if w is None else w, [dim]))
        self.b = nn.Parameter(check_shape("Planar", "b", torch.randn(()) if b is None else b, []))
        self.constrain = constrain

    @property
    def u_hat(self) -> Tensor:
        """û, the admissible push, (D,); u itself if the flow is not constrained."""
        return self._push()[0]

    def _push(self) -> tuple[Tensor, Tensor]:
        """û (D,) and w·û ()."""
        return admissible_push(self.u, self.w) if self.constrain else (self.u, self.w @ self.u)

    @full_precision
    def forward(self, z: Tensor, context: Tensor | None = None) -> tuple[Tensor, Tensor]:
        self.check_input(z)
        return push(z, *self._push(), self.w, self.b)

    @full_precision
    def inverse(self, x: Tensor, context: Tensor | None = None) -> tuple[Tensor, Tensor]:
        self.check_input(x)
        return pull(x, *self._push(), self.w, self.b, self.constrain)


def push(z: Tensor, u: Tensor, product: Tensor, w: Tensor, b: Tensor) -> tuple[Tensor, Tensor]:
    """x = z + û tanh(w·z + b) and log |1 + w·û h'|: û, w (D,), w·û and b (), z (..., D) -> (..., D), (...)."""
    h = torch.tanh((z * w).sum(-1) + b)  # (...)
    return z + u * h.unsqueeze(-1), (1.0 + product * (1.0 - h.square())).abs().log()


def pull(
    x: Tensor, u: Tensor, product: Tensor, w: Tensor, b: Tensor, constrained: bool = True
) -> tuple[Tensor, Tensor]:
    """The z with push(z) = x, and −log |1 + w·û h'|: x (..., D) -> (..., D), (...)."""
    h = torch.tanh(ridge_root((x * w).sum(-1) + b, product, constrained))  # (...)
    return x - u * h.unsqueeze(-1), -(1.0 + product * (1.0 - h.square())).abs().log()


def ridge_root(y: Tensor, product: Tensor, constrained: bool) -> Tensor:
    """s with s + product · tanh(s) = y: the one equation behind the planar and the Sylvester inverse.

    |tanh| ≤ 1 puts the root into [y − |product|, y + |product|]. If product > −1, Newton's method started at the
    tighter of that bound and the tangent at zero, y / (1 + product), approaches the root from one side, because
    tanh is concave on the right of zero and convex on the left.
    """
    size = product.abs().expand(y.shape)
    start = None
    if constrained:
        bound, tangent = y - product * y.sign(), y / (1.0 + product)
        bound = torch.where(bound * y > 0, bound, 0.0)  # where the bound lies beyond zero, zero is the tighter one
        nearer, farther = torch.minimum(bound.abs(), tangent.abs()), torch.maximum(bound.abs(), tangent.abs())
        start = y.sign() * torch.where(product > 0, farther, nearer)

    def ridge(s: Tensor) -> tuple[Tensor, Tensor]:
        h = torch.tanh(s)
        return s + product * h, 1.0 + product * (1.0 - h.square())

    return monotone_root(ridge, y, y - size, y + size, start)
