"""A flow as a model of pixels: what lies between whole numbers 0, ..., L − 1 and a density on ℝ^D.

    x  --(x + u) / L-->  y in (0, 1)^D  --logit(α + (1 − 2α) y)-->  s in ℝ^D  --f⁻¹-->  z
         dequantization                    pixel logit                        flow

    log P(x) ≥ E_u [ log p_Z(z) + log |det ∂f⁻¹/∂s| + log |det ∂s/∂y| − D log L − log q(u | x) ]

`PixelFlow` joins the parts, and its `ledger` lists the terms of this sum, one by one, down to the number of bits.
"""

import math
from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torch.nn.functional import softplus

from flowlib.core import Flow, Transform, bits
from flowlib.pixels.dequantize import Dequantize, UniformDequantize, VariationalDequantize, check_pixels
from flowlib.pixels.ledger import Ledger, Row, itemise
from flowlib.support.checks import check_above_zero, check_count, check_size

__all__ = ["Ledger", "PixelLogit", "PixelFlow", "UniformDequantize", "VariationalDequantize"]


class PixelLogit(Transform):
    """From the real line to the unit interval and a little beyond, so that pixels keep clear of the logit's poles.

    Map: y_i = (sigmoid(s_i) − α) / (1 − 2α), between −α / (1 − 2α) and 1 + α / (1 − 2α).
    Log-determinant: Σ_i [−softplus(s_i) − softplus(−s_i)] − D log(1 − 2α).
    Invertible there: s_i = logit(p_i) with p_i = α + (1 − 2α) y_i; for y in [0, 1], s stays within ±logit(1 − α).
    The constant of the inverse, D log(1 − 2α), and its Σ_i [−log p_i − log(1 − p_i)] are one row of a ledger.

    Args:
        shape: of one point, or D.
        alpha: α, between 0 and ½.

    Paper: Dinh et al. (2017, arXiv 1605.08803), RealNVP, section 4.1, with α = 0.05. They print logit(α + (1 − α) y),
    which keeps clear of one pole only; this symmetric form is that of Papamakarios et al. (2017, arXiv 1705.07057),
    MAF.

    >>> PixelLogit(1).inverse(torch.tensor([0.5]))
    (tensor([0.]), tensor(1.2809))
    """

    def __init__(self, shape: int | Sequence[int], alpha: float = 0.05):
        super().__init__(check_size("PixelLogit", shape))
        self.alpha = check_above_zero("PixelLogit", "alpha", alpha)
        if alpha >= 0.5:
            raise ValueError(
                f"PixelLogit: alpha must be below 1/2, or nothing is left between the rims; got {alpha!r}."
            )
        self.log_width = self.event_shape.numel() * math.log1p(-2.0 * self.alpha)  # D log(1 − 2α)

    def forward(self, s: Tensor, context: Tensor | None = None) -> tuple[Tensor, Tensor]:
        self.check_input(s)
        log_slopes = -(softplus(s) + softplus(-s))
        return (torch.sigmoid(s) - self.alpha) / (1.0 - 2.0 * self.alpha), log_slopes.sum(self.axes) - self.log_width

    def inverse(self, y: Tensor, context: Tensor | None = None) -> tuple[Tensor, Tensor]:
        self.check_input(y)
        p = self.alpha + (1.0 - 2.0 * self.alpha) * y
        log_p, log_rest = p.log(), (-p).log1p()  # log p and log(1 − p)
        return log_p - log_rest, self.log_width - (log_p + log_rest).sum(self.axes)


