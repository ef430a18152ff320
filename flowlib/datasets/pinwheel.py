"""The pinwheel: five Gaussian arms, each point turned by an angle that grows with its distance along the arm."""

import math

import torch
from torch import Tensor

from flowlib.datasets.density import Density, choice, grid, normal
from flowlib.support.roots import bisect, monotone_root

LOG_2PI = math.log(2.0 * math.pi)


class Pinwheel(Density):
    """f ~ N((1, 0), diag(0.3², 0.1²)), arm k uniform among five, x = 2 R(−2πk/5 − g(f₁)) f, where g(a) = ¼ e^a.

    A change of variables in polar coordinates. Turning keeps the radius r = ‖x‖ / 2 and moves the angle φ of f to

        θ = φ − g(r cos φ) − 2πk/5,   dθ/dφ = 1 + g'(f₁) f₂,

    so p(x) = Σ over (k, φ) that reach θ of p_f(r cos φ, r sin φ) / (5 · 4 · |1 + g'(f₁) f₂|). All arms at once:
    φ − g(r cos φ) = θ up to multiples of 2π/5. For r < 1.2 the left side grows with φ; beyond, it falls on one
    interval (the map folds there, rarely), so there are up to three monotone pieces, and a root finder on each
    finds every solution. g stops growing at f₁ = 3, nearly seven standard deviations out, so that the number
    of solutions stays small however far x is.

    Args:
        radial, tangential: the standard deviations along and across an arm.
    """

    arms = 5
    rate = 0.25
    limit = 3.0  # of f₁, beyond which g is constant
    size = 2.0

    def __init__(self, name: str, radial: float, tangential: float, **options):
        self.deviation = torch.tensor([radial, tangential], dtype=torch.float64)
        reach = 8 * max(radial, tangential)
        self.latent_box = ((1 - 8 * radial, 1 + 8 * radial), (-8 * tangential, 8 * tangential))
        outer = self.size * (1 + reach)
        box = ((-outer, outer), (-outer, outer))
        super().__init__(name, box, min(radial, tangential), **options)

    def turn(self, f1: Tensor) -> Tensor:
        """g(f₁), the angle by which a point is turned."""
        return self.rate * f1.clamp(max=self.limit).exp()

    def slope(self, f1: Tensor, f2: Tensor) -> Tensor:
        """dθ/dφ = 1 + g'(f₁) f₂."""
        return 1 + torch.where(f1 < self.limit, self.turn(f1), 0.0) * f2

    def _draw(self, n: int, generator: torch.Generator) -> Tensor:
        arm = choice(n, self.arms, generator)
        f = self.deviation * normal(n, generator) + torch.tensor([1.0, 0.0])
        return self.place(f, arm)

    def place(self, f: Tensor, arm: Tensor | int) -> Tensor:
        """x = 2 R(−2πk/5 − g(f₁)) f: f (n, 2), k (n,) -> (n, 2)."""
        f1, f2 = f.unbind(-1)
        angle = 2 * math.pi / self.arms * arm + self.turn(f1)
        c, s = angle.cos(), angle.sin()
        return self.size * torch.stack([c * f1 + s * f2, c * f2 - s * f1], -1)

    def _log_prob(self, x: Tensor) -> Tensor:
        r, theta = x.norm(dim=-1) / self.size, torch.atan2(x[:, 1], x[:, 0])
        row, phi = self.solve(r, theta)
        f1, f2 = r[row] * phi.cos(), r[row] * phi.sin()
        standard = torch.stack([f1 - 1, f2], -1) / self.deviation.to(x)
        terms = -0.5 * standard.square().sum(-1) - self.slope(f1, f2).abs().log()  # one for each f that reaches x
        top = x.new_full((len(x),), -math.inf).scatter_reduce(0, row, terms.detach(), "amax")
        total = torch.zeros_like(top).index_add(0, row, (terms - top[row]).exp())
        value = top + total.log() - LOG_2PI - self.deviation.log().sum().item() - math.log(self.arms * self.size**2)
        return torch.where(x.isnan().any(-1), math.nan, value)

    def solve(self, r: Tensor, theta: Tensor) -> tuple[Tensor, Tensor]:
        """Every φ with φ − g(r cos φ) = θ up to 2π/5, in one turn of φ: row and φ, each (number of solutions,)."""
        with torch.no_grad():
            ends = self.pieces(r)  # (4, n)
            values = ends - self.turn(r * ends.cos())
            low, high = values[:-1].minimum(values[1:]), values[:-1].maximum(values[1:])  # (3, n)
            period = 2 * math.pi / self.arms
            first = ((low - theta) / period).ceil()  # θ + first · period is the first value in the piece
            count = (((high - theta) / period).ceil() - first).nan_to_num(0).long()  # low ≤ value < high
            piece, row = count.nonzero(as_tuple=True)
            repeat = count[piece, row]
            step = torch.arange(repeat.sum()).to(row) - (repeat.cumsum(0) - repeat).repeat_interleave(repeat)
            piece, row = piece.repeat_interleave(repeat), row.repeat_interleave(repeat)
            offset = period * (first[piece, row] + step)
            sign = (values[piece + 1, row] - values[piece, row]).sign()  # −1 where it falls
        radius = r[row]

        def angle(phi: Tensor) -> tuple[Tensor, Tensor]:
            f1, f2 = radius * phi.cos(), radius * phi.sin()
            return sign * (phi - self.turn(f1)), sign * self.slope(f1, f2)

        return row, monotone_root(angle, sign * (theta[row] + offset), ends[piece, row], ends[piece + 1, row])

    def pieces(self, r: Tensor) -> Tensor:
        """Ends (4, n) of three intervals that make one turn, on each of which φ − g(r cos φ) is monotone.

        It falls where h(φ) = e^{r cos φ} r sin φ < −4 and f₁ < 3. On (−π, 0) h has one minimum, where
        r sin² φ = cos φ; the two ends are found on each side of it, and are both there if h stays above −4.
        """
        cosine = 2 * r / (1 + (1 + 4 * r.square()).sqrt())  # the root c of r (1 − c²) = c
        bottom = -cosine.clamp(max=1).acos()
        level = torch.full_like(r, 1 / self.rate)
        h = lambda phi: (r * phi.cos()).exp() * r * phi.sin()  # noqa: E731
        left = bisect(lambda phi: (-h(phi), None), level, torch.full_like(r, -math.pi), bottom)
        right = bisect(lambda phi: (h(phi), None), -level, bottom, torch.zeros_like(r))
        limit = -(self.limit / r).clamp(max=1).acos()  # beyond it f₁ > 3, and nothing falls
        right = torch.where(r > self.limit, right.minimum(limit).maximum(left), right)
        start = torch.full_like(r, -math.pi)
        return torch.stack([start, left, right, start + 2 * math.pi])

    def integrate(self, step: float) -> tuple[float, float]:
        """H = −E log p(x(f)) over f, where the density of f is a smooth Gaussian (the five arms are alike)."""
        f, area = grid(self.latent_box, step)
        standard = (f - f.new_tensor([1.0, 0.0])) / self.deviation
        weight = (-0.5 * standard.square().sum(-1) - LOG_2PI).exp() * area / self.deviation.prod()
        return -(weight * self.log_prob(self.place(f, 0))).sum().item(), weight.sum().item()
