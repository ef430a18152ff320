"""Elementwise flows: each dimension is moved by its own increasing function, blind to the others.

The Jacobian is diagonal, so the log-determinant is a sum of D logarithms. Elementwise maps stretch and bend but
never create correlation: they are the first lesson (notebook 01) and the glue between richer layers.

All of them work on vectors, `Sigmoid(3)`, and on images, `Sigmoid((1, 28, 28))`.
"""

from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torch.nn.functional import softplus

from flowlib.core import Inverse, Transform
from flowlib.support.checks import VectorLike, check_above_zero, check_image, check_positive, check_shape, check_size


class ElementwiseAffine(Transform):
    """Stretch and shift each dimension.

    Map: x = exp(log_scale) ⊙ z + shift. Log-determinant: Σ_i log_scale_i, the same at every point.
    Invertible always, because the scale is an exponential: z = (x − shift) ⊙ exp(−log_scale).

    Args:
        dim: D, or the shape of an image.
        shift: (D,) or one number, default 0.
        scale: (D,) or one number, positive, default 1. Stored and trained as its logarithm.

    Paper: Dinh et al. (2015, arXiv 1410.8516), NICE, section 3.3 (the diagonal scaling layer).

    >>> ElementwiseAffine(1, shift=1.0, scale=2.0)(torch.tensor([3.0]))[0]
    tensor([7.], grad_fn=<AddBackward0>)
    """

    def __init__(self, dim: int | Sequence[int], shift: VectorLike = 0.0, scale: VectorLike = 1.0):
        super().__init__(check_size("ElementwiseAffine", dim))
        self.shift = nn.Parameter(check_shape("ElementwiseAffine", "shift", shift, self.event_shape))
        self.log_scale = nn.Parameter(check_positive("ElementwiseAffine", "scale", scale, self.event_shape).log())

    def forward(self, z: Tensor, context: Tensor | None = None) -> tuple[Tensor, Tensor]:
        self.check_input(z)
        return self.log_scale.exp() * z + self.shift, self.log_scale.sum().expand(self.batch_shape(z))

    def inverse(self, x: Tensor, context: Tensor | None = None) -> tuple[Tensor, Tensor]:
        self.check_input(x)
        return (x - self.shift) * (-self.log_scale).exp(), (-self.log_scale.sum()).expand(self.batch_shape(x))


class Sigmoid(Transform):
    """Squash the real line into the interval (0, 1): the CDF of the logistic density.

    Map: x_i = 1 / (1 + exp(−z_i)). Log-determinant: Σ_i [−softplus(z_i) − softplus(−z_i)].
    Invertible everywhere in exact arithmetic, z_i = log x_i − log(1 − x_i); in floating point x rounds to 1 beyond
    z ≈ 17 (float32) or 37 (float64), and what is lost there cannot come back. Outside [0, 1] the inverse is nan.

    Args:
        dim: D, or the shape of an image.

    Paper: Dinh et al. (2017, arXiv 1605.08803), RealNVP, section 4.1 (the logit of the data).

    >>> Sigmoid(1)(torch.tensor([0.0]))
    (tensor([0.5000]), tensor(-1.3863))
    """

    def __init__(self, dim: int | Sequence[int]):
        super().__init__(check_size("Sigmoid", dim))

    def forward(self, z: Tensor, context: Tensor | None = None) -> tuple[Tensor, Tensor]:
        self.check_input(z)
        return torch.sigmoid(z), -(softplus(z) + softplus(-z)).sum(self.axes)

    def inverse(self, x: Tensor, context: Tensor | None = None) -> tuple[Tensor, Tensor]:
        self.check_input(x)
        log_x, log_rest = x.log(), (-x).log1p()  # log x and log(1 − x), (..., D)
        return log_x - log_rest, -(log_x + log_rest).sum(self.axes)


class Logit(Inverse):
    """Open the interval (0, 1) to the real line: the inverse of `Sigmoid`.

    Map: x_i = log z_i − log(1 − z_i). Log-determinant: Σ_i [−log z_i − log(1 − z_i)].
    Invertible on (0, 1); the ends go to ∓∞ and points outside to nan.

    Args:
        dim: D, or the shape of an image.

    Paper: Dinh et al. (2017, arXiv 1605.08803), RealNVP, section 4.1.

    >>> Logit(1)(torch.tensor([0.5]))
    (tensor([0.]), tensor(1.3863))
    """

    def __init__(self, dim: int | Sequence[int]):
        super().__init__(Sigmoid(check_size("Logit", dim)))

    def forward(self, z: Tensor, context: Tensor | None = None) -> tuple[Tensor, Tensor]:
        self.check_input(z)
        return super().forward(z, context)

    def inverse(self, x: Tensor, context: Tensor | None = None) -> tuple[Tensor, Tensor]:
        self.check_input(x)
        return super().inverse(x, context)


