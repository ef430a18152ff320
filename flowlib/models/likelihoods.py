"""How probable a data point is, given what a decoder says of it: pixels that count heads, and points with noise."""

import torch
from torch import Tensor, nn
from torch.nn.functional import logsigmoid

from flowlib.bases import LOG_2PI
from flowlib.support.checks import check_event
from flowlib.transforms.units import Standard


class Throws(nn.Module):
    """Pictures of n pixels with the whole numbers 0 to `levels` − 1: each pixel counts the heads of levels − 1 throws
    of its own coin (a binomial law). The decoder says the log-odds of head.

    Args:
        pixels, levels: n, and values of a pixel.
    """

    def __init__(self, pixels: int, levels: int):
        super().__init__()
        self.pixels, self.throws = pixels, levels - 1

    def learn(self, x: Tensor) -> None:
        """Nothing: the units of pixels are known."""

    def standard(self, x: Tensor) -> Tensor:
        """What the encoder sees, in −1..1."""
        return 2.0 * x / self.throws - 1.0

    def log_prob(self, x: Tensor, said: Tensor) -> Tensor:
        """log p(x | z) in nats: x (n, pixels), what the decoder said (..., n, pixels) -> (..., n)."""
        throws = torch.tensor(float(self.throws), device=x.device)
        ways = torch.lgamma(throws + 1) - torch.lgamma(x + 1) - torch.lgamma(throws - x + 1)  # log of throws over x
        return (ways + x * logsigmoid(said) + (throws - x) * logsigmoid(-said)).sum(-1)

    def sample(self, said: Tensor) -> Tensor:
        return torch.distributions.Binomial(self.throws, logits=said).sample()

    def check(self, x: Tensor) -> None:
        """ValueError unless these are such pictures."""
        if x.dim() != 2 or x.shape[-1] != self.pixels:
            raise ValueError(f"VAE: expected pictures as rows, (n, {self.pixels}); got {tuple(x.shape)}.")
        if x.min() < 0 or x.max() > self.throws or (x.is_floating_point() and (x != x.round()).any()):
            raise ValueError(
                f"VAE: pixels are whole numbers from 0 to {self.throws}; got values from {x.min().item():g} to "
                f"{x.max().item():g}."
            )


class Noisy(nn.Module):
    """Points of D numbers, each with normal noise around what the decoder says, in units of the data. The deviation of
    the noise is learned, one for each number and the same for all points.

    Args:
        dim: D.
    """

    def __init__(self, dim: int):
        super().__init__()
        self.dim, self.units = dim, Standard(dim)
        self.log_noise = nn.Parameter(torch.full((dim,), -1.0))

    def learn(self, x: Tensor) -> None:
        """The units of the data."""
        self.units.learn(x)

    def standard(self, x: Tensor) -> Tensor:
        """What the encoder sees, mean 0 and deviation 1."""
        return self.units.standard(x)

    def log_prob(self, x: Tensor, said: Tensor) -> Tensor:
        """log p(x | z) in nats: x (n, D), what the decoder said (..., n, D) -> (..., n)."""
        apart = (self.standard(x) - said) / self.log_noise.exp()
        unit = self.log_noise + self.units.scale.log().to(said.dtype)  # log of the noise's deviation, in units of x
        return -(0.5 * (apart.square() + LOG_2PI) + unit).sum(-1)

    def sample(self, said: Tensor) -> Tensor:
        return self.units.original(said + self.log_noise.exp() * torch.randn_like(said))

    def check(self, x: Tensor) -> None:
        """TypeError or ValueError unless these are such points, and finite."""
        check_event("VAE", x, (self.dim,))
        bad = (~x.isfinite().all(-1)).nonzero().flatten()
        if len(bad):
            raise ValueError(f"VAE: {len(bad)} of {len(x)} rows hold nan or inf, the first is row {int(bad[0])}.")
