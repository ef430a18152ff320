"""A generative adversarial network: a generator that makes points, and a critic that tries to tell them from data.

The generator is any map from noise to data, x = G(z). It need not be invertible, z may have another size than x, and no
density of x is known or needed. What tells it how to improve is the critic, one number D(x) for a point, large where it
looks like data. The games that the two play stand in `training.fit_gan`.

Papers: Goodfellow et al. (2014), arXiv 1406.2661; Grover et al. (2018), Flow-GAN, arXiv 1705.08868, for a generator
that is a flow, and therefore has a density.
"""

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from flowlib.core import Flow
from flowlib.nets import MLP
from flowlib.support.checks import check_count, check_event
from flowlib.transforms.units import Standard


class GAN(nn.Module):
    """Generator and critic of points with D numbers, two plain networks in the units of the data.

    Args:
        dim: D.
        hidden: sizes of the hidden layers of both.
        latent: how many numbers the noise z ~ N(0, I) has; D if not given.
        generator: a `Flow` of D numbers in place of the network.

    >>> gan = GAN(2, latent=5)
    >>> gan.sample(3).shape, gan.critic(torch.zeros(7, 2)).shape
    (torch.Size([3, 2]), torch.Size([7]))
    """

    def __init__(
        self, dim: int = 2, hidden: Sequence[int] = (64, 64), latent: int | None = None, generator: Flow | None = None
    ):
        super().__init__()
        self.dim = check_count("GAN", "dim", dim)
        if generator is not None and (not isinstance(generator, Flow) or generator.data_shape != (dim,)):
            got = tuple(generator.data_shape) if isinstance(generator, Flow) else type(generator).__name__
            raise ValueError(f"GAN: generator must be a Flow whose points have shape ({dim},); got {got}.")
        self.latent = self.dim if latent is None else check_count("GAN", "latent", latent)
        self.units = Standard(dim)
        self.generator = generator or awake(MLP(self.latent, dim, hidden))
        self.judge = awake(MLP(dim, 1, hidden))

    def draw(self, n: int) -> Tensor:
        """n points G(z), z drawn anew, with gradients: (n, D)."""
        if isinstance(self.generator, Flow):
            return self.generator.transform.generate(self.generator.base.sample(n))
        return self.generate(torch.randn(n, self.latent, device=self.judge[0].weight.device))

    def generate(self, z: Tensor) -> Tensor:
        """x = G(z): (..., latent) -> (..., D)."""
        check_event("GAN.generate", z, (self.latent,))
        if isinstance(self.generator, Flow):
            return self.generator.generate(z)
        return self.units.original(self.generator(z))

    @torch.no_grad()
    def sample(self, n: int) -> Tensor:
        """n points, (n, D)."""
        return self.draw(check_count("GAN.sample", "n", n, 0))

    def critic(self, x: Tensor) -> Tensor:
        """D(x), any real number: (..., D) -> (...). After the first two games of `fit_gan` an estimate of
        log p_data(x) − log p_G(x), and 1 / (1 + e^{−D}) how probable it is that x comes from the data."""
        check_event("GAN.critic", x, (self.dim,))
        return self.judge(self.units.standard(x)).squeeze(-1)


def awake(net: MLP) -> MLP:
    """The network with a last layer that is not zero: a generator must not start as one point."""
    net[-1].reset_parameters()
    return net
