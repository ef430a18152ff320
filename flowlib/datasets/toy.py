"""Densities on the plane, each with samples by seed, an exact log-density and its entropy.

>>> data = two_moons(noise=0.1)
>>> data.sample(1000, seed=0).shape, data.log_prob(torch.zeros(5, 2)).shape
(torch.Size([1000, 2]), torch.Size([5]))
>>> print(f"{data.entropy:.4f} nats, within {data.entropy_error:.0e}")
1.0076 nats, within 1e-06

Many are the sets that papers on flows have drawn since 2018, in their usual size, so that losses compare: the moons of
scikit-learn, and the sets of Grathwohl et al. (2019, FFJORD, figures 1 to 3). Points are independent of each other
here, also in which arm or mode they belong to, so that the entropy is the floor of the mean loss exactly.
"""

import math

import torch
from torch import Tensor

from flowlib.datasets.density import Density
from flowlib.datasets.pinwheel import Pinwheel
from flowlib.datasets.shapes import Cells, Chain, NoisyCircles, NoisyCurves, SmearedCurves, Spots
from flowlib.support.checks import check_above_zero, check_choice, check_count

# (name, noise) -> entropy in nats by quadrature, and a bound of its error. Those that are not here and have no closed
# form are integrated when first asked for.
ENTROPIES: dict[tuple[str, float], tuple[float, float]] = {
    ("one_moon", 0.1): (0.3162758, 1e-6),
    ("two_moons", 0.05): (0.2892338, 1e-6),
    ("two_moons", 0.1): (1.0075849, 1e-6),
    ("two_moons", 0.15): (1.4167944, 1e-6),
    ("two_moons", 0.2): (1.6774762, 1e-6),
    ("two_circles", 0.24): (3.2681357, 1e-6),
    ("rings", 0.08): (2.6231828, 1e-6),
    ("eight_gaussians", math.sqrt(0.125)): (2.8315783, 1e-6),
    ("grid_of_gaussians", 0.25): (3.2838649, 1e-6),
    ("diamond", 0.1): (2.6134698, 1e-6),
    ("cross", 0.3): (2.8393745, 1e-6),
    ("two_spirals", 0.1): (2.6454503, 1e-6),
    ("swiss_roll", 0.2): (2.6696462, 1e-6),
    ("pinwheel", 0.1): (2.3177877, 5e-6),
}


def _known(name: str, noise: float) -> tuple[float, float] | None:
    """The stored entropy, if there is one."""
    return ENTROPIES.get((name, noise))


def _circle(angle: Tensor, centre: tuple[float, float] = (0.0, 0.0), radius: float | Tensor = 1.0) -> Tensor:
    """Points (..., 2) at these angles (...)."""
    return torch.stack([centre[0] + radius * angle.cos(), centre[1] + radius * angle.sin()], -1)


def one_moon(noise: float = 0.1) -> Density:
    """The upper one of the two moons: x = (cos πt, sin πt) + noise · ε, t ~ U[0, 1].

    One piece, so that a flow can fit it without leaving a bridge. H = 0.3163 at noise 0.1, by quadrature.
    """
    noise = check_above_zero("one_moon", "noise", noise)
    arm = lambda t: _circle(math.pi * t)  # noqa: E731
    return NoisyCurves("one_moon", [arm], noise, window=2.0, known=_known("one_moon", noise))


def two_moons(noise: float = 0.1) -> Density:
    """x = (cos πt, sin πt) + noise · ε or (1 − cos πt, ½ − sin πt) + noise · ε, t ~ U[0, 1]: two half circles.

    The geometry of scikit-learn's `make_moons`, not standardized. H = 1.0076 at noise 0.1, by quadrature.
    """
    noise = check_above_zero("two_moons", "noise", noise)
    arms = [lambda t: _circle(math.pi * t), lambda t: _circle(math.pi * (1 + t), (1.0, 0.5))]
    return NoisyCurves("two_moons", arms, noise, window=2.5, known=_known("two_moons", noise))


def two_circles(noise: float = 0.24) -> Density:
    """x = R (cos a, sin a) + noise · ε, a uniform, R = 3 or 1.5. H by quadrature.

    FFJORD's size: scikit-learn's `make_circles` with factor 0.5 and noise 0.08, times 3.
    """
    noise = check_above_zero("two_circles", "noise", noise)
    return NoisyCircles("two_circles", [3.0, 1.5], noise, window=4.0, known=_known("two_circles", noise))


