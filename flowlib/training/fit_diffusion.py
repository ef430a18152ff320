"""Training a diffusion model: guess the noise in points that were mixed with it."""

import math

import torch
from torch import Tensor

from flowlib.models import Diffusion
from flowlib.training.batches import Sampler
from flowlib.training.history import History
from flowlib.training.matching import Matching, follow


class Denoising(Matching):
    """‖ε̂ − ε‖², which is sin² φ (2/π)² times the loss of matching: less weight near the noise, where every direction is
    still open."""

    def __init__(self, model: Diffusion):
        super().__init__(model.flow, "diffusion")

    def draw(self, n: int) -> tuple[Tensor, Tensor]:
        """n times, each from another n-th of [0, 1], (n, 1), and n points of noise, (n, D)."""
        z = self.base.sample(n)
        t = (torch.randperm(n, device=z.device) + torch.rand(n, device=z.device)) / n
        return t.to(z.dtype).unsqueeze(-1), z

    def losses(self, t: Tensor, z: Tensor, x: Tensor, context: Tensor | None = None) -> Tensor:
        weight = (0.5 * math.pi * t.squeeze(-1)).sin().square() * (2.0 / math.pi) ** 2
        return weight * super().losses(t, z, x, context)


def fit_diffusion(
    model: Diffusion,
    data: Tensor | Sampler,
    steps: int = 3000,
    batch: int = 512,
    lr: float = 1e-2,
    *,
    held_out: float | Tensor = 0.1,
    clip: float = 5.0,
    snapshots: int = 0,
    seed: int = 0,
) -> History:
    """Minimise E ‖ε̂(x_t, t) − ε‖² over uniform times.

    The weights are kept that were best on held-out points with fixed noise and times. The history holds in `nats` the
    likelihood of the held-out points under the equation, and in `snapshots` states of `model.flow`.

    Args:
        model: what is trained, in place.
        data, steps, batch, lr, held_out, clip, snapshots, seed: as in `fit`.

    Paper: Ho et al. (2020), arXiv 2006.11239, equation 14 (the simple loss).

    >>> model = Diffusion(hidden=[8], steps=4)
    >>> len(fit_diffusion(model, torch.randn(200, 2), steps=3).losses)
    3
    """
    if not isinstance(model, Diffusion):
        raise TypeError(f"fit_diffusion expects a Diffusion first; got {type(model).__name__}.")
    return follow(
        Denoising(model), data, name="fit_diffusion", steps=steps, batch=batch, lr=lr, context=None, held_out=held_out,
        clip=clip, patience=None, callback=None, snapshots=snapshots, seed=seed, checkpoint=None, settings={},
    )  # fmt: skip
