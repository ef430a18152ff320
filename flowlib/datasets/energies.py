"""The four energies U1 to U4 of Rezende and Mohamed: targets that are known up to a constant, p(z) = e^{−U(z)} / Z.

    U1(z) = ½ ((‖z‖ − 2) / 0.4)² − log(e^{−½ ((z₁ − 2) / 0.6)²} + e^{−½ ((z₁ + 2) / 0.6)²})
    U2(z) = ½ ((z₂ − w₁) / 0.4)² + wall
    U3(z) = −log(e^{−½ ((z₂ − w₁) / 0.35)²} + e^{−½ ((z₂ − w₁ + w₂) / 0.35)²}) + wall
    U4(z) = −log(e^{−½ ((z₂ − w₁) / 0.4)²} + e^{−½ ((z₂ − w₁ + w₃) / 0.35)²}) + wall
    w₁ = sin(2π z₁ / 4),   w₂ = 3 e^{−½ ((z₁ − 1) / 0.6)²},   w₃ = 3 sigmoid((z₁ − 1) / 0.3)
    wall = ½ ((|z₁| − 4)₊ / 0.2)²

The wall is ours. As printed, U2 to U4 are ridges without an end: ∫ e^{−U} over z₁ is infinite, so there is no density,
no log Z and no KL; the paper draws the part |z₁| ≤ 4. A box with hard sides would make the energy infinite outside,
and reverse KL, which asks for U at the samples of the flow, would then have no gradient that leads back. The wall is 0
on |z₁| ≤ 4, so the energies are the paper's there, and rises smoothly outside; 94 % of the mass is inside. As z₂ is a
Gaussian, or two, at every z₁, Z has a closed form: √(2π) times the sum of the widths times (8 + 0.2 √(2π)).

With Z known, the loss of a fit by reverse KL is a distance: KL(q ‖ p) = E_q[log q(z) + U(z)] + log Z.

Paper: Rezende and Mohamed (2015, arXiv 1505.05770), Variational inference with normalizing flows, table 1 and figure 3.

>>> u2(torch.zeros(5, 2)).shape, u2.log_prob(torch.zeros(5, 2)).shape
(torch.Size([5]), torch.Size([5]))
>>> print(f"{u2.log_z:.4f}")
2.1429
"""

import math
from collections.abc import Callable

import torch
from torch import Tensor

from flowlib.datasets.density import Box, Density, grid, uniform
from flowlib.support.checks import check_choice, check_event

SIDE, WALL = 4.0, 0.2  # the wall begins at |z₁| = SIDE and is a Gaussian of width WALL outside


class Energy(Density):
    """U: z (..., 2) -> (...), and the density p(z) = e^{−U(z)} / Z with its log Z, entropy and samples.

    Args:
        function: U.
        log_z, log_z_error: log ∫ e^{−U}, and a bound of its error.
        peak: a bound of e^{−U}, for sampling by rejection.
        Others as for Density.
    """

    def __init__(
        self,
        name: str,
        function: Callable[[Tensor], Tensor],
        log_z: tuple[float, float],
        known: tuple[float, float],
        box: Box,
        peak: float,
        window: float,
    ):
        super().__init__(name, box, scale=0.2, window=window, known=known)
        self.function, self.peak = function, peak
        self.log_z, self.log_z_error = log_z

    def __call__(self, z: Tensor) -> Tensor:
        """U(z) in nats: z (..., 2) -> (...)."""
        check_event(self.name, z, (self.dim,))
        return self.function(z)

    def log_prob(self, x: Tensor) -> Tensor:
        """log p(z) = −U(z) − log Z: z (..., 2) -> (...)."""
        return -self(x) - self.log_z

    def integrate_z(self, step: float) -> float:
        """log ∫ e^{−U} over the box, by the trapezoidal rule."""
        points, area = grid(self.box, step)
        return torch.logsumexp(-self(points), 0).item() + math.log(area)

    def _draw(self, n: int, generator: torch.Generator) -> Tensor:
        """Rejection: a uniform point of the box is kept with probability e^{−U} / peak."""
        low, high = torch.tensor(self.box, dtype=torch.float64).T
        kept = [torch.zeros(0, 2, dtype=torch.float64)]
        while sum(map(len, kept)) < n:
            place = torch.stack([uniform(4096, generator), uniform(4096, generator)], -1)
            points = low + (high - low) * place
            kept.append(points[uniform(4096, generator) * self.peak < (-self(points)).exp()])
        return torch.cat(kept)[:n]

    def __repr__(self) -> str:
        return f"{self.name}: log Z = {self.log_z:.4f}, entropy {self.entropy:.4f} nats"


def _half_square(value: Tensor, width: float) -> Tensor:
    return 0.5 * (value / width).square()


def _wall(z1: Tensor) -> Tensor:
    return _half_square((z1.abs() - SIDE).relu(), WALL)


def _w1(z1: Tensor) -> Tensor:
    return (2 * math.pi / 4 * z1).sin()


def _w2(z1: Tensor) -> Tensor:
    return 3 * (-_half_square(z1 - 1, 0.6)).exp()


def _w3(z1: Tensor) -> Tensor:
    return 3 * ((z1 - 1) / 0.3).sigmoid()


def _u1(z: Tensor) -> Tensor:
    z1 = z[..., 0]
    two = torch.logaddexp(-_half_square(z1 - 2, 0.6), -_half_square(z1 + 2, 0.6))
    return _half_square(z.norm(dim=-1) - 2, 0.4) - two


def _u2(z: Tensor) -> Tensor:
    z1, z2 = z.unbind(-1)
    return _half_square(z2 - _w1(z1), 0.4) + _wall(z1)


def _u3(z: Tensor) -> Tensor:
    z1, z2 = z.unbind(-1)
    above = z2 - _w1(z1)
    return _wall(z1) - torch.logaddexp(-_half_square(above, 0.35), -_half_square(above + _w2(z1), 0.35))


def _u4(z: Tensor) -> Tensor:
    z1, z2 = z.unbind(-1)
    above = z2 - _w1(z1)
    return _wall(z1) - torch.logaddexp(-_half_square(above, 0.4), -_half_square(above + _w3(z1), 0.35))


def _ridge(widths: float) -> tuple[float, float]:
    """log Z of ridges whose widths have this sum, between the walls; exact."""
    root = math.sqrt(2 * math.pi)
    return math.log(root * widths * (2 * SIDE + root * WALL)), 1e-12


_EDGE = SIDE + 8 * WALL
# second tuple: the entropy E U + log Z in nats by quadrature, and a bound of its error
u1 = Energy("u1", _u1, (1.8775016261, 1e-9), (2.6600125, 1e-6), ((-6.0, 6.0), (-6.0, 6.0)), peak=1.001, window=4.0)
u2 = Energy("u2", _u2, _ridge(0.4), (2.6723551, 1e-6), ((-_EDGE, _EDGE), (-4.5, 4.5)), peak=1.0, window=5.0)
u3 = Energy("u3", _u3, _ridge(0.7), (2.7064668, 1e-6), ((-_EDGE, _EDGE), (-6.5, 4.0)), peak=2.0, window=5.0)
u4 = Energy("u4", _u4, _ridge(0.75), (2.9037171, 1e-6), ((-_EDGE, _EDGE), (-7.5, 4.5)), peak=2.0, window=5.5)

_ENERGIES = {energy.name: energy for energy in (u1, u2, u3, u4)}
NAMES: tuple[str, ...] = tuple(_ENERGIES)


def get(name: str) -> Energy:
    """The energy of that name; `NAMES` lists them."""
    return _ENERGIES[check_choice("energies.get", "name", name, NAMES)]
