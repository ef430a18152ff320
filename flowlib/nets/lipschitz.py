"""Networks with a bound on how far they stretch: ‖g(z) − g(z')‖ ≤ c ‖z − z'‖.

The largest stretch of a linear map is its largest singular value. Each layer here divides its weight by as much as that
value exceeds its share of c, and by nothing where it does not. The value is that of the map itself: a convolution is a
matrix on whole images, zeros around them included, and that matrix is not the kernel laid flat. It is computed exactly
at every call from the weight alone: there is no state that training and evaluation, a copy or an average of weights
could disagree about.

A context enters as a bias of the first hidden layer, where it moves g and stretches nothing.

Papers: Behrmann et al. (2019), Invertible residual networks, section 2.1, arXiv 1811.00995; Gouk et al. (2021),
Regularisation of neural networks by enforcing Lipschitz continuity, arXiv 1804.04368 (a convolution as a matrix); Chen
et al. (2019), Residual flows, section 3.3, arXiv 1906.02735 (LipSwish).
"""

from collections.abc import Callable, Sequence
from itertools import pairwise

import torch
from torch import Tensor, nn
from torch.func import jvp, vmap
from torch.nn.functional import conv2d, conv_transpose2d, linear, silu, softplus

from flowlib.nets.mlp import check_hidden, start_at_zero
from flowlib.support.checks import check_above_zero, check_context, check_count, check_image

LIPSWISH = 1.1  # more than the largest slope of u σ(u), 1.0998
Pushed = tuple[Tensor, Callable[[Tensor], Tensor]]  # g(z), and tangents t -> J t


def top_stretch(short: Tensor, apply: Callable[[Tensor], Tensor]) -> Tensor:
    """The largest singular value σ of a linear map, from the n × n matrix A Aᵀ = `short` of its shorter side, or of
    several maps at once: (..., n, n) -> (...).

    The eigenvector v of its largest eigenvalue is found without gradients; `apply` gives Aᵀ v, whose length is σ, and
    whose derivative is that of σ. Where a weight is nan, so is σ.
    """
    with torch.no_grad():
        v = torch.linalg.eigh(short.nan_to_num()).eigenvectors[..., -1:]
    return torch.linalg.vector_norm(apply(v.mT), dim=(-2, -1))


def matrix_stretch(weight: Tensor) -> Tensor:
    """The largest singular value of each matrix: (..., outputs, inputs) -> (...)."""
    a = weight if weight.shape[-2] <= weight.shape[-1] else weight.mT
    return top_stretch(a.detach() @ a.detach().mT, lambda v: v @ a)


def shrunk(weight: Tensor, stretch: Tensor, coefficient: float) -> Tensor:
    """weight · min(1, c / σ), c = coefficient: weight (..., outputs, inputs) and σ (...)."""
    return weight * (coefficient / stretch.clamp(min=coefficient))[..., None, None]


class LipschitzLinear(nn.Linear):
    """A linear layer that stretches by at most c: weight · min(1, c / σ), σ the largest singular value of the weight.

    Args:
        inputs, outputs: sizes.
        coefficient: c, above zero.

    >>> layer = LipschitzLinear(3, 5, coefficient=0.5)
    >>> bool(torch.linalg.matrix_norm(layer.bounded(), ord=2) < 0.5 + 1e-6)
    True
    """

    def __init__(self, inputs: int, outputs: int, coefficient: float = 1.0):
        owner = "LipschitzLinear"
        super().__init__(check_count(owner, "inputs", inputs), check_count(owner, "outputs", outputs))
        self.coefficient = check_above_zero(owner, "coefficient", coefficient)

    def stretch(self) -> Tensor:
        """σ of the weight as it is, ()."""
        return matrix_stretch(self.weight)

    def bounded(self) -> Tensor:
        """The weight that the layer multiplies by."""
        return self.together([self])[0]

    @staticmethod
    def together(layers: "Sequence[LipschitzLinear]") -> Tensor:
        """The bounded weights of K layers of one size and coefficient, (K, outputs, inputs)."""
        weights = torch.stack([layer.weight for layer in layers])
        return shrunk(weights, matrix_stretch(weights), layers[0].coefficient)

    def apply_to(self, z: Tensor, weight: Tensor, shift: Tensor | None = None) -> Tensor:
        """z (..., inputs) -> (..., outputs)."""
        if shift is None or shift.dim() == 1:
            return linear(z, weight, shift)
        return linear(z, weight) + shift

    def spread(self, shift: Tensor) -> Tensor:
        """A shift (..., outputs) as it is added."""
        return shift

    def forward(self, z: Tensor) -> Tensor:
        return self.apply_to(z, self.bounded(), self.bias)


