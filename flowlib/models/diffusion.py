"""A diffusion model: a network that sees a point through noise and says what the noise was.

Data u and noise ε meet on a quarter of a circle, from noise at t = 0 to data at t = 1:

    x_t = cos φ · ε + sin φ · u,   φ = πt/2;   minimise   E ‖ε̂(x_t, t) − ε‖²

The best ε̂ is E[ε | x_t], and −ε̂ / cos φ = ∇ log p_t(x_t) is the score, the direction in which x_t becomes more
probable. It can be used in two ways. Step by step towards the data with fresh noise each time (`sample`), or by the
equation dx/dt = v(t, x) without any (`flow`), whose solution has the same law at each time, and a density.

Both read one network, v: from x_t and the velocity v = dx_t/dt = (π/2) (cos φ · u − sin φ · ε) follow both ends,

    û = sin φ · x_t + cos φ · 2v/π,   ε̂ = cos φ · x_t − sin φ · 2v/π,

so that a diffusion model and a flow matched along this path (notebook 10) differ in the weight that each time has in
their losses, and in nothing else.

Papers: Sohl-Dickstein et al. (2015), arXiv 1503.03585; Ho et al. (2020), arXiv 2006.11239, equation 14; Song et al.
(2021), arXiv 2011.13456, section 4.3; Nichol and Dhariwal (2021), arXiv 2102.09672, for cos and sin; Salimans and Ho
(2022), arXiv 2202.00512, appendix D, for v.
"""

import math
from collections.abc import Sequence
from itertools import pairwise

import torch
from torch import Tensor, nn

from flowlib.models.vectors import flow_matching
from flowlib.support.checks import check_count


class Diffusion(nn.Module):
    """A diffusion model of points with D numbers, in the units of the data.

    Args:
        dim: D.
        hidden: sizes of the hidden layers of its network.
        steps: of the solver in `flow`, four passes of the network each; `sample` takes four times as many of one pass.

    `flow` is the same model as a `Flow`: `model.flow.log_prob(x)` is the density of what its equation makes of noise,
    to the error of the solver.

    >>> model = Diffusion(2, hidden=[8], steps=4)
    >>> model.sample(5).shape, model.flow.log_prob(torch.zeros(3, 2)).shape
    (torch.Size([5, 2]), torch.Size([3]))
    """

    def __init__(self, dim: int = 2, hidden: Sequence[int] = (64, 64, 64), steps: int = 32):
        super().__init__()
        self.flow = flow_matching(dim, hidden, steps)
        self.dim, self.steps = dim, steps

    def ends(self, t: Tensor, x: Tensor) -> tuple[Tensor, Tensor]:
        """û and ε̂, the guesses at both ends of the path, from where it is: t (n, 1) or (1,), x (n, D) -> (n, D) both,
        all in standard units."""
        layer, *_ = self.flow.transform.layers()
        turn = layer.field.velocity(t.squeeze(-1), x) * (2.0 / math.pi)
        angle = 0.5 * math.pi * t
        return angle.sin() * x + angle.cos() * turn, angle.cos() * x - angle.sin() * turn

    @torch.no_grad()
    def sample(self, n: int) -> Tensor:
        """n points, (n, D): 4 · `steps` times, guess both ends, go a step nearer to û, and replace a part of the noise.

        Paper: Ho et al. (2020), arXiv 2006.11239, equations 6 and 7 (algorithm 2), in the form of Song et al. (2021),
        DDIM, arXiv 2010.02502, equations 12 and 16 with η = 1.
        """
        x = self.flow.base.sample(check_count("Diffusion.sample", "n", n, 0))
        times = torch.linspace(0.0, 1.0, 4 * self.steps + 1, device=x.device, dtype=x.dtype).unsqueeze(-1)
        for now, then in pairwise(times):
            data, noise = self.ends(now, x)
            (near, far), (nearer, less) = (((0.5 * math.pi * t).sin(), (0.5 * math.pi * t).cos()) for t in (now, then))
            fresh = (less / far) * (1.0 - (near / nearer).square()).sqrt()  # deviation of the noise that is new
            kept = (less.square() - fresh.square()).clamp(min=0.0).sqrt()
            x = nearer * data + kept * noise + fresh * torch.randn_like(x)
        _, *behind = self.flow.transform.layers()
        for layer in behind:
            x = layer.generate(x)
        return x
