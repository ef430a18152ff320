"""Laws: scalar bijections x = g(z; θ) whose parameters θ a network supplies.

A coupling or an autoregressive layer decides *which* coordinates move and *what they look at*; a law decides *how*
a coordinate moves. A law knows its number of parameters per coordinate and works elementwise:

    forward(z, θ) -> (x, log |dx/dz|)       z, x and the logarithm (..., d), θ (..., d, n_params)
    inverse(x, θ) -> (z, log |dz/dx|)

At θ = 0 every law is the identity, so a network whose last layer starts at zero starts as the identity.
"""

import torch
from torch import Tensor, nn
from torch.nn.functional import elu, linear

from flowlib.support.checks import check_above_zero, check_count


class Law(nn.Module):
    """An increasing scalar function with `n_params` parameters a coordinate."""

    n_params: int

    def forward(self, z: Tensor, params: Tensor) -> tuple[Tensor, Tensor]:
        """z (..., d), params (..., d, n_params) -> x (..., d), log |dx/dz| (..., d)."""
        raise NotImplementedError(f"{type(self).__name__} must define forward(z, params).")

    def inverse(self, x: Tensor, params: Tensor) -> tuple[Tensor, Tensor]:
        """x (..., d), params (..., d, n_params) -> z (..., d), log |dz/dx| (..., d)."""
        raise NotImplementedError(f"{type(self).__name__} must define inverse(x, params).")

    def describe(self) -> str:
        """One line for reports."""
        sizes = self.extra_repr()
        return f"{type(self).__name__}({sizes})" if sizes else type(self).__name__


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

    Map: x = exp(s) z + t with s = bound · tanh(θ_s), smooth and never so large that one layer can overflow.
    Log-derivative: s. Invertible always: z = (x − t) exp(−s).

    Args:
        bound: the largest |log stretch|, a positive number.

    Paper: Dinh et al. (2017), RealNVP, equation 7 and section 4.1 (tanh on the log-scale). Some lecture notes print the
    inverse of x = z ⊙ exp(s) + t as x − t ⊙ exp(−s); the brackets matter: (x − t) ⊙ exp(−s).

    >>> Affine()(torch.tensor([1.0]), torch.tensor([[0.0, 2.0]]))
    (tensor([3.]), tensor([0.]))
    """

    n_params = 2

    def __init__(self, bound: float = 3.0):
        super().__init__()
        self.bound = check_above_zero("Affine", "bound", bound)

    def forward(self, z: Tensor, params: Tensor) -> tuple[Tensor, Tensor]:
        raw, shift = params.unbind(-1)
        log_scale = self.bound * torch.tanh(raw)
        return z * log_scale.exp() + shift, log_scale

    def inverse(self, x: Tensor, params: Tensor) -> tuple[Tensor, Tensor]:
        raw, shift = params.unbind(-1)
        log_stretch = -self.bound * torch.tanh(raw)  # of x -> z
        return (x - shift) * log_stretch.exp(), log_stretch

    def extra_repr(self) -> str:
        return f"bound={self.bound:g}"


class RationalQuadratic(Law):
    """A monotone spline through K + 1 knots, the identity outside the box [−bound, bound].

    Map: between two knots (z_k, x_k) and (z_{k+1}, x_{k+1}) with derivatives d_k and d_{k+1}, width w, height h,
    s = h / w and ξ = (z − z_k) / w:

        x = x_k + h (s ξ² + d_k ξ (1 − ξ)) / (s + (d_{k+1} + d_k − 2 s) ξ (1 − ξ)).

    Log-derivative: log of s² (d_{k+1} ξ² + 2 s ξ (1 − ξ) + d_k (1 − ξ)²) / (the denominator)².
    Invertible always: widths, heights and derivatives are positive, so each piece increases; the inverse is the root
    of a quadratic, in the form that does not cancel. At ±bound value and derivative meet those of the identity.

    Args:
        bins: K, 1 or more; a coordinate takes 3 K − 1 parameters (widths, heights, inner derivatives; see `Knots`).
        bound: half the side of the box, a positive number.

    Paper: Durkan et al. (2019, arXiv 1906.04032), Neural spline flows, section 3.1 (equations 4 and 5, the inverse by 6
    to 8).

    >>> RationalQuadratic(bins=4)(torch.tensor([0.3, 9.0]), torch.zeros(2, 11))[0]
    tensor([0.3000, 9.0000])
    """

    floor = 1e-3  # least width and height, as a fraction of the box, and least derivative

    def __init__(self, bins: int = 8, bound: float = 5.0):
        super().__init__()
        self.bins = check_count("RationalQuadratic", "bins", bins)
        if bins * self.floor >= 1.0:
            raise ValueError(f"RationalQuadratic: bins must be below {1 / self.floor:.0f}; got {bins}.")
        self.bound = check_above_zero("RationalQuadratic", "bound", bound)
        self.n_params = 3 * bins - 1
        self.unit_knots = Knots(bins, self.floor)  # in the unit box

    def forward(self, z: Tensor, params: Tensor) -> tuple[Tensor, Tensor]:
        inside = z.clamp(-self.bound, self.bound)
        value = self.to_unit(inside)
        (z_k, x_k, d_k), (z_next, x_next, d_next) = (knot.unbind(-1) for knot in self.unit_knots.bin(value, params, 0))
        w, h = z_next - z_k, x_next - x_k
        s, xi = h / w, ((value - z_k) / w).clamp(0.0, 1.0)
        bump, denominator = self.denominator(xi, s, d_k, d_next)
        x = x_k + h * (s * xi.square() + d_k * bump) / denominator
        return self.from_unit(x) + (z - inside), self.log_slope(xi, s, d_k, d_next, bump, denominator)

    def inverse(self, x: Tensor, params: Tensor) -> tuple[Tensor, Tensor]:
        inside = x.clamp(-self.bound, self.bound)
        value = self.to_unit(inside)
        low, high = self.unit_knots.bin(value, params, 1)
        # from the nearer knot (from the right one w and h are below zero) the form is the same, and no digits are lost
        mirrored = (value - low[..., 1] > high[..., 1] - value).unsqueeze(-1)
        near, far = torch.where(mirrored, high, low), torch.where(mirrored, low, high)
        (z_k, x_k, d_k), (z_next, x_next, d_next) = near.unbind(-1), far.unbind(-1)
        w, h = z_next - z_k, x_next - x_k
        s, up = h / w, (value - x_k).abs()
        b = h.abs() * d_k - up * torch.sub(d_next + d_k, s, alpha=2.0)
        a, c = h.abs() * s - b, s * up  # a ξ² + b ξ − c = 0
        root = torch.addcmul(b.square(), a, c, value=4.0).clamp_min(0.0).sqrt()
        positive = b >= 0
        xi = torch.where(positive, 2.0 * c, root - b) / torch.where(positive, b + root, 2.0 * a)
        log_slope = self.log_slope(xi, s, d_k, d_next, *self.denominator(xi, s, d_k, d_next))
        return self.from_unit(z_k + w * xi) + (x - inside), -log_slope

    @staticmethod
    def denominator(xi: Tensor, s: Tensor, d_k: Tensor, d_next: Tensor) -> tuple[Tensor, Tensor]:
        """ξ (1 − ξ), and s + (d_{k+1} + d_k − 2 s) ξ (1 − ξ)."""
        bump = xi * (1.0 - xi)
        return bump, torch.addcmul(s, torch.sub(d_next + d_k, s, alpha=2.0), bump)

    @staticmethod
    def log_slope(xi: Tensor, s: Tensor, d_k: Tensor, d_next: Tensor, bump: Tensor, denominator: Tensor) -> Tensor:
        """log dx/dz = log [s² (d_{k+1} ξ² + 2 s ξ (1 − ξ) + d_k (1 − ξ)²) / denominator²]."""
        slope = torch.addcmul(d_next * xi.square(), s, bump, value=2.0) + d_k * (1.0 - xi).square()
        return ((s / denominator).square() * slope).log()

    def knots(self, params: Tensor) -> Tensor:
        """z_k, x_k and d_k for k = 0, ..., K: params (..., d, 3 K − 1) -> (..., d, 3, K + 1)."""
        table = self.unit_knots.table(params)
        places, slopes = (table / table[..., -1:]).split([2, 1], -2)
        return torch.cat([self.from_unit(places), slopes], -2)

    def through(self, z: Tensor, x: Tensor, slope: Tensor) -> Tensor:
        """Parameters of the spline through given inner knots, with dx/dz there: (..., K − 1) each, increasing and
        within the box -> (..., 3 K − 1). Where they lie nearer together than the floor allows, it passes close by."""
        return self.unit_knots.params(self.to_unit(z), self.to_unit(x), slope)

    def to_unit(self, value: Tensor) -> Tensor:
        """From the box [−bound, bound] to [0, 1]."""
        return value / (2.0 * self.bound) + 0.5

    def from_unit(self, value: Tensor) -> Tensor:
        """Back to the box."""
        return (value - 0.5) * (2.0 * self.bound)

    def extra_repr(self) -> str:
        return f"bins={self.bins}, bound={self.bound:g}"


class Knots(nn.Module):
    """From the free numbers of a network to the knots of a spline in the unit box, by one matrix product.

    A free number θ becomes a positive one, 1 + elu(θ): exp(θ) below zero, 1 + θ above, so it cannot overflow. Widths
    and heights are shares of such numbers, derivatives are such numbers. A knot is the sum of the sides before it, so
    before the division by their total all knots are linear in elu(θ). Durkan et al. use softmax and softplus.
    """

    def __init__(self, bins: int, floor: float):
        super().__init__()
        self.bins, self.floor = bins, floor
        # the floor gives each bin a part of the total, (K, K + 1)
        side = (1.0 - bins * floor) * torch.ones(bins, bins + 1).triu(1) + floor * torch.arange(bins + 1)
        slope = torch.eye(bins + 1)[1:-1]  # (K − 1, K + 1)
        self.register_buffer("weight", torch.block_diag(side, side, slope).T.contiguous(), persistent=False)
        self.register_buffer("bias", torch.cat([side.sum(0), side.sum(0), torch.ones(bins + 1)]), persistent=False)
        self.register_buffer("last", torch.tensor([bins]), persistent=False)

    def table(self, params: Tensor) -> Tensor:
        """Rows z_k, x_k, d_k for k = 0, ..., K, where z_0 = x_0 = 0, each row to be divided by its last entry:
        params (..., d, 3 K − 1) -> (..., d, 3, K + 1)."""
        return linear(elu(params, 1.0 - self.floor), self.weight, self.bias).unflatten(-1, (3, self.bins + 1))

    def params(self, z: Tensor, x: Tensor, slope: Tensor) -> Tensor:
        """The free numbers of given inner knots in the unit box, z, x and dx/dz (..., K − 1) -> (..., 3 K − 1)."""
        ends = torch.zeros_like(z[..., :1]), torch.ones_like(z[..., :1])
        sides = [torch.cat([ends[0], knots, ends[1]], -1).diff(dim=-1) for knots in (z, x)]  # (..., K) each
        shares = [(side - self.floor) / (1.0 / self.bins - self.floor) for side in sides]  # 1 in the mean
        positive = torch.cat([*shares, slope], -1).clamp_min(2.0 * self.floor)
        below = ((positive.clamp(max=1.0) - 1.0) / (1.0 - self.floor)).log1p()  # the inverse of elu
        return torch.where(positive > 1.0, positive - 1.0, below)

    def bin(self, value: Tensor, params: Tensor, row: int) -> tuple[Tensor, Tensor]:
        """The knots before and behind each value in [0, 1], found by their z (row 0) or x (row 1): value (..., d) ->
        z_k, x_k, d_k and z_{k+1}, x_{k+1}, d_{k+1}, two tensors (..., d, 3)."""
        table = self.table(params)
        inner, last = table[..., row, 1:].split([self.bins - 1, 1], -1)
        k = (value.unsqueeze(-1) * last >= inner).sum(-1, keepdim=True)  # (..., d, 1)
        columns = torch.cat([k, k + 1, self.last.expand_as(k)], -1).unsqueeze(-2)  # (..., d, 1, 3)
        found, last = table.gather(-1, columns.expand(*k.shape[:-1], 3, 3)).split([2, 1], -1)
        return (found / last).unbind(-1)
