"""The shapes that the toy densities are made of: spots, noisy curves and circles, cells, a coordinate given the other.

Each has an exact log-density. A curve blurred by noise is an integral over the curve's parameter t,

    p(x) = ∫ N(x; c(t), σ² I) w(t) dt,

and Gauss's rule on short pieces of the curve turns it into a mixture of a few hundred Gaussians. Where samples lie, and
around, log p(x) is right to 1e-10, because a piece is only a few σ long; tens of σ away from everything, where log p(x)
is below −1000, to one part in a thousand.
"""

import math
from collections.abc import Callable

import numpy as np
import torch
from torch import Tensor
from torch.special import i0e, log_ndtr

from flowlib.datasets.density import Box, Density, choice, normal, uniform

LOG_2PI = math.log(2.0 * math.pi)
Curve = Callable[[Tensor], Tensor]  # t (n,) -> points (n, 2)
REACH = 8.0  # standard deviations beyond which a Gaussian has less than 1e-14 of its mass


def around(points: Tensor, margin: float) -> Box:
    """The smallest rectangle that holds `points` (n, 2), wider by `margin` on each side."""
    low, high = points.amin(0) - margin, points.amax(0) + margin
    return (low[0].item(), high[0].item()), (low[1].item(), high[1].item())


class Spots(Density):
    """A mixture of K Gaussians: p(x) = Σ_k w_k N(x; m_k, A_k A_kᵀ).

    Each log N is a quadratic polynomial of x, so that all of them are one matrix product.

    Args:
        centres: m_k, (K, 2).
        factors: A_k, (K, 2, 2), or a number σ for A_k = σ I.
        weights: w_k, (K,), with sum 1; equal if not given (and only those can be sampled).
    """

    def __init__(self, name: str, centres: Tensor, factors: Tensor | float, weights: Tensor | None = None, **options):
        centres = centres.double()
        count = len(centres)
        if not isinstance(factors, Tensor):
            factors = factors * torch.eye(2, dtype=torch.float64).expand(count, 2, 2)
        self.centres, self.factors = centres, factors.double()
        weights = centres.new_full((count,), 1.0 / count) if weights is None else weights
        precision = torch.linalg.inv(self.factors @ self.factors.mT)  # P_k (K, 2, 2)
        linear = (precision @ centres.unsqueeze(-1)).squeeze(-1)  # P_k m_k (K, 2)
        constant = weights.log() - LOG_2PI - self.factors.det().abs().log() - 0.5 * (linear * centres).sum(-1)
        quadratic = -0.5 * torch.stack([precision[:, 0, 0], 2 * precision[:, 0, 1], precision[:, 1, 1]])
        self.coefficients = torch.cat([constant.unsqueeze(0), linear.T, quadratic])  # (6, K)
        widths = torch.linalg.svdvals(self.factors)
        options = {"box": around(centres, REACH * widths.max().item()), "scale": widths.min().item()} | options
        super().__init__(name, **options)

    def _log_prob(self, x: Tensor) -> Tensor:
        a, b = x.unbind(-1)
        monomials = torch.stack([torch.ones_like(a), a, b, a * a, a * b, b * b], -1)  # (n, 6)
        return torch.logsumexp(monomials @ self.coefficients.to(x), -1)  # (n, K) -> (n,)

    def _draw(self, n: int, generator: torch.Generator) -> Tensor:
        k = choice(n, len(self.centres), generator)
        noise = normal(n, generator).unsqueeze(-1)  # (n, 2, 1)
        return self.centres[k] + (self.factors[k] @ noise).squeeze(-1)


