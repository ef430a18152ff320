"""Annealed importance sampling: the likelihood of a model with codes, without asking its encoder."""

import math

import torch
from torch import Tensor

from flowlib.models import VAE
from flowlib.support.checks import check_count
from flowlib.training.seeds import seeded

ACCEPTED, ADAPT = 0.65, 1.02  # share of moves that should be accepted; factor of a step's length after each
FIRST_STEP = 0.1  # length of the first one


def ais(vae: VAE, x: Tensor, steps: int = 200, chains: int = 16, leaps: int = 8, seed: int = 0) -> Tensor:
    """log p(x) of each row, estimated by chains of codes that move slowly from the prior to the posterior: (n,).

    From z_0 ~ p(z), for β from 0 to 1 in small steps, weigh a chain by what the step changes and move it a little:

        log w = Σ_k (β_k − β_{k−1}) log p(x | z_{k−1}),   z_k ~ a move that keeps p(z) p(x | z)^{β_k},   E w = p(x)

    The move is Hamiltonian: `leaps` leapfrog steps and an acceptance. The mean of w is free of bias, so the mean of
    its logarithm is a lower bound of log p(x), tight with many steps. The length of a step follows the chain's own
    acceptance, which costs a little of that exactness.

    Args:
        vae: the model, in eval mode.
        x: pictures or points as rows, (n, size).
        steps: how many β there are after 0.
        chains: for each row.
        leaps: leapfrog steps of a move.
        seed: of codes and moves.

    Paper: Neal (2001), Annealed importance sampling; Wu et al. (2017), arXiv 1611.04273.

    >>> ais(VAE(3, dim=2).eval(), torch.zeros(5, 3), steps=4, chains=2).shape
    torch.Size([5])
    """
    for name, value in (("steps", steps), ("chains", chains), ("leaps", leaps)):
        check_count("ais", name, value)
    x = vae.check(x)
    with seeded(seed, x.device), torch.no_grad():
        shape = (chains, len(x), vae.dim)
        z = vae.prior.sample(chains * len(x)).reshape(shape)
        length = z.new_full((*shape[:-1], 1), FIRST_STEP)
        log_w, before = z.new_zeros(shape[:-1]), 0.0
        for k in range(1, steps + 1):
            beta = at(k / steps)
            log_w += (beta - before) * vae.log_likelihood(x, z)
            z, length = moved(vae, x, z, beta, length, leaps)
            before = beta
    return log_w.logsumexp(0) - math.log(chains)


def at(progress: float) -> float:
    """β: a logistic curve from 0 to 1, slow at both ends, where the law changes most."""
    low, high = (1.0 / (1.0 + math.exp(-4.0 * side)) for side in (-1.0, 1.0))
    return (1.0 / (1.0 + math.exp(-4.0 * (2.0 * progress - 1.0))) - low) / (high - low)


def moved(vae: VAE, x: Tensor, z: Tensor, beta: float, length: Tensor, leaps: int) -> tuple[Tensor, Tensor]:
    """Codes after a Hamiltonian move under p(z) p(x | z)^β, and the next length of a step: z (chains, n, D)."""

    def height(z: Tensor) -> tuple[Tensor, Tensor]:
        """log p(z) + β log p(x | z), (chains, n), and its slope."""
        with torch.enable_grad():
            z = z.detach().requires_grad_()
            value = vae.prior.log_prob(z) + beta * vae.log_likelihood(x, z)
            (slope,) = torch.autograd.grad(value.sum(), z)
        return value.detach(), slope

    speed = torch.randn_like(z)
    value, slope = height(z)
    start, place = value - 0.5 * speed.square().sum(-1), z
    for _ in range(leaps):
        speed = speed + 0.5 * length * slope
        place = place + length * speed
        value, slope = height(place)
        speed = speed + 0.5 * length * slope
    change = (value - 0.5 * speed.square().sum(-1) - start).nan_to_num(nan=-math.inf)
    accepted = (torch.rand_like(change).log() < change).unsqueeze(-1)
    grown = length * torch.where(accepted, ADAPT, ADAPT ** (-ACCEPTED / (1.0 - ACCEPTED)))
    return torch.where(accepted, place, z), grown
