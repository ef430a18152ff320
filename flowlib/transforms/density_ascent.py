"""Density ascent: the data walk to a normal density by small maps, each the best of a few that were tried.

The oldest flow, and the one that gave the family its name. An elementary map y = x + β v(x) moves points a little. The
log-likelihood of the data under a standard normal behind it is a parabola in β, up to third order,

    L(β) = L(0) + β E[∇·v − x·v] − ½ β² E[‖v‖² + tr (∇v)²],

so the best β is a quotient of two means, and its gain is known before the step is taken.

Tabak and Vanden-Eijnden (2010), Density estimation by dual ascent of the log-likelihood, Communications in Mathematical
Sciences 8; Tabak and Turner (2013), A family of nonparametric density estimation algorithms, Communications on Pure and
Applied Mathematics 66.
"""

import math

import torch
from torch import Tensor

from flowlib.core import Transform
from flowlib.support.checks import check_choice, check_count
from flowlib.transforms.planar import SLOPE_FLOOR as RIDGE_FLOOR
from flowlib.transforms.planar import Planar
from flowlib.transforms.radial import ALPHA_FLOOR, SLOPE_FLOOR, Radial

TRIED = 64  # elementary maps among which a layer chooses
WEAKEST, STRONGEST = -0.5, 1.0  # β / α: the slope of a map at its centre stays between 1 / 2 and 2
NEAREST, FARTHEST = 0.02, 0.7  # a centre reaches out to between 2 % and 70 % of the data


class DensityAscent(Transform):
    """One elementary map near the identity, that pushes data towards a standard normal density.

    Map, from data to noise: z = x + β v(x), with v(x) = (x − x₀) / (α + ‖x − x₀‖) for "radial" and
    v(x) = ŵ tanh((ŵ·x − c) / α), ‖ŵ‖ = 1, for "ridge". From noise to data it is undone as in the radial flow (a
    formula) and in the planar flow (a scalar root).
    Log-determinant: that of the radial or planar flow. Invertible if β > −α, which both see to themselves.

    `learn` chooses: 64 maps are drawn, with centres among the data and α by the distance to some of them; for each, the
    best β and its gain follow from two means; the map with the greatest gain stays.

    Args:
        dim: D.
        kind: "radial" or "ridge".

    Paper: Tabak and Turner (2013), section 3 (f(r) = 1 / (α + r), centres, bandwidths); Tabak and Vanden-Eijnden
    (2010), sections 2 and 4 (the ascent).

    >>> x = torch.randn(500, 2) * torch.tensor([0.5, 1.0])
    >>> layer = DensityAscent(2)
    >>> layer.learn(x)
    >>> z, log_det = layer.inverse(x)
    >>> bool((0.5 * z.square().sum(-1) - log_det).mean() < 0.5 * x.square().sum(-1).mean())
    True
    """

    def __init__(self, dim: int, kind: str = "radial"):
        super().__init__([check_count("DensityAscent", "dim", dim)])
        radial = check_choice("DensityAscent", "kind", kind, ("radial", "ridge")) == "radial"
        self.push = Radial(dim, z0=0.0, beta=0.0) if radial else Planar(dim, u=0.0, w=1.0, b=0.0)
        self.kind_of_map, self.costs = kind, self.push.costs[::-1]

    def forward(self, z: Tensor, context: Tensor | None = None) -> tuple[Tensor, Tensor]:
        return self.push.inverse(z)

    def inverse(self, x: Tensor, context: Tensor | None = None) -> tuple[Tensor, Tensor]:
        return self.push(x)

    @torch.no_grad()
    def learn(self, x: Tensor, generator: torch.Generator | None = None) -> None:
        """Become the best of 64 elementary maps for points x (n, D)."""
        (self.learn_radial if self.kind_of_map == "radial" else self.learn_ridge)(x, generator)

    def learn_radial(self, x: Tensor, generator: torch.Generator | None) -> None:
        dim, centres = x.shape[-1], drawn_rows(x, generator)  # (M, D)
        r = torch.cdist(x, centres)  # (n, M)
        alpha = distances(r, generator)  # (M,)
        f = 1.0 / (alpha + r)
        along = alpha * f.square()  # the derivative of v along the ray, f + f' r; across it is f
        first = (dim - 1) * f + along - f * (x.square().sum(-1, keepdim=True) - x @ centres.T)
        second = (f * r).square() + (dim - 1) * f.square() + along.square()
        best, beta = best_step(first.mean(0), second.mean(0), alpha)
        limit = (1.0 - SLOPE_FLOOR) * alpha[best]
        self.push.z0.copy_(centres[best])
        self.push.raw_alpha.copy_((alpha[best] - ALPHA_FLOOR).expm1().log())
        self.push.beta.copy_(limit * inverse_elu(beta / limit))

    def learn_ridge(self, x: Tensor, generator: torch.Generator | None) -> None:
        dim, centres = x.shape[-1], drawn_rows(x, generator)  # (M, D)
        w = torch.randn(len(centres), dim, generator=generator, dtype=x.dtype).to(x.device)
        w = w / w.norm(dim=-1, keepdim=True)
        along = x @ w.T  # ŵ·x, (n, M)
        c = (centres * w).sum(-1)
        alpha = distances((along - c).abs(), generator)
        h = torch.tanh((along - c) / alpha)
        slope = (1.0 - h.square()) / alpha
        best, beta = best_step((slope - along * h).mean(0), (h.square() + slope.square()).mean(0), alpha)
        product = beta / alpha[best]  # w·û
        raw = (1.0 - RIDGE_FLOOR) * inverse_elu(product / (1.0 - RIDGE_FLOOR))
        self.push.w.copy_(w[best] / alpha[best])
        self.push.u.copy_(raw * alpha[best] * w[best])
        self.push.b.copy_(-c[best] / alpha[best])

    def extra_repr(self) -> str:
        return f"dim={self.event_shape[0]}, {self.kind_of_map}"


def drawn_rows(x: Tensor, generator: torch.Generator | None) -> Tensor:
    """Centres: half of them rows of x (n, D), half from a standard normal, where the data shall go: (M, D)."""
    rows = x[torch.randint(len(x), (TRIED // 2,), generator=generator).to(x.device)]
    noise = torch.randn(TRIED // 2, x.shape[-1], generator=generator, dtype=x.dtype)
    return torch.cat([rows, noise.to(x.device)])


def distances(r: Tensor, generator: torch.Generator | None) -> Tensor:
    """For each centre the distance within which a part of the points lies, a part drawn anew for each: r (n, M) ->
    (M,)."""
    low, high = math.log(NEAREST), math.log(FARTHEST)
    part = (low + (high - low) * torch.rand(r.shape[1], generator=generator)).exp()
    rank = (part * len(r)).long().clamp(1, len(r) - 1).to(r.device)
    return r.sort(0).values.gather(0, rank.unsqueeze(0)).squeeze(0).clamp_min(1e-3)


def best_step(first: Tensor, second: Tensor, alpha: Tensor) -> tuple[int, Tensor]:
    """Which parabola rises highest within the bounds of β / α, and its β: (M,) -> number, ()."""
    beta = torch.minimum(torch.maximum(first / second, WEAKEST * alpha), STRONGEST * alpha)
    best = int((beta * first - 0.5 * beta.square() * second).argmax())
    return best, beta[best]


def inverse_elu(value: Tensor) -> Tensor:
    """elu⁻¹: the identity above zero, log(1 + value) below."""
    return torch.where(value > 0, value, value.clamp(max=0.0).log1p())