class LipschitzConv2d(nn.Conv2d):
    """A convolution with zeros around the image that stretches images of one size by at most c.

    The weight is multiplied by min(1, c / σ), σ the largest singular value of the convolution as a matrix of
    (inputs · H · W) × (outputs · H · W) numbers. The smaller of its two products with its transpose is built by
    convolving unit images; with a kernel of one pixel the weight alone is enough. A step pays for an eigenvector of
    n × n numbers, n = min(inputs, outputs) · H · W: half a millisecond at n = 64, half a second at n = 1000.

    Args:
        inputs, outputs: channels.
        size: H and W of the images, whose size the layer keeps.
        kernel: height and width of the kernel, odd.
        coefficient: c, above zero.

    >>> LipschitzConv2d(2, 3, (4, 6), coefficient=0.5)(torch.zeros(5, 2, 4, 6)).shape
    torch.Size([5, 3, 4, 6])
    """

    def __init__(self, inputs: int, outputs: int, size: Sequence[int], kernel: int = 3, coefficient: float = 1.0):
        owner = "LipschitzConv2d"
        inputs, outputs = check_count(owner, "inputs", inputs), check_count(owner, "outputs", outputs)
        self.size = check_image(owner, (inputs, *size))[1:]
        if check_count(owner, "kernel", kernel) % 2 == 0:
            raise ValueError(f"{owner}: kernel must be odd, so that an image keeps its size; got {kernel}.")
        super().__init__(inputs, outputs, kernel, padding=kernel // 2)
        self.coefficient = check_above_zero(owner, "coefficient", coefficient)

    def stretch(self) -> Tensor:
        """σ of the map as it is, on images of this size, ()."""
        few_outputs = self.out_channels <= self.in_channels
        if self.kernel_size == (1, 1):
            return matrix_stretch(self.weight.flatten(1))
        along = conv_transpose2d if few_outputs else conv2d  # from the side with fewer channels to the other
        image = (min(self.in_channels, self.out_channels), *self.size)

        def rows(points: Tensor) -> Tensor:
            return along(points.reshape(-1, *image), self.weight, padding=self.padding).flatten(1)

        dim = image[0] * self.size.numel()
        a = rows(torch.eye(dim, dtype=self.weight.dtype, device=self.weight.device)).detach()
        return top_stretch(a @ a.mT, rows)

    def bounded(self) -> Tensor:
        """The weight that the layer convolves with."""
        return shrunk(self.weight, self.stretch(), self.coefficient)

    @staticmethod
    def together(layers: "Sequence[LipschitzConv2d]") -> Tensor:
        """The bounded weights of K layers of one size, (K, outputs, inputs, height, width)."""
        return torch.stack([layer.bounded() for layer in layers])

    def apply_to(self, z: Tensor, weight: Tensor, shift: Tensor | None = None) -> Tensor:
        """z (..., inputs, H, W) -> (..., outputs, H, W)."""
        out = conv2d(z.reshape(-1, *z.shape[-3:]), weight, padding=self.padding)
        out = out.reshape(*z.shape[:-3], *out.shape[1:])
        return out if shift is None else out + shift

    def spread(self, shift: Tensor) -> Tensor:
        """A shift of each channel (..., outputs) as it is added to images."""
        return shift[..., None, None]

    def forward(self, z: Tensor) -> Tensor:
        return self.apply_to(z, self.bounded(), self.spread(self.bias))


class LipSwish(nn.Module):
    """h σ(β h) / 1.1: smooth, and nowhere steeper than 1, whatever β > 0. One β = softplus(b) a layer is learned.

    With s(u) = u σ(u) it is s(β h) / (1.1 β), and the slope of s is at most 1.0998.

    >>> LipSwish()(torch.zeros(3))
    tensor([0., 0., 0.], grad_fn=<DivBackward0>)
    """

    def __init__(self) -> None:
        super().__init__()
        self.b = nn.Parameter(torch.tensor(0.5))

    def forward(self, h: Tensor) -> Tensor:
        beta = softplus(self.b)
        return silu(beta * h) / (LIPSWISH * beta)


class LipschitzNet(nn.Module):
    """Layers with LipSwish between them; each of the n layers stretches by at most c^{1/n}, so all of them by c.

    `net.at(context)` bounds the weights once and is a function of z alone, for a solver that asks it many times.

    Args:
        layers: LipschitzLinear or LipschitzConv2d, built with coefficient c^{1/n}; the last starts at zero.
        event_shape: of a point z, and of g(z).
        context_dim: size of the context, 0 for none.
        width: of the first hidden layer, which a context shifts.
    """

    def __init__(
        self,
        layers: Sequence[LipschitzLinear | LipschitzConv2d],
        event_shape: Sequence[int],
        context_dim: int,
        width: int,
    ):
        super().__init__()
        self.event_shape, self.context_dim = torch.Size(event_shape), context_dim
        self.layers = nn.ModuleList(layers)
        self.bends = nn.ModuleList(LipSwish() for _ in layers[1:])
        self.context = nn.Linear(context_dim, width, bias=False) if context_dim else None
        start_at_zero(self.layers[-1])

    def at(self, context: Tensor | None = None) -> "AtContext":
        """g at one context, or at one for each point, (..., context_dim): a function of z."""
        return at_once([self], context)[0]

    def forward(self, z: Tensor, context: Tensor | None = None) -> Tensor:
        return self.at(context)(z)


class AtContext:
    """A `LipschitzNet` at one context, its weights bounded: z -> g(z), and with `push` its tangents too.

    The chain rule by hand, forwards: a tangent t of z becomes J t through the same layers, and each bend
    s(u) = u σ(u) between them multiplies it by its slope. That takes a quarter of the time of autograd's own forward
    mode, `Anywhere`.
    """

    def __init__(self, layers: list[nn.Module], weights: list[Tensor], shifts: list[Tensor]):
        self.layers, self.weights, self.shifts = layers, weights, shifts

    def __call__(self, z: Tensor) -> Tensor:
        for k, (layer, weight, shift) in enumerate(zip(self.layers, self.weights, self.shifts, strict=True)):
            z = layer.apply_to(silu(z) if k else z, weight, shift)
        return z

    def push(self, z: Tensor) -> Pushed:
        """g(z), and the function that takes tangents (n, ..., *event), n of each point, to J t of the same shape. Where
        a tangent is the same for all points its batch dimensions may be 1."""
        slopes: list[Tensor] = []
        for k, (layer, weight, shift) in enumerate(zip(self.layers, self.weights, self.shifts, strict=True)):
            if k:
                gate = torch.sigmoid(z)
                z = z * gate
                slopes.append(torch.addcmul(gate, z, 1.0 - gate))  # s' = σ + s (1 − σ)
            z = layer.apply_to(z, weight, shift)

        def along(tangents: Tensor) -> Tensor:
            for k, (layer, weight) in enumerate(zip(self.layers, self.weights, strict=True)):
                tangents = layer.apply_to(tangents * slopes[k - 1] if k else tangents, weight)
            return tangents

        return z, along


def at_once(nets: Sequence[LipschitzNet], context: Tensor | None) -> list[AtContext]:
    """Networks of one kind and size, each at the same context: their weights are bounded in the same few operations."""
    layers = list(zip(*(net.layers for net in nets), strict=True))  # the first ones, the second ones, ...
    weights = [each[0].together(each) for each in layers]  # (K, outputs, inputs, ...)
    shifts = [torch.stack([layer.bias for layer in each]) for each in layers]  # (K, outputs)
    scales = []
    for k, bends in enumerate(zip(*(net.bends for net in nets), strict=True)):  # parts of the weights before and after
        beta = softplus(torch.stack([bend.b for bend in bends]))
        scales.append(beta.unbind())
        beta = beta.reshape(-1, 1, *(1 for _ in weights[k].shape[2:]))
        weights[k], weights[k + 1] = weights[k] * beta, weights[k + 1] / (LIPSWISH * beta)
        shifts[k] = shifts[k] * beta.flatten(1)
    weights, shifts = (list(zip(*(part.unbind() for part in parts), strict=True)) for parts in (weights, shifts))
    found = []
    for net, weight, shift, beta in zip(nets, weights, shifts, scales[0], strict=True):
        first, *rest = shift
        if check_context(context, net.context_dim) is not None:
            first = first + beta * net.context(context.to(first.dtype))
        shift = [layer.spread(each) for layer, each in zip(net.layers, [first, *rest], strict=True)]
        found.append(AtContext(list(net.layers), list(weight), shift))
    return found


class Anywhere:
    """Any other network at one context, with the two faces of `AtContext`; its tangents come from autograd."""

    def __init__(self, net: nn.Module, context: Tensor | None):
        self.net, self.context = net, context

    def __call__(self, z: Tensor) -> Tensor:
        return self.net(z) if self.context is None else self.net(z, self.context)

    def push(self, z: Tensor) -> Pushed:
        """As in `AtContext`."""

        def along(tangents: Tensor) -> Tensor:
            return vmap(lambda t: jvp(self, (z,), (t,))[1])(tangents.expand(-1, *z.shape))

        return self(z), along


class LipschitzMLP(LipschitzNet):
    """Linear layers with LipSwish between them, g: (..., D) -> (..., D), that stretch by at most c.

    Args:
        dim: D.
        hidden: sizes of the hidden layers, one at least.
        coefficient: c; below 1, z + g(z) can be inverted.
        context_dim: size of the context, 0 for none.

    >>> LipschitzMLP(3, hidden=[8], coefficient=0.9)(torch.zeros(5, 3)).shape
    torch.Size([5, 3])
    """

    def __init__(self, dim: int, hidden: Sequence[int] = (64, 64), coefficient: float = 0.9, context_dim: int = 0):
        owner = "LipschitzMLP"
        sizes = [check_count(owner, "dim", dim), *check_hidden(owner, hidden), dim]
        if len(sizes) < 3:
            raise ValueError(f"{owner}: hidden must hold one size or more, e.g. [64, 64]; got {hidden!r}.")
        check_count(owner, "context_dim", context_dim, 0)
        share = check_above_zero(owner, "coefficient", coefficient) ** (1.0 / (len(sizes) - 1))
        super().__init__([LipschitzLinear(a, b, share) for a, b in pairwise(sizes)], [dim], context_dim, sizes[1])
        self.sizes, self.coefficient = sizes, coefficient

    def extra_repr(self) -> str:
        return f"{' → '.join(map(str, self.sizes))}, Lipschitz ≤ {self.coefficient:g}"


class LipschitzConvNet(LipschitzNet):
    """Three convolutions, 3 × 3, 1 × 1 and 3 × 3, with LipSwish between them, that stretch by at most c.

    Args:
        channels: C; g maps images (..., C, H, W) to the same shape.
        size: H and W.
        width: channels inside.
        coefficient: c; below 1, z + g(z) can be inverted.
        context_dim: size of the context, 0 for none.

    >>> LipschitzConvNet(4, (4, 4), width=8)(torch.zeros(5, 4, 4, 4)).shape
    torch.Size([5, 4, 4, 4])
    """

    def __init__(
        self, channels: int, size: Sequence[int], width: int = 32, coefficient: float = 0.9, context_dim: int = 0
    ):
        owner = "LipschitzConvNet"
        shape = check_image(owner, (channels, *size))
        check_count(owner, "width", width)
        check_count(owner, "context_dim", context_dim, 0)
        share = check_above_zero(owner, "coefficient", coefficient) ** (1.0 / 3.0)
        layers = [
            LipschitzConv2d(channels, width, shape[1:], 3, share),
            LipschitzConv2d(width, width, shape[1:], 1, share),
            LipschitzConv2d(width, channels, shape[1:], 3, share),
        ]
        super().__init__(layers, shape, context_dim, width)
        self.coefficient = coefficient

    def extra_repr(self) -> str:
        channels, *size = self.event_shape
        width = self.layers[1].in_channels
        return (
            f"{channels} → {width} → {width} → {channels} on {' × '.join(map(str, size))}, "
            f"Lipschitz ≤ {self.coefficient:g}"
        )