def rings(noise: float = 0.08) -> Density:
    """x = R (cos a, sin a) + noise · ε, a uniform, R = 3, 2.25, 1.5 or 0.75: four thin rings. H by quadrature.

    FFJORD's size.
    """
    noise = check_above_zero("rings", "noise", noise)
    return NoisyCircles("rings", [3.0, 2.25, 1.5, 0.75], noise, window=4.0, known=_known("rings", noise))


def eight_gaussians(noise: float = math.sqrt(0.125)) -> Density:
    """Eight Gaussians N(m_k, noise² I) with m_k on a circle of radius 4/√2. H = 2.8316, by quadrature.

    FFJORD's size: radius 4 and standard deviation 0.5, both divided by √2 (there 1.414, which adds 0.0003 to H).
    """
    noise = check_above_zero("eight_gaussians", "noise", noise)
    known = _known("eight_gaussians", noise)
    return Spots("eight_gaussians", _ring(8), noise, window=4.0, known=known, noise=noise)


def ring_of_gaussians(modes: int = 8, noise: float = 0.2) -> Density:
    """`modes` Gaussians N(m_k, noise² I) with m_k on a circle of radius 4/√2, here further apart than eight_gaussians.

    Where no two of them touch, as here, H = log modes + log(2πe · noise²): 1.6984 for eight at noise 0.2.
    """
    noise = check_above_zero("ring_of_gaussians", "noise", noise)
    modes = check_count("ring_of_gaussians", "modes", modes)
    return Spots("ring_of_gaussians", _ring(modes), noise, window=4.0, modes=modes, noise=noise)


def _ring(modes: int) -> Tensor:
    """Places on a circle of radius √8, evenly spread, (modes, 2) float64."""
    return _circle(torch.arange(modes, dtype=torch.float64) * (2 * math.pi / modes), radius=math.sqrt(8))


def grid_of_gaussians(noise: float = 0.25) -> Density:
    """Twenty-five Gaussians N(m, noise² I), m on the square grid {−4, −2, 0, 2, 4}². H by quadrature."""
    noise = check_above_zero("grid_of_gaussians", "noise", noise)
    side = torch.linspace(-4, 4, 5, dtype=torch.float64)
    options = {"window": 5.0, "known": _known("grid_of_gaussians", noise), "noise": noise}
    return Spots("grid_of_gaussians", torch.cartesian_prod(side, side), noise, **options)


def diamond(noise: float = 0.1) -> Density:
    """Eighty-one Gaussians N(m, noise² I), m on a 9 × 9 grid of spacing 0.6 that is turned by 45°. H by quadrature.

    Many small modes at a slant: hard for layers that treat one coordinate at a time.
    """
    noise = check_above_zero("diamond", "noise", noise)
    side = torch.linspace(-2.4, 2.4, 9, dtype=torch.float64)
    turn = math.sqrt(0.5) * torch.tensor([[1.0, 1.0], [-1.0, 1.0]], dtype=torch.float64)
    options = {"window": 4.0, "known": _known("diamond", noise), "noise": noise}
    return Spots("diamond", torch.cartesian_prod(side, side) @ turn, noise, **options)


def cross(noise: float = 0.3) -> Density:
    """Two long Gaussians across each other, along the diagonals: standard deviations 2 and noise. H by quadrature."""
    noise = check_above_zero("cross", "noise", noise)
    axes = math.sqrt(0.5) * torch.tensor([[[1.0, -1.0], [1.0, 1.0]], [[1.0, 1.0], [-1.0, 1.0]]], dtype=torch.float64)
    factors = axes * torch.tensor([2.0, noise], dtype=torch.float64)
    return Spots("cross", torch.zeros(2, 2), factors, window=5.0, known=_known("cross", noise), noise=noise)


def checkerboard() -> Density:
    """Uniform on the eight dark squares, of side 2, of a 4 × 4 board on [−4, 4]²: H = log 32 = 3.4657, exactly.

    FFJORD's size. The density jumps at every edge, and a smooth flow cannot.
    """
    corners = [[-4.0 + 2 * i, -4.0 + 2 * j] for i in range(4) for j in range(4) if (i + j) % 2 == 0]
    return Cells("checkerboard", torch.tensor(corners), 2.0, window=4.5)


