"""Radial flows: pull every point towards a centre z₀, or push it away.

Rezende and Mohamed (2015, arXiv 1505.05770), Variational inference with normalizing flows, section 4.1 and appendix
A.2.
"""

import torch
from torch import Tensor, nn
from torch.nn.functional import elu, softplus

from flowlib.core import Transform
from flowlib.support.checks import VectorLike, check_count, check_positive, check_shape

SLOPE_FLOOR = 1e-3  # the least value of 1 + β̂ / α, the stretch at the centre
ALPHA_FLOOR = 1e-6  # keeps 1 / (α + r) finite at the centre


class Radial(Transform):
    """Contract (β < 0) or expand (β > 0) around a centre; the effect fades with the distance r = ‖z − z₀‖.

    Map: x = z + β̂ h (z − z₀), h = 1 / (α + r).
    Log-determinant: (D − 1) log |1 + β̂ h| + log |1 + β̂ h + β̂ h' r|, and 1 + β̂ h + β̂ h' r = 1 + α β̂ h².
    Invertible if and only if β̂ > −α. Softplus keeps α > 0, and β̂ = β where β ≥ 0, else
    α c (exp(β / (α c)) − 1) with c = 1 − SLOPE_FLOOR, which stays above −α. The inverse is a formula: the distance
    R = ‖x − z₀‖ = r (1 + β̂ h) makes r the positive root of r² + (α + β̂ − R) r − α R = 0.

    Args:
        dim: D.
        z0: the centre, (D,). Random if not given, like beta.
        alpha: the size of the affected region, a positive number, default 1.
        beta: the strength, one number.
        constrain: False uses β as it is, to show what goes wrong: where β < −α space folds at the centre.

    Paper: Rezende and Mohamed (2015, arXiv 1505.05770), equation 14 and appendix A.2, where h(α, r) is as here.

    >>> x, log_det = Radial(3, z0=0.0, alpha=1.0, beta=1.0)(torch.zeros(3))
    >>> round(log_det.item(), 4)  # every direction is stretched by 2: log 2³
    2.0794
    """

    def __init__(
        self,
        dim: int,
        z0: VectorLike | None = None,
        alpha: VectorLike = 1.0,
        beta: VectorLike | None = None,
        constrain: bool = True,
    ):
        super().__init__([check_count("Radial", "dim", dim)])
        alpha = check_positive("Radial", "alpha", alpha, [])
        self.z0 = nn.Parameter(check_shape("Radial", "z0", torch.randn(dim) if z0 is None else z0, [dim]))
        self.raw_alpha = nn.Parameter(alpha + (-(-alpha).expm1()).log())  # softplus⁻¹(α)
        self.beta = nn.Parameter(check_shape("Radial", "beta", torch.randn(()) if beta is None else beta, []))
        self.constrain = constrain

    @property
    def alpha(self) -> Tensor:
        """α > 0, ()."""
        return ALPHA_FLOOR + softplus(self.raw_alpha)

    @property
    def beta_hat(self) -> Tensor:
        """β̂ > −α, (); β itself if the flow is not constrained."""
        limit = (1.0 - SLOPE_FLOOR) * self.alpha
        return limit * elu(self.beta / limit) if self.constrain else self.beta

    def forward(self, z: Tensor, context: Tensor | None = None) -> tuple[Tensor, Tensor]:
        self.check_input(z)
        offset = z - self.z0  # (..., D)
        stretch, log_det = self._stretch(safe_norm(offset))
        return z + (stretch - 1.0).unsqueeze(-1) * offset, log_det

    def inverse(self, x: Tensor, context: Tensor | None = None) -> tuple[Tensor, Tensor]:
        self.check_input(x)
        offset = x - self.z0  # (..., D)
        big_r = safe_norm(offset)  # R, (...)
        p = big_r - self.alpha - self.beta_hat
        root = safe_sqrt(p.square() + 4.0 * self.alpha * big_r)
        # (p + √(p² + 4αR)) / 2, written without cancellation for either sign of p
        r = torch.where(p > 0, 0.5 * (p + root), 2.0 * self.alpha * big_r / torch.where(p > 0, 1.0, root - p))
        stretch, log_det = self._stretch(r)
        return self.z0 + offset / stretch.unsqueeze(-1), -log_det

    def _stretch(self, r: Tensor) -> tuple[Tensor, Tensor]:
        """Distance r (...) -> the factor 1 + β̂ h on it (...), and the log-determinant there (...)."""
        h = 1.0 / (self.alpha + r)
        across = 1.0 + self.beta_hat * h  # along the D − 1 directions around the centre
        along = 1.0 + self.alpha * self.beta_hat * h.square()  # along the ray
        return across, (self.event_shape[0] - 1) * across.abs().log() + along.abs().log()


def safe_sqrt(value: Tensor) -> Tensor:
    """√value whose gradient at zero is zero instead of infinite."""
    positive = value > 0
    return torch.where(positive, torch.where(positive, value, 1.0).sqrt(), value)


def safe_norm(vector: Tensor) -> Tensor:
    """‖vector‖ over the last dimension, (..., D) -> (...), with gradient zero at the origin."""
    return safe_sqrt(vector.square().sum(-1))