class LeakyReLU(Transform):
    """A straight line with a kink at zero: the simplest bend.

    Map: x_i = z_i for z_i ≥ 0, slope · z_i below. Log-determinant: log(slope) times the number of negative z_i.
    Invertible for every slope > 0: divide where x_i < 0. The density of x jumps at zero, by a factor of 1 / slope.

    Args:
        dim: D, or the shape of an image.
        slope: the factor on the negative side, a positive number; fixed, not trained.

    Paper: Papamakarios et al. (2021, arXiv 1912.02762), section 3.1.1 (elementwise transformers).

    >>> LeakyReLU(1, slope=0.5)(torch.tensor([-2.0]))
    (tensor([-1.]), tensor(-0.6931))
    """

    def __init__(self, dim: int | Sequence[int], slope: float = 0.1):
        super().__init__(check_size("LeakyReLU", dim))
        self.register_buffer("slope", torch.tensor(check_above_zero("LeakyReLU", "slope", slope)))

    def forward(self, z: Tensor, context: Tensor | None = None) -> tuple[Tensor, Tensor]:
        self.check_input(z)
        negative = z < 0
        log_det = torch.where(negative, self.slope.log(), 0.0).sum(self.axes)
        return torch.where(negative, self.slope * z, z), log_det

    def inverse(self, x: Tensor, context: Tensor | None = None) -> tuple[Tensor, Tensor]:
        self.check_input(x)
        negative = x < 0
        log_det = -torch.where(negative, self.slope.log(), 0.0).sum(self.axes)
        return torch.where(negative, x / self.slope, x), log_det


class ActNorm(Transform):
    """Stretch and shift each dimension, starting where the first training batch gets mean 0 and deviation 1.

    Map: x = exp(log_scale) ⊙ z + shift; all pixels of an image share one scale and one shift a channel.
    Log-determinant: Σ_i log_scale_i, for images H · W times the sum over the channels. Invertible always.
    The first batch of data that passes `inverse` in training mode with gradients enabled, which is how training begins,
    sets shift to its mean and exp(log_scale) to its standard deviation, so z has mean 0 and deviation 1. Samples and
    pictures leave it alone. Rows (of images: pixels) with nan or inf do not count; a dimension without two different
    values keeps scale 1; without a good row, it waits. It happens once: the flag is in the state_dict, and parameters
    that have been trained already stay as they are.

    Args:
        dim: D, or the shape (C, H, W) of an image.

    Paper: Kingma and Dhariwal (2018, arXiv 1807.03039), Glow, section 3.1.

    >>> layer = ActNorm(1)
    >>> layer.inverse(torch.tensor([[1.0], [3.0]]))[0]
    tensor([[-1.],
            [ 1.]], grad_fn=<MulBackward0>)
    """

    def __init__(self, dim: int | Sequence[int]):
        shape = check_size("ActNorm", dim)
        super().__init__(shape if len(shape) == 1 else check_image("ActNorm", shape))
        self.pixels = shape[1:].numel()  # 1 for vectors
        each = (shape[0], *(1 for _ in shape[1:]))  # (D,) or (C, 1, 1)
        self.shift = nn.Parameter(torch.zeros(each))
        self.log_scale = nn.Parameter(torch.zeros(each))
        self.initialized = False

    def log_volume(self) -> Tensor:
        """log |det ∂x/∂z|, the same at every point, ()."""
        total = self.log_scale.sum()
        return total if self.pixels == 1 else self.pixels * total

    def forward(self, z: Tensor, context: Tensor | None = None) -> tuple[Tensor, Tensor]:
        self.check_input(z)
        return self.log_scale.exp() * z + self.shift, self.log_volume().expand(self.batch_shape(z))

    def inverse(self, x: Tensor, context: Tensor | None = None) -> tuple[Tensor, Tensor]:
        self.check_input(x)
        if self.waits():
            self.learn_units(x)
        return (x - self.shift) * (-self.log_scale).exp(), (-self.log_volume()).expand(self.batch_shape(x))

    def waits(self) -> bool:
        """Whether training begins now: a batch of data in training mode, with gradients, and nothing learned yet."""
        begins = self.training and torch.is_grad_enabled() and not (self.initialized or self.shift.is_meta)
        return begins and not (self.shift.any() or self.log_scale.any())

    @torch.no_grad()
    def learn_units(self, data: Tensor) -> None:
        """Set shift and scale so that z has mean 0 and deviation 1 where x is this batch (..., D)."""
        rows = (
            data.detach().movedim(-self.event_dims, -1).reshape(-1, len(self.shift))
        )  # (N, D), of images (N · H · W, C)
        rows = rows[rows.isfinite().all(-1)]
        if len(rows) == 0:
            return
        mean, deviation = rows.mean(0), rows.std(0, correction=0)
        deviation = torch.where(rows.amin(0) == rows.amax(0), 1.0, deviation)
        self.shift.copy_(mean.view_as(self.shift))
        self.log_scale.copy_(deviation.log().view_as(self.log_scale))
        self.initialized = True

    def get_extra_state(self) -> Tensor:
        """The flag, for the state_dict."""
        return torch.tensor(self.initialized)

    def set_extra_state(self, state: Tensor) -> None:
        self.initialized = bool(state)
