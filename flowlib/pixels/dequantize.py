"""From whole-number pixels to real numbers and what that costs: dequantization.

An image x of D pixels, each a whole number 0, ..., L − 1, has a probability P(x); a flow has a density. A density that
is fitted to points on a grid climbs without bound, so each pixel is first spread over its cell: v = x + u with u in
[0, 1)^D, and y = v / L lies in (0, 1)^D. The change of variables v ↦ y is p_V(v) = p_Y(v / L) · L^−D. The probability
of an image is the mass of its cell, and any density q(u | x) on the cell bounds it from below (Jensen):

    P(x) = ∫ p_V(x + u) du = E_q [p_Y(y) · L^−D / q(u | x)]
    log P(x) ≥ E_q [log p_Y(y)  −  D log L  −  log q(u | x)]

The three terms are *added*, here and in every ledger: `data_scale` = −D log L, and −log q(u | x), which is 0 for
uniform noise. The gap is KL(q(u | x) ‖ p(u | x)): the better q imitates the density within the cell, the tighter.

Papers: Theis et al. (2016, arXiv 1511.01844), A note on the evaluation of generative models, section 3.1 (uniform); Ho
et al. (2019, arXiv 1902.00275), Flow++, section 3.1 (variational).
"""

import math
from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torch.nn.functional import softplus

from flowlib.core import Flow
from flowlib.support.checks import check_count, check_size


class Dequantize(nn.Module):
    """Whole-number pixels x -> y = (x + u) / levels and log q(u | x), u drawn anew at each call.

    It is the one random step of a pixel model. Subclasses define `noise(pixels)`: u and its log-density.

    Args:
        shape: of one image, (C, H, W), or D.
        levels: L, the number of values of a pixel, at most 256.
    """

    def __init__(self, shape: int | Sequence[int], levels: int):
        super().__init__()
        name = type(self).__name__
        self.shape = check_size(name, shape)
        self.levels = check_count(name, "levels", levels, 2)
        if levels > 256:
            raise ValueError(f"{name}: levels must be at most 256, the values of a uint8; got {levels}.")
        self.register_buffer("like", torch.empty(0), persistent=False)  # its device and precision are those of y

    @property
    def data_scale(self) -> float:
        """−D log L: the log |det| of v ↦ v / L, the constant that brings pixels of 0 to L into the unit box."""
        return -self.shape.numel() * math.log(self.levels)

    def noise(self, pixels: Tensor) -> tuple[Tensor, Tensor]:
        """Float pixels (..., C, H, W) -> u of that shape in [0, 1] and log q(u | x) (...)."""
        raise NotImplementedError(f"{type(self).__name__} must define noise(pixels) -> (u, log_q).")

    def forward(self, pixels: Tensor) -> tuple[Tensor, Tensor]:
        """Whole numbers (..., C, H, W) -> y of that shape in [0, 1], at least float32, and log q(u | x) (...)."""
        check_pixels(type(self).__name__, pixels, self.shape, self.levels)
        return self.draw(pixels)

    def draw(self, pixels: Tensor) -> tuple[Tensor, Tensor]:
        """The same for pixels that were checked."""
        pixels = pixels.to(self.like.device, torch.promote_types(self.like.dtype, torch.float32))
        u, log_q = self.noise(pixels)
        return (pixels + u) / self.levels, log_q

    def extra_repr(self) -> str:
        return f"shape={tuple(self.shape)}, levels={self.levels}"


class UniformDequantize(Dequantize):
    """Noise that is uniform on each cell: u ~ U[0, 1)^D, log q(u | x) = 0.

    Args:
        shape: of one image, (C, H, W), or D.
        levels: L, the number of values of a pixel, at most 256.

    Paper: Theis et al. (2016, arXiv 1511.01844), section 3.1.

    >>> y, log_q = UniformDequantize((1, 8, 8), levels=17)(torch.full([5, 1, 8, 8], 16))
    >>> bool((y >= 16 / 17).all()), log_q.tolist()
    (True, [0.0, 0.0, 0.0, 0.0, 0.0])
    """

    def noise(self, pixels: Tensor) -> tuple[Tensor, Tensor]:
        return torch.rand_like(pixels), pixels.new_zeros(pixels.shape[: pixels.dim() - len(self.shape)])


