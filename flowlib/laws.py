"""Laws: scalar bijections x = g(z; θ) whose parameters θ a network supplies.

A coupling or an autoregressive layer decides *which* coordinates move and *what they look at*; a law decides *how*
a coordinate moves. A law knows its number of parameters per coordinate and works elementwise:

    forward(z, θ) -> (x, log |dx/dz|)       z, x and the logarithm (..., d), θ (..., d, n_params)
    inverse(x, θ) -> (z, log |dz/dx|)

At θ = 0 every law is the identity, so a network whose last layer starts at zero starts as the identity.
"""

import math

import torch
from torch import Tensor, nn
from torch.nn.functional import softplus

from flowlib.checks import check_above_zero, check_count


class Law(nn.Module):
    """An increasing scalar function with `n_params` parameters a coordinate."""

    n_params: int

    def forward(self, z: Tensor, params: Tensor) -> tuple[Tensor, Tensor]:
        """z (..., d), params (..., d, n_params) -> x (..., d), log |dx/dz| (..., d)."""
        raise NotImplementedError(f"{type(self).__name__} must define forward(z, params).")

    def inverse(self, x: Tensor, params: Tensor) -> tuple[Tensor, Tensor]:
        """x (..., d), params (..., d, n_params) -> z (..., d), log |dz/dx| (..., d)."""
        raise NotImplementedError(f"{type(self).__name__} must define inverse(x, params).")


class Additive(Law):
    """Shift: volume is kept.

    Map: x = z + t. Log-derivative: 0. Invertible always: z = x − t.
    Paper: Dinh et al. (2015), NICE, section 3.2.

    >>> Additive()(torch.tensor([1.0]), torch.tensor([[2.0]]))
    (tensor([3.]), tensor([0.]))
    """

    n_params = 1

    def forward(self, z: Tensor, params: Tensor) -> tuple[Tensor, Tensor]:
        return z + params.squeeze(-1), torch.zeros_like(z)

    def inverse(self, x: Tensor, params: Tensor) -> tuple[Tensor, Tensor]:
        return x - params.squeeze(-1), torch.zeros_like(x)


class Affine(Law):
    """Stretch and shift, with a stretch between exp(−bound) and exp(bound).

    Map: x = exp(−s) z + t with s = bound · tanh(θ_s), smooth and never so large that one layer can overflow.
    Log-derivative: −s. Invertible always: z = (x − t) exp(s). The sign of s is free; with this one the direction that
    maximum likelihood runs in, x -> z, is the cheaper one.

    Args:
        bound: the largest |log stretch|, a positive number.

    Paper: Dinh et al. (2017), RealNVP, equation 7 and section 4.1 (tanh on the log-scale). Some lecture notes print the
    inverse of x = z ⊙ exp(s) + t as x − t ⊙ exp(−s); the brackets matter: (x − t) ⊙ exp(−s).

    >>> Affine()(torch.tensor([1.0]), torch.tensor([[0.0, 2.0]]))
    (tensor([3.]), tensor([-0.]))
    """

    n_params = 2

    def __init__(self, bound: float = 3.0):
        super().__init__()
        self.bound = check_above_zero("Affine", "bound", bound)

    def forward(self, z: Tensor, params: Tensor) -> tuple[Tensor, Tensor]:
        raw, shift = params.unbind(-1)
        log_scale = -self.bound * torch.tanh(raw)
        return z * log_scale.exp() + shift, log_scale

    def inverse(self, x: Tensor, params: Tensor) -> tuple[Tensor, Tensor]:
        raw, shift = params.unbind(-1)
        log_scale = self.bound * torch.tanh(raw)
        return (x - shift) * log_scale.exp(), log_scale

    def extra_repr(self) -> str:
        return f"bound={self.bound:g}"


