"""The rows of notebook 08: Glow and transformer flows."""

import math

import torch

from flowlib.core import Compose, Inverse
from flowlib.course.formulas.proving import draw, gap, shaken, worst
from flowlib.course.formulas.row import Rows
from flowlib.laws import Affine, RationalQuadratic
from flowlib.nets.convolutional import GlowNet
from flowlib.nets.patches import PatchTransformer
from flowlib.pixels.latents import lerp, slerp
from flowlib.transforms.autoregressive import Autoregressive
from flowlib.transforms.elementwise import ActNorm
from flowlib.transforms.glow import GlowStep
from flowlib.transforms.linear import Conv1x1
from flowlib.transforms.rearrange import Patches

ROWS = Rows("08_glow_and_transformer_flows")


@ROWS.formula(
    "ActNorm",
    r"x = \sigma_c z + \mu_c,\quad \log\lvert\det\rvert = H W \sum_c \log\sigma_c",
    section="2. ActNorm's first batch",
    code="transforms.ActNorm",
    exercise="08_actnorm_start",
)
def actnorm() -> float:
    """after its first batch: means 0 and deviations 1, and its log-determinant by the formula"""
    layer, x = ActNorm((3, 4, 5)), 2.0 * draw(20, 3, 4, 5) - 1.0
    z = layer.train().inverse(x)[0]
    scale = x.transpose(0, 1).flatten(1).std(1, correction=0)
    means, ones = z.transpose(0, 1).flatten(1).mean(1), z.transpose(0, 1).flatten(1).std(1, correction=0)
    found = layer(z)[1]
    return max(gap(means, torch.zeros(3)), gap(ones, torch.ones(3)), gap(found, 20.0 * scale.log().sum()))


@ROWS.formula(
    "1 × 1 convolution",
    r"x = Mz \text{ at each pixel},\quad \log\lvert\det\rvert = H W \log\lvert\det M\rvert",
    section="3. A permutation that is learned",
    at="review 27",
    code="transforms.Conv1x1",
    exercise="08_conv_log_det",
)
def convolution() -> float:
    """the layer against autograd, and the formula"""
    layer = shaken(Conv1x1((3, 2, 4)))
    found = layer(draw(2, 3, 2, 4))[1]
    return max(worst(layer), gap(found, 8.0 * torch.linalg.slogdet(layer.matrix).logabsdet))


@ROWS.system(
    "a step of Glow",
    r"\text{coupling} \to M^{-1} \to \text{units, from noise to data}",
    section="1. A step of Glow, shape by shape",
    at="review 27",
    code="models.glow",
    exercise="08_conv_log_det",
)
def glow_step() -> float:
    """two steps on an image of four channels, against autograd"""
    return worst(Compose([shaken(GlowStep((4, 2, 2), Affine(), GlowNet(2, 4, 6))) for _ in range(2)]))


@ROWS.claim(
    "Glow's learned mixing makes much better images than RealNVP",
    "not seen here",
    "on digits: no mixing costs over 0.25 bits; reversed, "
    "shuffled and learned are within 0.1 of each other. Faces were not tried",
    section="3. A permutation that is learned",
    at="review 27",
    code="transforms.Conv1x1",
    exercise="08_conv_log_det",
)
def a_permutation_is_one() -> float:
    """a 1 × 1 convolution with the matrix of a permutation, and the channels in that order"""
    order, z = torch.tensor([2, 0, 1]), draw(4, 3, 2, 2)
    return gap(Conv1x1((3, 2, 2), torch.eye(3)[order])(z)[0], z[:, order])


@ROWS.formula(
    "the shell",
    r"\mathbb E\lVert z\rVert^2 = D,\quad \lVert z\rVert \approx \sqrt D",
    section="4. From one image to another",
    code="pixels.to_latent",
    bound=1e-6,
)
def shell() -> float:
    """the moment of the density of ‖z‖ in 16 dimensions, on a grid"""
    r = torch.linspace(1e-6, 14.0, 200001)
    log_density = 15.0 * r.log() - 0.5 * r.square() - 7.0 * math.log(2.0) - math.lgamma(8.0)
    return gap(torch.trapezoid(r.square() * log_density.exp(), r), 16.0)


