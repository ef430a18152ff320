"""A variational autoencoder whose posterior, and whose prior, may be flows.

A picture or a point x has a code z, drawn from a prior p(z), and a decoder says how probable x is given z. Its
likelihood p(x) = ∫ p(x | z) p(z) dz has no formula, and is bounded from below by any q(z | x) that one can sample and
score:

    ELBO = E_{z ~ q(z | x)} [log w],   w = p(x | z) p(z) / q(z | x);   log p(x) = ELBO + KL(q(z | x) ‖ p(z | x))

What the bound lacks is how wrong q is. A Gaussian q cannot follow a bent posterior, a flow can:

    z = f(μ + σ ε; h),   log q(z | x) = log N(ε; 0, I) − Σ log σ − log |det ∂f|,   (μ, σ, h) = encoder(x)

Papers: Kingma and Welling (2014), arXiv 1312.6114; Rezende and Mohamed (2015), arXiv 1505.05770, equation 15; Kingma et
al. (2016), arXiv 1606.04934; Burda et al. (2016), arXiv 1509.00519, equation 8, for the bound of k draws.
"""

import math
from collections.abc import Callable, Sequence

import torch
from torch import Tensor, nn

from flowlib.bases import LOG_2PI, StandardNormal
from flowlib.core import Transform
from flowlib.models.likelihoods import Noisy, Throws
from flowlib.models.vectors import iaf, planar_flow, real_nvp, spline_flow
from flowlib.nets import MLP
from flowlib.support.checks import check_choice, check_count

CONTEXT = 16  # C, what the encoder tells the flow beside μ and σ
POSTERIORS: dict[str, Callable[[int], Transform] | None] = {
    "gaussian": None,
    "planar": lambda dim: planar_flow(dim, layers=8, context_dim=CONTEXT, hidden=[32]).transform,
    "iaf": lambda dim: iaf(dim, layers=2, context_dim=CONTEXT, hidden=[64]).transform,
    "spline": lambda dim: spline_flow(dim, layers=2, context_dim=CONTEXT, hidden=[64], bins=8).transform,
}
PRIORS = ("gaussian", "flow")


class VAE(nn.Module):
    """Pictures, rows of pixels with the whole numbers 0 to `levels` − 1, or points with normal noise, given their code.

    Args:
        size: n, pixels of a picture or numbers of a point.
        levels: values of a pixel; None for points.
        dim: D, of the code.
        posterior: "gaussian", or a flow behind it whose parameters the encoder moves: "planar", "iaf", "spline".
        prior: "gaussian", or "flow", which learns where codes are.
        hidden: sizes of the hidden layers of encoder and decoder.

    >>> vae, x = VAE(64, 17, posterior="planar"), torch.randint(0, 17, (3, 64))
    >>> vae.bound(x, draws=5).shape, VAE(2, dim=2).sample(4).shape
    (torch.Size([3]), torch.Size([4, 2]))
    """

    def __init__(
        self,
        size: int,
        levels: int | None = None,
        dim: int = 8,
        posterior: str = "gaussian",
        prior: str = "gaussian",
        hidden: Sequence[int] = (128, 128),
    ):
        super().__init__()
        size, self.dim = check_count("VAE", "size", size), check_count("VAE", "dim", dim, 2)
        flow = POSTERIORS[check_choice("VAE", "posterior", posterior, tuple(POSTERIORS))]
        learned = check_choice("VAE", "prior", prior, PRIORS) == "flow"
        self.likelihood = Noisy(size) if levels is None else Throws(size, check_count("VAE", "levels", levels, 2))
        self.encoder = MLP(size, 2 * dim + CONTEXT, hidden)
        self.decoder = MLP(dim, size, hidden)
        self.transform = flow(dim) if flow else None
        self.prior = real_nvp(dim, layers=4) if learned else StandardNormal(dim)

    def encode(self, x: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """μ and log σ (n, D), and what the flow is told, h (n, C)."""
        mean, log_scale, told = self.encoder(self.likelihood.standard(x)).split([self.dim, self.dim, CONTEXT], -1)
        return mean, log_scale, told

    def posterior(self, x: Tensor, noise: Tensor) -> tuple[Tensor, Tensor]:
        """z = f(μ + σ ε; h) and log q(z | x): x (n, size), noise ε (..., n, D) -> (..., n, D), (..., n)."""
        mean, log_scale, told = self.encode(x)
        z = mean + log_scale.exp() * noise
        log_q = -0.5 * (noise.square() + LOG_2PI).sum(-1) - log_scale.sum(-1)
        if self.transform is None:
            return z, log_q
        z, log_det = self.transform(z, told)
        return z, log_q - log_det

    def log_q(self, x: Tensor, z: Tensor) -> Tensor:
        """log q(z | x) of any codes: (n, size) and (..., n, D) -> (..., n)."""
        mean, log_scale, told = self.encode(self.check(x))
        inside, log_det = (z, 0.0) if self.transform is None else self.transform.inverse(z, told)
        noise = (inside - mean) / log_scale.exp()
        return -0.5 * (noise.square() + LOG_2PI).sum(-1) - log_scale.sum(-1) + log_det

    def log_likelihood(self, x: Tensor, z: Tensor) -> Tensor:
        """log p(x | z) in nats: (n, size) and (..., n, D) -> (..., n)."""
        return self.likelihood.log_prob(x, self.decoder(z))

    def log_weights(self, x: Tensor, noise: Tensor) -> Tensor:
        """log w = log p(x | z) + log p(z) − log q(z | x): x (n, size), noise (..., n, D) -> (..., n)."""
        x = self.check(x)
        z, log_q = self.posterior(x, noise)
        return self.log_likelihood(x, z) + self.prior.log_prob(z) - log_q

    def bound(self, x: Tensor, draws: int = 1) -> Tensor:
        """A lower bound of log p(x) on average, log (1/k) Σ w over k draws, (n, size) -> (n,): the ELBO with one
        draw, tighter with more."""
        noise = torch.randn(check_count("VAE.bound", "draws", draws), len(x), self.dim, device=x.device)
        return self.log_weights(x, noise).logsumexp(0) - math.log(draws)

    @torch.no_grad()
    def sample(self, n: int) -> Tensor:
        """n pictures or points, (n, size)."""
        return self.likelihood.sample(self.decoder(self.prior.sample(n)))

    def check(self, x: Tensor) -> Tensor:
        """The rows in the numbers that the model computes with; an error if they are not what it is of."""
        self.likelihood.check(x)
        return x.to(self.decoder[-1].weight.dtype)