class RationalQuadratic(Law):
    """A monotone spline through K + 1 knots, the identity outside the box [−bound, bound].

    Map: between two knots (x_k, y_k) and (x_{k+1}, y_{k+1}) with derivatives d_k and d_{k+1}, width w, height h,
    s = h / w and ξ = (z − x_k) / w:

        x = y_k + h (s ξ² + d_k ξ (1 − ξ)) / (s + (d_k + d_{k+1} − 2 s) ξ (1 − ξ)).

    Log-derivative: log of s² (d_{k+1} ξ² + 2 s ξ (1 − ξ) + d_k (1 − ξ)²) / (the denominator)².
    Invertible always: widths, heights and derivatives are positive, so each piece increases; the inverse is the root
    of a quadratic, in the form that does not cancel. At ±bound value and derivative meet those of the identity.

    Args:
        bins: K, 1 or more; a coordinate takes 3 K − 1 parameters (widths, heights, inner derivatives).
        bound: half the side of the box, a positive number.

    Paper: Durkan et al. (2019), Neural spline flows, section 3.1 and appendix A.

    >>> RationalQuadratic(bins=4)(torch.tensor([0.3, 9.0]), torch.zeros(2, 11))[0]
    tensor([0.3000, 9.0000])
    """

    floor = 1e-3  # least width and height, as a fraction of the box, and least derivative
    unit = math.log(math.expm1(1.0 - floor))  # floor + softplus(unit) = 1

    def __init__(self, bins: int = 8, bound: float = 5.0):
        super().__init__()
        self.bins = check_count("RationalQuadratic", "bins", bins)
        if bins * self.floor >= 1.0:
            raise ValueError(f"RationalQuadratic: bins must be below {1 / self.floor:.0f}; got {bins}.")
        self.bound = check_above_zero("RationalQuadratic", "bound", bound)
        self.n_params = 3 * bins - 1
        box = [self.bound, self.bound, 1.0]  # the corner of the box and the derivative there
        self.register_buffer("ends", torch.tensor([[-box[0], box[0]], [-box[1], box[1]], [1.0, 1.0]]), persistent=False)
        floors = 2.0 * self.bound * self.floor * torch.arange(1, bins) - self.bound
        self.register_buffer("least", floors, persistent=False)  # the inner knots if widths were all at the floor

    def knots(self, params: Tensor) -> Tensor:
        """x_k, y_k and d_k for k = 0, ..., K: params (..., d, 3 K − 1) -> (..., d, 3, K + 1)."""
        sides, slopes = params.split([2 * self.bins, self.bins - 1], -1)
        sides = sides.unflatten(-1, (2, self.bins))  # widths and heights in one pass, (..., d, 2, K)
        upto = (sides - sides.detach().amax(-1, keepdim=True)).exp().cumsum(-1)  # a softmax, summed up
        free = 2.0 * self.bound * (1.0 - self.bins * self.floor)
        # the inner knots, (..., d, 2, K − 1)
        points = torch.addcdiv(self.least, upto[..., :-1], upto[..., -1:], value=free)
        slopes = self.floor + softplus(slopes + self.unit)  # (..., d, K − 1)
        inner = torch.cat([points, slopes.unsqueeze(-2)], -2)
        first, last = self.ends.expand(*inner.shape[:-1], 2).split(1, -1)
        return torch.cat([first, inner, last], -1)

    def piece(self, value: Tensor, params: Tensor, side: int) -> tuple[Tensor, ...]:
        """The piece that each value lies in, by its x (side 0) or y (side 1), seen from its nearer end: x, y, d there,
        and x, y, d at the farther end, each (..., d). Mirrored pieces have the same form, and no digits are lost."""
        knots = self.knots(params)
        k = (value.unsqueeze(-1) >= knots[..., side, 1:-1]).sum(-1, keepdim=True)  # (..., d, 1)
        found = knots.gather(-1, torch.cat([k, k + 1], -1).unsqueeze(-2).expand(*k.shape[:-1], 3, 2))  # (..., d, 3, 2)
        low, high = found[..., side, :].unbind(-1)
        mirrored = (value - low > high - value)[..., None, None]
        near, far = torch.where(mirrored, found.flip(-1), found).unbind(-1)
        return *near.unbind(-1), *far.unbind(-1)

    def forward(self, z: Tensor, params: Tensor) -> tuple[Tensor, Tensor]:
        safe = z.clamp(-self.bound, self.bound)
        x_0, y_0, d_0, x_1, y_1, d_1 = self.piece(safe, params, 0)
        w, h = x_1 - x_0, y_1 - y_0
        s, t = h / w, (safe - x_0) / w
        bump = t * (1.0 - t)
        denominator = s + (d_0 + d_1 - 2.0 * s) * bump
        x = y_0 + h * (s * t.square() + d_0 * bump) / denominator
        return x + (z - safe), self.log_slope(t, bump, s, d_0, d_1, denominator)

    def inverse(self, x: Tensor, params: Tensor) -> tuple[Tensor, Tensor]:
        safe = x.clamp(-self.bound, self.bound)
        x_0, y_0, d_0, x_1, y_1, d_1 = self.piece(safe, params, 1)
        w, h, rise = x_1 - x_0, (y_1 - y_0).abs(), (safe - y_0).abs()
        s = h / w.abs()
        curvature = d_0 + d_1 - 2.0 * s
        b = h * d_0 - rise * curvature
        a = h * s - b  # a t² + b t − s rise = 0
        product = s * rise
        root = (b.square() + 4.0 * a * product).clamp_min(0.0).sqrt()
        b_positive = b >= 0
        t = torch.where(b_positive, 2.0 * product, root - b) / torch.where(b_positive, b + root, 2.0 * a)
        bump = t * (1.0 - t)
        denominator = s + curvature * bump
        return x_0 + w * t + (x - safe), -self.log_slope(t, bump, s, d_0, d_1, denominator)

    @staticmethod
    def log_slope(t: Tensor, bump: Tensor, s: Tensor, d_0: Tensor, d_1: Tensor, denominator: Tensor) -> Tensor:
        """log dx/dz at the fraction t of the way from the nearer end to the farther one."""
        slope = d_1 * t.square() + 2.0 * s * bump + d_0 * (1.0 - t).square()
        return ((s / denominator).square() * slope).log()

    def extra_repr(self) -> str:
        return f"bins={self.bins}, bound={self.bound:g}"
