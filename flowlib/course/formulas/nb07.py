"""The rows of notebook 07: images, from whole numbers to bits."""

import math

import torch

from flowlib.bases import StandardNormal
from flowlib.core import Flow
from flowlib.course.formulas.proving import bell, draw, gap, integral, shaken, worst
from flowlib.course.formulas.row import Rows
from flowlib.laws import Affine
from flowlib.nets.convolutional import ConvNet
from flowlib.pixels import PixelLogit
from flowlib.transforms.coupling import Coupling
from flowlib.transforms.elementwise import ElementwiseAffine
from flowlib.transforms.multiscale import MultiScale
from flowlib.transforms.partition import Channels, Checkerboard
from flowlib.transforms.rearrange import Flatten, Squeeze, Unflatten

ROWS = Rows("07_image_flows")


def image_coupling(partition) -> Coupling:
    return shaken(Coupling(Affine(), ConvNet(partition.kept, 2 * partition.moved, 6, 1), partition))


def cell(u: torch.Tensor) -> torch.Tensor:
    """The density of section 2 in the cell of 1: a bell of width 0.35 about 1.5."""
    return bell((1.0 + u - 1.5) / 0.35) / 0.35


@ROWS.formula(
    "the probability of an image",
    r"P(x) = \int_{[0,1)^D} p(x + u)\,du",
    section="2. Uniform noise, and the bound it gives",
    code="pixels.PixelFlow",
    exercise="07_bits_per_dim",
    bound=1e-6,
)
def probability() -> float:
    """the integral over the cell of 1, and the difference of Φ at its ends"""
    ends = torch.special.ndtr(torch.tensor([-0.5, 0.5]) / 0.35)
    return gap(integral(cell, 0.0, 1.0), ends[1] - ends[0])


@ROWS.formula(
    "a bound by noise",
    r"\log P(x) = \mathbb E_{u \sim q}\Bigl[\log"
    r"\frac{p(x + u)}{q(u \mid x)}\Bigr] + \mathrm{KL}(q(u \mid x)\,\Vert\,p(u \mid x))",
    section="3. Variational noise",
    code="pixels.VariationalDequantize",
    exercise="07_bound",
    bound=1e-6,
)
def bound_by_noise() -> float:
    """with uniform noise in the cell of 1: log P, and bound plus KL on a grid"""
    whole = integral(cell, 0.0, 1.0)
    lower = integral(lambda u: cell(u).log(), 0.0, 1.0)
    return gap(math.log(whole), lower + integral(lambda u: -(cell(u) / whole).log(), 0.0, 1.0))


@ROWS.formula(
    "several draws",
    r"\log\frac1k\sum_{i=1}^k \frac{p(x + u_i)}{q(u_i \mid x)} \;\le\; \log P(x) \text{ on the average}",
    section="3. Variational noise",
    code="pixels.PixelFlow.bound",
    exercise="07_bound",
    bound=1e-6,
)
def several_draws() -> float:
    """E of the mean of k = 2 draws, on a grid, and P: unbiased inside the logarithm"""
    u = (torch.arange(2000) + 0.5) / 2000.0
    pairs = 0.5 * (cell(u)[:, None] + cell(u)[None, :])
    return gap(pairs.mean(), integral(cell, 0.0, 1.0))


@ROWS.formula(
    "the data scale",
    r"y = v / L \;\text{ adds }\; -D\log L;\quad \log_2 256 = 8 \text{ bits a pixel}",
    section="4. The ledger",
    code="pixels.UniformDequantize",
    exercise="07_bits_per_dim",
)
def data_scale() -> float:
    """autograd's log-determinant of a division by 256 on 12 numbers, in bits a number, and −8"""
    shrink = ElementwiseAffine(12, scale=1.0 / 256.0)
    return max(worst(shrink), gap(shrink(draw(3, 12))[1] / (12.0 * math.log(2.0)), -8.0))