class VariationalDequantize(Dequantize):
    """Noise from a flow that sees the image: u = sigmoid(v), v from a flow q(v | x), trained together with the model.

    log q(u | x) = log q(v | x) + Σ_i [softplus(v_i) + softplus(−v_i)], since log |du/dv| = −softplus(v) − softplus(−v).
    The flow sees the centers of the cells, between −1 and 1, as its context of D numbers. Untrained, a flow that starts
    as the identity gives the sigmoid of a standard normal. That vanishes at the walls of a cell, where the model's
    density does not: rare draws weigh very much, so an importance-weighted bound gains slowly with k.

    Args:
        shape: of one image, (C, H, W), or D.
        levels: L, the number of values of a pixel, at most 256.
        flow: q(v | x), on points of D numbers in any arrangement, cheap to sample, with context_dim = D.

    Paper: Ho et al. (2019, arXiv 1902.00275), Flow++, section 3.1.

    >>> from flowlib.models import real_nvp
    >>> y, log_q = VariationalDequantize((1, 2, 2), 4, real_nvp(dim=4, context_dim=4))(torch.zeros(5, 1, 2, 2).long())
    >>> bool((y <= 1 / 4).all()), log_q.shape
    (True, torch.Size([5]))
    """

    def __init__(self, shape: int | Sequence[int], levels: int, flow: Flow):
        super().__init__(shape, levels)
        dim = self.shape.numel()
        if not isinstance(flow, Flow):
            raise TypeError(f"VariationalDequantize expects a Flow third, q(v | x); got {type(flow).__name__}.")
        if flow.data_shape.numel() != dim:
            raise ValueError(
                f"VariationalDequantize: an image of shape {tuple(self.shape)} takes noise of {dim} numbers; the flow "
                f"gives points of shape {tuple(flow.data_shape)}."
            )
        if flow.context_dim != dim:
            got = f"takes a context of {flow.context_dim}" if flow.context_dim else "takes no context"
            raise ValueError(
                f"VariationalDequantize: the flow must see the image, a context of {dim} numbers; it {got}. "
                f"Build it with context_dim={dim}."
            )
        self.flow = flow

    def noise(self, pixels: Tensor) -> tuple[Tensor, Tensor]:
        batch = pixels.shape[: pixels.dim() - len(self.shape)]
        centers = (2.0 * pixels + 1.0) / self.levels - 1.0
        v, log_q = self.flow.sample_with_log_prob(batch.numel(), centers.reshape(-1, self.shape.numel()))
        log_q = log_q + (softplus(v) + softplus(-v)).flatten(1).sum(-1)
        return torch.sigmoid(v).reshape(pixels.shape), log_q.reshape(batch)


def check_pixels(owner: str, pixels: Tensor, shape: torch.Size, levels: int) -> None:
    """Raise unless `pixels` are whole numbers from 0 to levels − 1 of shape (..., *shape)."""
    sizes = ", ".join(["...", *map(str, shape)])
    expected = f"{owner} expects whole-number pixels of shape ({sizes}) with values 0 to {levels - 1}"
    if not isinstance(pixels, Tensor):
        kind = type(pixels).__name__
        raise TypeError(f"{expected}; got {kind}. Convert with torch.as_tensor(..., dtype=torch.uint8) first.")
    if pixels.is_floating_point() or pixels.is_complex() or pixels.dtype == torch.bool:
        remedy = "Convert with .to(torch.uint8)" if pixels.dtype == torch.bool else "Give them as they are stored"
        raise TypeError(f"{expected}; got dtype {pixels.dtype}. {remedy}: the model itself divides and adds noise.")
    if pixels.shape[max(0, pixels.dim() - len(shape)) :] != shape:
        raise ValueError(f"{expected}; got shape {tuple(pixels.shape)}.")
    every_value = pixels.dtype == torch.uint8 and levels == 256
    if every_value or pixels.numel() == 0 or torch.compiler.is_compiling():  # compiled code branches on no value
        return
    low, high = (int(value) for value in torch.aminmax(pixels))
    if low < 0 or high >= levels:
        remedy = f"build the model with levels={high + 1}" if low >= 0 and high < 256 else "leave those images out"
        raise ValueError(f"{expected}; got values from {low} to {high}. Map them to 0, ..., {levels - 1}, or {remedy}.")
