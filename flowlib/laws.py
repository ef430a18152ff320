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
from torch.nn.functional import logsigmoid, pad, softmax, softplus

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
    Invertible always: widths, heights and derivatives are positive, so each piece increases; the inverse is the root of a
    quadratic, in the form that does not cancel. At ±bound value and derivative meet those of the identity.

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

    def knots(self, params: Tensor) -> Tensor:
        """The knots: x_k, y_k and d_k for k = 0, ..., K: params (..., d, 3 K − 1) -> (..., d, 3, K + 1)."""
        sides, slopes = params[..., : 2 * self.bins], params[..., 2 * self.bins :]
        fractions = softmax(sides.unflatten(-1, (2, self.bins)), -1)  # widths and heights in one pass, (..., d, 2, K)
        fractions = self.floor + (1.0 - self.bins * self.floor) * fractions[..., :-1]
        inner = 2.0 * self.bound * fractions.cumsum(-1) - self.bound  # (..., d, 2, K − 1)
        points = pad(pad(inner, (1, 0), value=-self.bound), (0, 1), value=self.bound)
        slopes = pad(self.floor + softplus(slopes + self.unit), (1, 1), value=1.0)  # (..., d, K + 1)
        return torch.cat([points, slopes.unsqueeze(-2)], -2)

    def piece(self, value: Tensor, params: Tensor, side: int) -> tuple[Tensor, ...]:
        """The bin that each value lies in, by its x (side 0) or y (side 1): x_k, y_k, w, h, d_k, d_{k+1}, each (..., d)."""
        knots = self.knots(params)
        k = (value.unsqueeze(-1) >= knots[..., side, 1:-1]).sum(-1)  # (..., d)
        ends = torch.stack([k, k + 1], -1).unsqueeze(-2).expand(*k.shape, 3, 2)
        found = knots.gather(-1, ends)  # (..., d, 3, 2)
        low, high = found.unbind(-1)
        x, y, slope = low.unbind(-1)
        x_next, y_next, slope_next = high.unbind(-1)
        return x, y, x_next - x, y_next - y, slope, slope_next

    def forward(self, z: Tensor, params: Tensor) -> tuple[Tensor, Tensor]:
        inside = z.abs() < self.bound
        safe = torch.where(inside, z, 0.0)
        x_k, y_k, w, h, d, d_next = self.piece(safe, params, 0)
        s, xi = h / w, (safe - x_k) / w
        x, log_slope = self.curve(xi, y_k, h, s, d, d_next)
        return self.outside(z, inside, x, log_slope)

    def inverse(self, x: Tensor, params: Tensor) -> tuple[Tensor, Tensor]:
        inside = x.abs() < self.bound
        safe = torch.where(inside, x, 0.0)
        x_k, y_k, w, h, d, d_next = self.piece(safe, params, 1)
        # from the nearer end of the piece, at distance t w: the mirrored piece has the same form, and no digits are lost
        s, mirrored = h / w, safe - y_k > 0.5 * h
        rise = torch.where(mirrored, y_k + h - safe, safe - y_k)
        d, d_next = torch.where(mirrored, d_next, d), torch.where(mirrored, d, d_next)
        bend = rise * (d + d_next - 2.0 * s)
        a, b, c = h * (s - d) + bend, h * d - bend, -s * rise  # a t² + b t + c = 0
        root = (b.square() - 4.0 * a * c).clamp_min(0.0).sqrt()
        t = torch.where(b >= 0, 2.0 * c, root - b) / torch.where(b >= 0, -b - root, 2.0 * a)
        _, log_slope = self.curve(t, y_k, h, s, d, d_next)
        return self.outside(x, inside, x_k + torch.where(mirrored, w * (1.0 - t), w * t), -log_slope)

    @staticmethod
    def curve(xi: Tensor, y_k: Tensor, h: Tensor, s: Tensor, d: Tensor, d_next: Tensor) -> tuple[Tensor, Tensor]:
        """The rational quadratic at ξ in [0, 1] and the log of its derivative in z."""
        bump = xi * (1.0 - xi)
        denominator = s + (d + d_next - 2.0 * s) * bump
        x = y_k + h * (s * xi.square() + d * bump) / denominator
        slope = d_next * xi.square() + 2.0 * s * bump + d * (1.0 - xi).square()
        return x, 2.0 * (s / denominator).log() + slope.log()

    @staticmethod
    def outside(value: Tensor, inside: Tensor, moved: Tensor, log_slope: Tensor) -> tuple[Tensor, Tensor]:
        """The identity outside the box; nan is outside and stays nan."""
        return torch.where(inside, moved, value), torch.where(inside, log_slope, 0.0)

    def extra_repr(self) -> str:
        return f"bins={self.bins}, bound={self.bound:g}"