@ROWS.formula(
    "opening the box",
    r"s = \mathrm{logit}(\alpha + (1 - 2\alpha)\,y),\quad D\log(1 - 2\alpha) - \sum_i [\log p_i + \log(1 - p_i)]",
    section="4. The ledger",
    code="pixels.PixelLogit",
    exercise="07_pixel_logit",
)
def pixel_logit() -> float:
    """the layer against autograd, and its log-determinant by the formula"""
    layer, y = PixelLogit(7, alpha=0.05), torch.rand(5, 7)
    p = 0.05 + 0.9 * y
    return max(worst(layer), gap(layer.inverse(y)[1], 7.0 * math.log(0.9) - (p.log() + (1.0 - p).log()).sum(-1)))


@ROWS.formula(
    "squeeze",
    r"C \times H \times W \to 4C \times \tfrac H2 \times \tfrac W2,\quad \log\lvert\det\rvert = 0",
    section="5. Squeeze, on sixteen numbers",
    code="transforms.Squeeze",
    exercise="07_squeeze",
)
def squeeze() -> float:
    """every claim, and the numbers before and after, sorted"""
    layer = Squeeze((2, 4, 6))
    z = draw(3, *layer.event_shape)
    return max(worst(layer), gap(layer(z)[0].flatten(1).sort().values, z.flatten(1).sort().values))


@ROWS.formula(
    "which pixels stay",
    r"i + j \text{ even, or the first channels}",
    section="6. Which pixels stay: chessboard and channels",
    code="transforms.Checkerboard",
    exercise="07_checkerboard",
)
def which_stay() -> float:
    """couplings on a chessboard and on channels, against autograd"""
    return max(worst(image_coupling(part)) for part in (Checkerboard((2, 4, 4)), Channels((4, 2, 2))))


@ROWS.system(
    "multi-scale flow",
    r"z = (z_{\text{coarse}}, z_{\text{fine}}) \to h = f_1(z_{\text{coarse}}) \to x = f_0(h, z_{\text{fine}})",
    section="7. Several scales",
    code="transforms.MultiScale",
    exercise="07_squeeze",
)
def multi_scale() -> float:
    """two scales of a small image, against autograd"""
    return worst(MultiScale((1, 4, 4), [image_coupling(Channels((4, 2, 2))), image_coupling(Checkerboard((2, 2, 2)))]))


@ROWS.formula(
    "bits are not looks",
    r"-\log\bigl(\tfrac1{100} p + \tfrac{99}{100} q\bigr) \le -\log p + \log 100",
    section="Samples that look worse than the bits say",
    code="Flow.bits_per_dim",
)
def not_looks() -> float:
    """the worst case, where q is 0: the loss of the mixture less that of p, and log 100"""
    log_p = draw(20)
    mixture = torch.logaddexp(log_p + math.log(0.01), torch.full((20,), -1e9))
    return gap(-mixture + log_p, math.log(100.0))


@ROWS.formula(
    "temperature",
    r"z = T\varepsilon:\quad \lVert z\rVert \approx T\sqrt D",
    section="9. MNIST: samples, round trip, temperature",
    code="bases.StandardNormal",
)
def temperature() -> float:
    """samples of a base at 0.7, and 0.7 times those at 1 from the same seed"""
    base = StandardNormal(9)
    torch.manual_seed(1)
    cold = base.sample(5, temperature=0.7)
    torch.manual_seed(1)
    return gap(cold, 0.7 * base.sample(5))


@ROWS.formula(
    "flat and square",
    r"\text{an image is a vector of } D = C H W \text{ numbers},\quad \log\lvert\det\rvert = 0",
    section="4. The ledger",
    code="transforms.Flatten",
)
def flat() -> float:
    """both rearrangements, against autograd"""
    flow = Flow(Unflatten((2, 2, 3)), StandardNormal(12))
    x = draw(4, 2, 2, 3)
    return max(worst(Flatten((2, 2, 3))), gap(flow.log_prob(x), bell(x).log().flatten(1).sum(1)))