@ROWS.formula(
    "along the arc",
    r"\mathrm{slerp}(a, b; t) = \frac{\sin((1 - t)\omega)\,a + \sin(t\omega)\,b}{\sin\omega}",
    section="4. From one image to another",
    code="pixels.slerp",
    exercise="08_slerp",
)
def arc() -> float:
    """its length half-way between two latents of one length, and that length; on the line it is √½ at a right angle"""
    a, b = torch.eye(2, 6) * 3.0
    half = slerp(a, b, 0.5)
    return max(gap(half.norm(), 3.0), gap(lerp(a, b, 0.5).norm(), 3.0 / math.sqrt(2.0)))


@ROWS.formula(
    "a step of an attribute",
    r"\Delta_a = \frac{\bar z_{\text{much}} - \bar z_{\text{little}}}{\bar a_{\text{much}} - \bar a_{\text{little}}}",
    section="5. Arithmetic with attributes",
    code="viz.explore_attributes",
    exercise="08_direction",
)
def attribute() -> float:
    """on latents that move by a·v exactly: Δ, and v"""
    v, a = draw(6), draw(40)
    z = draw(6) + a[:, None] * v
    much = a > 0
    return gap((z[much].mean(0) - z[~much].mean(0)) / (a[much].mean() - a[~much].mean()), v)


@ROWS.formula(
    "patches",
    r"D = N P \text{ numbers as } N \text{ tokens},\quad \log\lvert\det\rvert = 0",
    section="7. Patches",
    code="transforms.Patches",
    exercise="08_patches",
)
def patches() -> float:
    """every claim of the rearrangement, against autograd"""
    return worst(Patches((2, 4, 6), 2))


@ROWS.system(
    "transformer flow on patches (TarFlow)",
    r"\theta_{n,i} = m(x_{<n},\, x_{n,<i}),\quad x_{n,i} = g(z_{n,i};\theta_{n,i})",
    section="8. Transformer flows on images",
    at="review 23",
    code="models.transformer_image",
    exercise="08_carried",
)
def tarflow() -> float:
    """an autoregressive layer on six tokens of two numbers, with attention and splines, against autograd"""
    law = RationalQuadratic(bins=4)
    net = PatchTransformer(6, 2, law.n_params, width=8, heads=2, depth=1, hidden=[8])
    return worst(shaken(Autoregressive(law, net)))


@ROWS.formula(
    "attention",
    r"\sum_{j \le i} w_{ij} v_j,\quad w_{ij} \propto \exp(q_i \cdot k_j / \sqrt d)",
    section="6. From couplings to transformers, in the plane",
    code="nets.CausalTransformer",
    exercise="08_carried",
)
def attention() -> float:
    """torch's causal attention, and the sum by hand"""
    q, k, v = draw(3, 5, 4)
    scores = (q @ k.T / 2.0).masked_fill(torch.ones(5, 5).triu(1).bool(), -math.inf)
    found = torch.nn.functional.scaled_dot_product_attention(q[None], k[None], v[None], is_causal=True)[0]
    return gap(scores.softmax(-1) @ v, found)


@ROWS.formula(
    "from image to noise and from noise to image",
    r"\text{Glow's layer is the inverse of ours: } \sigma \leftrightarrow 1/s",
    section="1. A step of Glow, shape by shape",
    code="Inverse",
)
def turned_round() -> float:
    """a convolution turned round, and the solve with its matrix"""
    layer, x = shaken(Conv1x1((3, 1, 1))), draw(5, 3, 1, 1)
    return gap(Inverse(layer)(x)[0].flatten(1), torch.linalg.solve(layer.matrix, x.flatten(1).T).T)
