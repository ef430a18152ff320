"""Simulators: programs that turn parameters into observations by chance, with a box of parameters to start from.

What a simulator is run for is its inverse, the posterior p(θ | x) ∝ p(x | θ) p(θ): which parameters may have led to
what was observed. The likelihood p(x | θ) is never asked for; where it is known, as for two moons, it is the judge.
"""

import math
from collections.abc import Sequence

import torch
from torch import Tensor

from flowlib.support.checks import check_count

EDGE = 1e-6  # of the box's side: no parameter is drawn nearer to the border, so that a logit stays finite


class Simulator:
    """A uniform prior over a box and a program that draws an observation. Subclasses write `run`.

    Args:
        names: of the D parameters.
        low, high: the box of the prior, D numbers each.
        observed: C, how many numbers one observation has.
    """

    def __init__(self, names: Sequence[str], low: Sequence[float], high: Sequence[float], observed: int):
        self.names, self.low, self.high, self.observed = tuple(names), tuple(low), tuple(high), observed

    def run(self, theta: Tensor, generator: torch.Generator) -> Tensor:
        """An observation for each row of parameters, θ (n, D) -> x (n, C)."""
        raise NotImplementedError(f"{type(self).__name__} must define run(theta, generator).")

    def prior(self, n: int, seed: int = 0) -> Tensor:
        """n parameters from the prior, (n, D) in float64."""
        return self._prior(check_count("prior", "n", n), torch.Generator().manual_seed(seed))

    def _prior(self, n: int, generator: torch.Generator) -> Tensor:
        low, high = torch.tensor([self.low, self.high], dtype=torch.float64)
        share = torch.rand(n, len(low), generator=generator, dtype=torch.float64)
        return low + (high - low) * share.clamp(EDGE, 1.0 - EDGE)

    def pairs(self, n: int, seed: int = 0) -> tuple[Tensor, Tensor]:
        """n parameters from the prior and an observation of each: θ (n, D) and x (n, C), in float32."""
        generator = torch.Generator().manual_seed(seed)
        theta = self._prior(check_count("pairs", "n", n), generator)
        return theta.float(), self.observe(theta, generator).float()

    def observe(self, theta: Tensor, generator: torch.Generator) -> Tensor:
        """`run`, and what came of it is looked at: x (n, C)."""
        x = self.run(theta, generator)
        if x.shape != (len(theta), self.observed):
            raise ValueError(
                f"{type(self).__name__}.run must return observations of shape {(len(theta), self.observed)}; got "
                f"{tuple(x.shape)}."
            )
        bad = (~x.isfinite().all(-1)).nonzero().flatten()
        if len(bad):
            values = ", ".join(f"{name} = {v:.4g}" for name, v in zip(self.names, theta[bad[0]].tolist(), strict=True))
            raise ValueError(
                f"{type(self).__name__}.run returned nan or inf for {len(bad)} of {len(theta)} parameters, first for "
                f"{values}. Left out, they would be missing from the posterior as if they were impossible: return a "
                "number that says that the run failed, or make the box smaller."
            )
        return x