class NoisyCurves(Spots):
    """A point on one of several curves, plus Gaussian noise: x = c(t) + σ ε, t in [0, 1] with density k t^(k − 1).

    Args:
        arms: the curves c, each as likely as the others; they all run at the same speed.
        noise: σ.
        power: k; 1 is uniform.
    """

    def __init__(self, name: str, arms: list[Curve], noise: float, power: int = 1, **options):
        self.arms, self.noise, self.power = arms, noise, power
        t, weights = nodes(arms[0], PIECE * noise)
        weights = (weights * power * t ** (power - 1) / len(arms)).repeat(len(arms))
        self.log_weights = weights.log()
        super().__init__(name, torch.cat([arm(t) for arm in arms]), noise, weights, noise=noise, **options)

    def _draw(self, n: int, generator: torch.Generator) -> Tensor:
        t = uniform(n, generator) ** (1 / self.power)
        which = choice(n, len(self.arms), generator)
        points = torch.stack([arm(t) for arm in self.arms])  # (arms, n, 2)
        return points[which, torch.arange(n)] + self.noise * normal(n, generator)


class SmearedCurves(NoisyCurves):
    """As NoisyCurves, with uniform noise on a square on top of the Gaussian one.

    The blur is a product over the two coordinates of [Φ((d + side/2)/σ) − Φ((d − side/2)/σ)] / side, d = x_i − c_i(t).

    Args:
        side: of the square.
    """

    def __init__(self, name: str, arms: list[Curve], noise: float, side: float, **options):
        super().__init__(name, arms, noise, **options)
        self.side = side
        self.box = tuple((low - side / 2, high + side / 2) for low, high in self.box)

    def _log_prob(self, x: Tensor) -> Tensor:
        distance = (x.unsqueeze(-2) - self.centres.to(x)).abs()  # (n, K, 2)
        upper = log_ndtr((self.side / 2 - distance) / self.noise)
        lower = log_ndtr((-self.side / 2 - distance) / self.noise)
        blur = upper + torch.log1p(-(lower - upper).exp()) - math.log(self.side)  # log, safe in the tails
        return torch.logsumexp(blur.sum(-1) + self.log_weights.to(x), -1)

    def _draw(self, n: int, generator: torch.Generator) -> Tensor:
        square = torch.rand(n, 2, dtype=torch.float64, generator=generator) - 0.5
        return super()._draw(n, generator) + self.side * square


PIECE, ORDER = 6.0, 16  # length of a piece of curve in units of the noise, and the nodes of Gauss's rule on it


def nodes(curve: Curve, length: float) -> tuple[Tensor, Tensor]:
    """t and weights, ∫₀¹ f(t) dt ≈ Σ weight f(t): Gauss's rule on pieces of the curve of about this length."""
    t = np.linspace(0, 1, 1025)
    steps = curve(torch.from_numpy(t)).diff(dim=0).norm(dim=-1)
    travelled = np.concatenate([[0.0], steps.cumsum(0).numpy()])
    pieces = math.ceil(travelled[-1] / length)
    ends = torch.from_numpy(np.interp(np.linspace(0, travelled[-1], pieces + 1), travelled, t))  # (pieces + 1,)
    node, weight = (torch.from_numpy(array) for array in np.polynomial.legendre.leggauss(ORDER))  # on [−1, 1]
    half = 0.5 * ends.diff().unsqueeze(-1)  # (pieces, 1)
    return (ends[:-1].unsqueeze(-1) + half * (1 + node)).flatten(), (half * weight).flatten()


class NoisyCircles(Density):
    """A point on one of several circles about 0, plus Gaussian noise. Over the angle the integral has a closed form:

        p(x) = mean over R of exp(−(r² + R²) / 2σ²) I₀(r R / σ²) / (2π σ²),  r = ‖x‖,

    with the modified Bessel function I₀; `i0e` is I₀ without its growth, so nothing overflows.

    Args:
        radii: R of each circle, all as likely.
        noise: σ.
    """

    def __init__(self, name: str, radii: list[float], noise: float, **options):
        reach = max(radii) + REACH * noise
        super().__init__(name, ((-reach, reach), (-reach, reach)), noise, noise=noise, **options)
        self.radii, self.noise = torch.tensor(radii, dtype=torch.float64), noise

    def _log_prob(self, x: Tensor) -> Tensor:
        r, radii = x.norm(dim=-1, keepdim=True), self.radii.to(x)  # (n, 1), (K,)
        rings = -0.5 * ((r - radii) / self.noise).square() + i0e(r * radii / self.noise**2).log()  # (n, K)
        return torch.logsumexp(rings, -1) - LOG_2PI - 2 * math.log(self.noise) - math.log(len(radii))

    def _draw(self, n: int, generator: torch.Generator) -> Tensor:
        angle = 2 * math.pi * uniform(n, generator)
        radius = self.radii[choice(n, len(self.radii), generator)].unsqueeze(-1)
        return radius * torch.stack([angle.cos(), angle.sin()], -1) + self.noise * normal(n, generator)