class PixelFlow(nn.Module):
    """A flow on ℝ^D as a model of images with whole-number pixels.

    `log_prob` and `bits_per_dim` draw the noise of dequantization anew at each call. What they return is random, and a
    lower bound of log P(x) (an upper one of the bits) on the average over that noise; `bound` with large k is tighter.

    Σ_x P(x) is the mass that the flow puts on y in [0, 1)^D. What it puts on the rim beyond, between −α / (1 − 2α) and
    1 + α / (1 − 2α), belongs to no pixel value: training takes it away, and `sample` clips what is left of it.

    Args:
        flow: on points of the shape of an image, (C, H, W), as `flowlib.models.images` makes them. It works on ℝ^D.
        levels: L, the number of values of a pixel, at most 256.
        dequantize: "uniform", or a module such as `VariationalDequantize`.
        alpha: α of the pixel logit, 0.05 as in the paper. A small one, 1e-6 as for MAF, makes the cells of black and
            white wide, which a law that can follow their shape turns into bits.

    Paper: Dinh et al. (2017, arXiv 1605.08803), RealNVP, section 4.1; Ho et al. (2019, arXiv 1902.00275), Flow++,
    section 3.1.

    >>> from flowlib.models import real_nvp
    >>> model = PixelFlow(real_nvp(dim=4), levels=17)
    >>> pixels = torch.randint(17, [5, 4])
    >>> model.log_prob(pixels).shape, model.sample(3).dtype
    (torch.Size([5]), torch.uint8)
    """

    def __init__(self, flow: Flow, levels: int, dequantize: str | Dequantize = "uniform", alpha: float = 0.05):
        super().__init__()
        if not isinstance(flow, Flow):
            raise TypeError(f"PixelFlow expects a Flow first, e.g. glow((1, 8, 8)); got {type(flow).__name__}.")
        self.flow, self.data_shape = flow, flow.data_shape
        self.logit = PixelLogit(self.data_shape, alpha)
        if dequantize == "uniform":
            dequantize = UniformDequantize(self.data_shape, levels)
        if not isinstance(dequantize, Dequantize):
            raise ValueError(
                "PixelFlow: dequantize must be 'uniform' or a module, e.g. VariationalDequantize(shape, levels, flow); "
                f"got {dequantize!r}."
            )
        if (dequantize.shape, dequantize.levels) != (self.data_shape, levels):
            raise ValueError(
                f"PixelFlow: the flow gives images of shape {tuple(self.data_shape)} and levels is {levels}; "
                f"dequantize takes shape {tuple(dequantize.shape)} and {dequantize.levels} levels. Give both the same."
            )
        self.levels = levels
        own = [*flow.parameters(), *flow.buffers()]
        self.dequantize = dequantize.to(own[0]) if own else dequantize

    def log_prob(self, pixels: Tensor, context: Tensor | None = None) -> Tensor:
        """A lower bound of log P(x) in nats, by one draw of noise: whole numbers (..., C, H, W) -> (...)."""
        check_pixels("PixelFlow", pixels, self.data_shape, self.levels)
        return self.one_draw(pixels, context)

    def one_draw(self, pixels: Tensor, context: Tensor | None) -> Tensor:
        """`log_prob` of pixels that were checked."""
        y, log_q = self.dequantize.draw(pixels)
        return self.log_density(y, context) + (self.dequantize.data_scale - log_q)

    def log_density(self, y: Tensor, context: Tensor | None = None) -> Tensor:
        """log p_Y(y), the density of dequantized images y in [0, 1]: (..., C, H, W) -> (...)."""
        s, log_det = self.logit.inverse(y)
        return self.flow.log_prob(s, context) + log_det

    def bits_per_dim(self, pixels: Tensor, context: Tensor | None = None) -> Tensor:
        """An upper bound of −log₂ P(x) / D, by one draw of noise: whole numbers (..., C, H, W) -> (...)."""
        return bits(self.log_prob(pixels, context), self.data_shape.numel())

    def bound(self, pixels: Tensor, k: int, context: Tensor | None = None) -> Tensor:
        """The lower bound of log P(x) by k draws of noise, `bound` of `log_probs`: (..., C, H, W) -> (...).

        On the average it grows with k and tends to log P(x); k = 1 is `log_prob`. It costs k times as much.
        """
        return bound(self.log_probs(pixels, k, context))

    def log_probs(self, pixels: Tensor, k: int, context: Tensor | None = None) -> Tensor:
        """`log_prob` with each of k draws of noise: (..., C, H, W) -> (k, ...)."""
        check_count("PixelFlow.bound", "k", k)
        check_pixels("PixelFlow", pixels, self.data_shape, self.levels)
        return self.one_draw(pixels.expand(k, *pixels.shape), context)

    @torch.no_grad()
    def sample(self, n: int, context: Tensor | None = None, temperature: float = 1.0) -> Tensor:
        """n images, uint8 (n, C, H, W). A temperature below 1 draws z closer to the mode."""
        y, _ = self.logit(self.flow.sample(n, context, temperature))
        if y.isnan().any():
            bad = int(y.reshape(n, -1).isnan().any(-1).sum())
            raise FloatingPointError(
                f"PixelFlow.sample: {bad} of {n} images hold nan. The flow gave points that are not numbers: look at "
                "its weights; after a fit that ended well there are none."
            )
        return (y * self.levels).floor().clamp(0, self.levels - 1).to(torch.uint8)

    @torch.no_grad()
    def ledger(self, pixels: Tensor, context: Tensor | None = None) -> Ledger:
        """Every term of `bits_per_dim(pixels, context)`, averaged over the images, with one draw of noise."""
        check_pixels("PixelFlow", pixels, self.data_shape, self.levels)
        y, log_q = self.dequantize.draw(pixels)
        s, slopes = self.logit.inverse(y)
        z, scale = self.flow.transform.inverse(s, context)[0], self.dequantize.data_scale
        n = log_q.numel()
        rows = [
            Row("base log p_Z", average(self.flow.base.log_prob(z))),
            *(
                Row(f"{kind} × {count}" if count > 1 else kind, nats / max(n, 1))
                for kind, count, nats in itemise(self.flow.transform, s, context)
            ),
            Row(f"pixel logit, α = {self.logit.alpha:g}", average(slopes)),
            Row(f"data scale, −D log {self.levels}", scale),
            Row("dequantization, −log q(u | x)", average(-log_q)),
        ]
        total = average(self.flow.log_prob(s, context).double() + slopes + scale - log_q)
        return Ledger(rows, total, self.data_shape.numel(), n, self.levels)


def bound(log_probs: Tensor) -> Tensor:
    """log (1/k) Σ_i P_i, of log P_i by k draws of noise: (k, ...) -> (...).

    Paper: Burda et al. (2016), Importance weighted autoencoders, section 3, arXiv 1509.00519; Hoogeboom et al. (2020),
    Learning discrete distributions by dequantization, arXiv 2001.11235.
    """
    return log_probs.logsumexp(0) - math.log(len(log_probs))


def average(values: Tensor) -> float:
    return float(values.detach().mean(dtype=torch.float64))