class TwoMoons(Simulator):
    """Two crescents in the space of parameters: a benchmark of simulation-based inference.

    r ~ N(0.1, 0.01²) and α uniform on (−π/2, π/2) give a point p = (r cos α + 0.25, r sin α) of a half-moon, and

        x = p + (−|θ₁ + θ₂|, −θ₁ + θ₂) / √2,   θ uniform on [−1, 1]².

    Both signs of θ₁ + θ₂ explain an observation, so the posterior has two parts; each is as thin as r varies.

    Paper: Greenberg et al. (2019), arXiv 1905.07488, appendix 1.1; Lueckmann et al. (2021), arXiv 2101.04653, T.8.

    >>> theta, x = TwoMoons().pairs(5)
    >>> theta.shape, x.shape
    (torch.Size([5, 2]), torch.Size([5, 2]))
    """

    def __init__(self) -> None:
        super().__init__(("θ₁", "θ₂"), (-1.0, -1.0), (1.0, 1.0), 2)

    def moon(self, n: int, generator: torch.Generator) -> Tensor:
        """n points p of the half-moon, (n, 2)."""
        alpha = math.pi * (torch.rand(n, generator=generator, dtype=torch.float64) - 0.5)
        r = 0.1 + 0.01 * torch.randn(n, generator=generator, dtype=torch.float64)
        return torch.stack([r * alpha.cos() + 0.25, r * alpha.sin()], -1)

    def run(self, theta: Tensor, generator: torch.Generator) -> Tensor:
        along, across = theta.sum(-1), theta[:, 1] - theta[:, 0]
        return self.moon(len(theta), generator) + torch.stack([-along.abs(), across], -1) / math.sqrt(2.0)

    def log_likelihood(self, x: Tensor, theta: Tensor) -> Tensor:
        """log p(x | θ) in nats: (..., 2) and (..., 2) -> (...). p has the density N(r; 0.1, 0.01²) / (π r)."""
        along, across = theta.sum(-1).abs() / math.sqrt(2.0), (theta[..., 1] - theta[..., 0]) / math.sqrt(2.0)
        right, up = x[..., 0] + along - 0.25, x[..., 1] - across  # p, seen from the middle of the half-moon
        r = torch.hypot(right, up)
        log_p = -0.5 * ((r - 0.1) / 0.01).square() - math.log(0.01 * math.sqrt(2.0 * math.pi)) - (math.pi * r).log()
        return torch.where(right > 0, log_p, -math.inf)

    def posterior(self, x: Tensor, n: int, seed: int = 0) -> Tensor:
        """n exact samples of p(θ | x), (n, 2) in float64, for one observation x (2,).

        θ -> (|θ₁ + θ₂|, θ₂ − θ₁) / √2 is a rotation on each side of θ₁ + θ₂ = 0 and keeps area. So p is drawn from its
        own law, (|θ₁ + θ₂|, θ₂ − θ₁) / √2 = (p₁ − x₁, x₂ − p₂), either sign is as probable, and what is impossible
        (p₁ < x₁, or outside of the box) is thrown away.

        Raises:
            ValueError: no parameter of the box explains x.
        """
        generator, found, tries = torch.Generator().manual_seed(seed), [], 0
        x = torch.as_tensor(x, dtype=torch.float64)
        while sum(map(len, found)) < n:
            p = self.moon(4 * n + 1000, generator)
            sign = 2.0 * (torch.rand(len(p), generator=generator, dtype=torch.float64) < 0.5) - 1.0
            along, across = p[:, 0] - x[0], x[1] - p[:, 1]
            theta = torch.stack([sign * along - across, sign * along + across], -1) / math.sqrt(2.0)
            found.append(theta[(along >= 0) & (theta.abs() <= 1).all(-1)])
            tries += 1
            if tries == 20 and not sum(map(len, found)):
                raise ValueError(f"TwoMoons.posterior: no θ in the box [−1, 1]² explains x = {x.tolist()}.")
        return torch.cat(found)[:n]


class Pendulum(Simulator):
    """A damped pendulum whose angle is read eight times, with errors: which length and which friction has it?

        φ″ = −(9.81 / length) sin φ − friction · φ′,   φ(0) = 1.5 rad, φ′(0) = 0,   x_k = φ(k / 2 s) + 0.1 rad · noise

    for k = 1 to 8; the length is in metres, the friction in 1/s. At 1.5 rad the swing is far from a sine.

    >>> Pendulum().pairs(3)[1].shape
    torch.Size([3, 8])
    """

    STEPS, EVERY, NOISE = 200, 0.5, 0.1  # steps of the solver in all; seconds between two readings; rad

    def __init__(self) -> None:
        super().__init__(("length", "friction"), (0.3, 0.0), (3.0, 1.0), 8)

    def angles(self, theta: Tensor) -> Tensor:
        """The eight true angles, θ (n, 2) -> (n, 8) rad."""
        gap = self.STEPS // 8
        return self.swing(theta)[:, gap - 1 :: gap]

    def swing(self, theta: Tensor) -> Tensor:
        """The angle after each step of the Runge-Kutta method of fourth order, θ (n, 2) -> (n, STEPS) rad."""
        pull, friction = 9.81 / theta[:, 0], theta[:, 1]

        def rate(state: Tensor) -> Tensor:
            angle, speed = state
            return torch.stack([speed, -pull * angle.sin() - friction * speed])

        state = torch.stack([torch.full_like(pull, 1.5), torch.zeros_like(pull)])  # (2, n)
        h, angles = 8 * self.EVERY / self.STEPS, []
        for _ in range(self.STEPS):
            k1 = rate(state)
            k2 = rate(state + 0.5 * h * k1)
            k3 = rate(state + 0.5 * h * k2)
            state = state + h / 6 * (k1 + 2 * k2 + 2 * k3 + rate(state + h * k3))
            angles.append(state[0])
        return torch.stack(angles, -1)

    def run(self, theta: Tensor, generator: torch.Generator) -> Tensor:
        angles = self.angles(theta)
        return angles + self.NOISE * torch.randn(angles.shape, generator=generator, dtype=angles.dtype)
