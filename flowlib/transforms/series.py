"""log |det (I + J)| without a determinant: J is the Jacobian of a map g that stretches by less than 1.

    log det (I + J) = tr log (I + J) = Σ_{k ≥ 1} (−1)^{k+1} tr(J^k) / k

What is left out after k terms is at most D c^{k+1} / ((k + 1) (1 − c)) where g stretches by at most c. Each term takes
one more product with J, which a network gives without ever forming J; a trace takes D of them, or, estimated, a few:
tr A = E[v·A v] for random signs v (Hutchinson). Cut at a random place and its terms weighted by one over the
probability of being reached, the series is right on average with finitely many terms (Russian roulette).

    Exact()                         the determinant, D tangents
    PowerSeries(terms, probes)      the first terms: biased
    Roulette(least, stop, probes)   unbiased, random

Papers: Behrmann et al. (2019), Invertible residual networks, section 3.2 and theorem 3, arXiv 1811.00995; Chen et al.
(2019), Residual flows, sections 3.1 and 3.2, arXiv 1906.02735.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Protocol

import torch
from torch import Tensor

from flowlib.support.checks import check_count

COLUMNS = 8  # of a Jacobian, at a time


class Network(Protocol):
    """g at one context, a function of z (nets/lipschitz.py)."""

    def __call__(self, z: Tensor) -> Tensor:
        """g(z), of the shape of z."""

    def push(self, z: Tensor) -> tuple[Tensor, Callable[[Tensor], Tensor]]:
        """g(z), and tangents t (n, ..., *event) -> J t."""


def jacobian(g: Network, z: Tensor, event_dims: int) -> tuple[Tensor, Tensor]:
    """g(z) (..., *event) and its Jacobian (..., D, D), with the D numbers of a point in a row."""
    value, along = g.push(z)
    columns = [along(basis).flatten(-event_dims) for basis in unit_tangents(z, event_dims).split(COLUMNS)]
    columns = columns[0] if len(columns) == 1 else torch.cat(columns)
    return value, columns.movedim(0, -1)


def unit_tangents(z: Tensor, event_dims: int) -> Tensor:
    """The D directions of a point, (D, 1, ..., 1, *event): the same ones for all points."""
    event = z.shape[z.dim() - event_dims :]
    eye = torch.eye(event.numel(), dtype=z.dtype, device=z.device)
    return eye.reshape(event.numel(), *(1 for _ in range(z.dim() - event_dims)), *event)


@dataclass(frozen=True)
class Exact:
    """log |det (I + J)| from the Jacobian: D tangents, and the determinant of D × D numbers, for each point.

    >>> Exact().settled
    True
    """

    settled = True  # the same answer each time

    def __call__(self, g: Network, z: Tensor, event_dims: int) -> tuple[Tensor, Tensor]:
        """g(z) (..., *event) and the log-determinant (...)."""
        value, j = jacobian(g, z, event_dims)
        if j.shape[-1] == 2:  # two times faster than any factorization
            a, b, c, d = j.flatten(-2).unbind(-1)
            return value, ((1.0 + a) * (1.0 + d) - b * c).abs().log()
        eye = torch.eye(j.shape[-1], dtype=j.dtype, device=j.device)
        return value, torch.linalg.slogdet(eye + j).logabsdet


@dataclass(frozen=True)
class PowerSeries:
    """The first terms of the series. Biased: with ‖J‖ = 1/2 in three dimensions, two terms miss 0.04 nats.

    Args:
        terms: k, how many.
        probes: random signs in the estimate of each trace; 0 for exact traces, D tangents for each term.
        saves_memory: the gradient tr((I − J + J² − ...) ∂J) is taken as it stands, from one product with J, in place of
            the gradient of each term: memory does not grow with the terms. Right to first order, not to second.

    Paper: Behrmann et al. (2019, arXiv 1811.00995), algorithm 2; Chen et al. (2019, arXiv 1906.02735), equation 8.

    >>> PowerSeries(terms=5).settled, PowerSeries(terms=5, probes=1).settled
    (True, False)
    """

    terms: int
    probes: int = 0
    saves_memory: bool = False

    def __post_init__(self) -> None:
        check_count("PowerSeries", "terms", self.terms)
        check_count("PowerSeries", "probes", self.probes, 0)

    @property
    def settled(self) -> bool:
        return self.probes == 0

    def __call__(self, g: Network, z: Tensor, event_dims: int) -> tuple[Tensor, Tensor]:
        """g(z) (..., *event) and the sum of the terms (...)."""
        return series(g, z, event_dims, [1.0] * self.terms, self.probes, self.saves_memory)


@dataclass(frozen=True)
class Roulette:
    """The whole series on average, cut at a random place: after the first terms, each one more with probability 1 − p.

    A term that is reached with probability P counts 1 / P times. The variance is finite for sure where the Lipschitz
    constant of g is below √(1 − p), and for most networks far beyond, because they stretch few directions by as much as
    their bound. One place is drawn for all points of a call.

    Args:
        least: terms that are always taken.
        stop: p.
        probes: random signs in the estimate of each trace; 0 for exact traces.
        saves_memory: as in `PowerSeries`.

    Paper: Chen et al. (2019, arXiv 1906.02735), theorem 1 and equation 8; p = 1/2 and two terms as in its section 5.

    >>> Roulette().settled
    False
    """

    settled = False

    least: int = 2
    stop: float = 0.5
    probes: int = 1
    saves_memory: bool = True

    def __post_init__(self) -> None:
        check_count("Roulette", "least", self.least, 0)
        check_count("Roulette", "probes", self.probes, 0)
        if not 0.0 < self.stop < 1.0:
            raise ValueError(f"Roulette: stop must be a probability above 0 and below 1; got {self.stop!r}.")

    def __call__(self, g: Network, z: Tensor, event_dims: int) -> tuple[Tensor, Tensor]:
        """g(z) (..., *event) and an estimate of the log-determinant (...)."""
        more = int(torch.empty(()).geometric_(self.stop).item()) - 1  # 0 with probability p, 1 with p (1 − p), ...
        weights = [1.0] * self.least + [(1.0 - self.stop) ** -k for k in range(1, more + 1)]
        return series(g, z, event_dims, weights, self.probes, self.saves_memory)


LogDet = Exact | PowerSeries | Roulette


def series(
    g: Network, z: Tensor, event_dims: int, weights: Sequence[float], probes: int, saves_memory: bool
) -> tuple[Tensor, Tensor]:
    """g(z) (..., *event) and Σ_k weight_k (−1)^{k+1} tr(J^k) / k (...), with exact or estimated traces."""
    axes = tuple(range(-event_dims, 0))
    if probes:
        v = torch.randint(0, 2, (probes, *z.shape), device=z.device).to(z.dtype) * 2.0 - 1.0
        share = 1.0 / probes
    else:
        v, share = unit_tangents(z, event_dims), 1.0

    def trace(u: Tensor) -> Tensor:
        """Σ v·u over the tangents, as a mean over probes: (n, ..., *event) -> (...)."""
        return share * (v * u).sum(axes).sum(0)

    value, along = g.push(z)
    total, u, w = z.new_zeros(z.shape[: z.dim() - event_dims]), v, torch.zeros_like(v)
    with torch.set_grad_enabled(torch.is_grad_enabled() and not saves_memory):
        for k, weight in enumerate(weights, 1):
            signed = weight if k % 2 else -weight
            w = w + signed * u if saves_memory else w  # (I − J + J² − ...) v
            u = along(u)
            total = total + signed / k * trace(u)
    if saves_memory and weights and torch.is_grad_enabled():
        slope = trace(along(w.detach()))  # its derivative is v·∂J w
        total = total.detach() + (slope - slope.detach())
    return value, total