class Cells(Density):
    """Uniform on K squares of side `side`: p = 1 / (K side²) inside, 0 outside. H = log(K side²), exactly.

    Args:
        corners: lower left corners of the squares, (K, 2).
        side: their side.
    """

    def __init__(self, name: str, corners: Tensor, side: float, **options):
        self.corners, self.side = corners.double(), side
        self.log_area = math.log(len(corners) * side**2)
        (left, right), (bottom, top) = around(self.corners, 0.0)
        box = ((left, right + side), (bottom, top + side))
        super().__init__(name, box, side, known=(self.log_area, 1e-12), **options)

    def _log_prob(self, x: Tensor) -> Tensor:
        place = x.unsqueeze(-2) - self.corners.to(x)  # (n, K, 2)
        inside = ((place >= 0) & (place < self.side)).all(-1).any(-1)
        value = 0.0 * x.clamp(-1, 1).sum(-1) - self.log_area  # nan stays nan, and the gradient is zero
        return torch.where(inside | value.isnan(), value, -math.inf)

    def _draw(self, n: int, generator: torch.Generator) -> Tensor:
        place = torch.rand(n, 2, dtype=torch.float64, generator=generator)
        return self.corners[choice(n, len(self.corners), generator)] + self.side * place


class Chain(Density):
    """One coordinate, then the other given it: x₁ ~ p₁, x₂ = m(x₁) + e^{s(x₁)} ε. An autoregressive flow of one layer.

    log p(x) = log p₁(x₁) + log N(x₂; m(x₁), e^{2s(x₁)}). H = H(p₁) + ½ log 2πe + E s(x₁), exactly.

    Args:
        mean, log_scale: m and s, elementwise functions.
        mean_log_scale: E s(x₁).
        half_width: p₁ is uniform on [−half_width, half_width]; N(0, 1) if not given.
    """

    def __init__(
        self,
        name: str,
        mean: Callable[[Tensor], Tensor],
        log_scale: Callable[[Tensor], Tensor],
        mean_log_scale: float,
        half_width: float | None = None,
        **options,
    ):
        self.mean, self.log_scale, self.half_width = mean, log_scale, half_width
        gaussian = 0.5 * (LOG_2PI + 1.0)  # entropy of N(0, 1)
        first = gaussian if half_width is None else math.log(2 * half_width)
        super().__init__(name, known=(first + gaussian + mean_log_scale, 1e-12), **options)

    def _log_prob(self, x: Tensor) -> Tensor:
        a, b = x.unbind(-1)
        if self.half_width is None:
            first = -0.5 * a.square() - 0.5 * LOG_2PI
        else:
            first = (0.0 * a - math.log(2 * self.half_width)).masked_fill(a.abs() > self.half_width, -math.inf)
        s = self.log_scale(a)
        return first - 0.5 * ((b - self.mean(a)) * (-s).exp()).square() - s - 0.5 * LOG_2PI

    def _draw(self, n: int, generator: torch.Generator) -> Tensor:
        a, noise = normal(n, generator).unbind(-1)
        if self.half_width is not None:
            a = self.half_width * (2 * uniform(n, generator) - 1)
        return torch.stack([a, self.mean(a) + self.log_scale(a).exp() * noise], -1)