def pinwheel(noise: float = 0.1) -> Density:
    """Five Gaussian arms, turned: x = 2 R(−2πk/5 − ¼ e^{f₁}) f, f ~ N((1, 0), diag(0.3², noise²)). H by quadrature.

    FFJORD's size (after Johnson et al. 2016, figure 1). The exact density sums over all f that reach x.
    """
    noise = check_above_zero("pinwheel", "noise", noise)
    return Pinwheel("pinwheel", 0.3, noise, noise=noise, window=4.0, known=_known("pinwheel", noise))


def two_spirals(noise: float = 0.1) -> Density:
    """x = ±((−n cos n, n sin n) + v) / 3 + noise · ε with n = 3π √t, t ~ U[0, 1], v uniform on [0, ½]².

    H by quadrature. FFJORD's size, also in the square noise v that comes with the Gaussian one.
    """
    noise = check_above_zero("two_spirals", "noise", noise)

    def arm(t: Tensor) -> Tensor:
        n = 3 * math.pi * t
        return torch.stack([0.25 - n * n.cos(), 0.25 + n * n.sin()], -1) / 3

    options = {"power": 2, "window": 4.5, "known": _known("two_spirals", noise)}
    return SmearedCurves("two_spirals", [arm, lambda t: -arm(t)], noise, side=1 / 6, **options)


def swiss_roll(noise: float = 0.2) -> Density:
    """x = (a cos a, a sin a) / 5 + noise · ε, a ~ U[3π/2, 9π/2]: a spiral of one and a half turns. H by quadrature.

    FFJORD's size: two of the three coordinates of scikit-learn's `make_swiss_roll` with noise 1, divided by 5.
    """
    noise = check_above_zero("swiss_roll", "noise", noise)

    def arm(t: Tensor) -> Tensor:
        a = 1.5 * math.pi * (1 + 2 * t)
        return _circle(a, radius=a / 5)

    return NoisyCurves("swiss_roll", [arm], noise, window=4.0, known=_known("swiss_roll", noise))


def banana(noise: float = 0.5) -> Density:
    """x₁ ~ N(0, 1), x₂ = x₁² − 1 + noise · ε. H = log(2πe · noise) = 2.1447, exactly: bending keeps areas."""
    noise = check_above_zero("banana", "noise", noise)
    s = math.log(noise)
    box = ((-8.0, 8.0), (-1 - 8 * noise, 63 + 8 * noise))
    mean, log_scale = (lambda a: a.square() - 1), (lambda a: torch.full_like(a, s))
    return Chain("banana", mean, log_scale, s, box=box, scale=min(noise, 1.0), window=4.0, noise=noise)


def funnel(noise: float = 0.5) -> Density:
    """x₁ ~ N(0, 1), x₂ = noise · e^{x₁} ε. H = log(2πe · noise) = 2.1447, exactly, since E x₁ = 0.

    After Neal (2003), Slice sampling, section 8, milder so that it fits a picture.
    """
    noise = check_above_zero("funnel", "noise", noise)
    s = math.log(noise)
    box = ((-8.0, 8.0), (-8000 * noise, 8000 * noise))  # too wide for a grid: its entropy has a closed form
    return Chain("funnel", torch.zeros_like, lambda a: a + s, s, box=box, scale=noise, window=4.0, noise=noise)


def sine_wave(noise: float = 0.25) -> Density:
    """x₁ ~ U[−4, 4], x₂ = 2 sin(πx₁/2) + noise · ε. H = log 8 + ½ log(2πe · noise²) = 2.1121, exactly."""
    noise = check_above_zero("sine_wave", "noise", noise)
    s = math.log(noise)
    box = ((-4.0, 4.0), (-2 - 8 * noise, 2 + 8 * noise))
    mean, log_scale = (lambda a: 2 * (0.5 * math.pi * a).sin()), (lambda a: torch.full_like(a, s))
    options = {"half_width": 4.0, "box": box, "scale": noise, "window": 4.5, "noise": noise}
    return Chain("sine_wave", mean, log_scale, s, **options)


_MAKERS = (
    one_moon, two_moons, two_circles, rings, eight_gaussians, grid_of_gaussians, diamond, cross, checkerboard,
    pinwheel, two_spirals, swiss_roll, banana, funnel, sine_wave,
)  # fmt: skip
NAMES: tuple[str, ...] = tuple(maker.__name__ for maker in _MAKERS)


def get(name: str) -> Density:
    """The density of that name with its usual noise; `NAMES` lists them."""
    return _MAKERS[NAMES.index(check_choice("toy.get", "name", name, NAMES))]()
