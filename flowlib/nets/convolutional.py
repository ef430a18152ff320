"""Conditioners for images: convolutional networks that supply a law with the parameters of every pixel.

Both look at channels (..., inputs, H, W) and answer with (..., outputs, H, W); the size of the image is free. The last
layer starts at zero, so that a flow starts as the identity. A context, e.g. a class as a one-hot vector, is added to
every pixel alike, as a bias for each channel.
"""

import torch
from torch import Tensor, nn
from torch.nn.functional import elu, relu

from flowlib.nets.mlp import start_at_zero
from flowlib.support.checks import check_context, check_count


class ConvNet(nn.Module):
    """A residual network of gated 3 × 3 convolutions.

    h starts as a convolution of the input. Each block adds a ⊙ σ(b) to it, with (a, b) two convolutions away from h:
    the gate σ(b) decides pixel by pixel how much of a is let in. The norm before a convolution is over the
    numbers of one image, so an image's answer does not depend on its batch. Each block sees two pixels further.

    Args:
        inputs, outputs: channels, e.g. `partition.kept` and `partition.moved * law.n_params`.
        width: channels inside.
        blocks: how many, 0 or more.
        context_dim: size of the context, 0 for none.

    Paper: gated residual blocks as in van den Oord et al. (2016), Conditional image generation with PixelCNN decoders,
    arXiv 1606.05328 (the gate), and He et al. (2016), Identity mappings in deep residual networks, arXiv 1603.05027
    (norm, bend, convolution).

    >>> ConvNet(2, 4, width=8)(torch.zeros(5, 2, 6, 6)).shape
    torch.Size([5, 4, 6, 6])
    """

    def __init__(self, inputs: int, outputs: int, width: int = 32, blocks: int = 2, context_dim: int = 0):
        super().__init__()
        self.inputs, self.outputs = check_count("ConvNet", "inputs", inputs), check_count("ConvNet", "outputs", outputs)
        self.context_dim = check_count("ConvNet", "context_dim", context_dim, 0)
        self.first = convolution(inputs, check_count("ConvNet", "width", width))
        self.blocks = nn.ModuleList(
            GatedBlock(width, context_dim) for _ in range(check_count("ConvNet", "blocks", blocks, 0))
        )
        self.norm = nn.GroupNorm(1, width)
        self.last = start_at_zero(convolution(width, outputs))

    def forward(self, x: Tensor, context: Tensor | None = None) -> Tensor:
        images, context = as_one_batch(x, context, self.context_dim)
        h = self.first(images)  # (N, width, H, W)
        for block in self.blocks:
            h = block(h, context)
        params = self.last(elu(self.norm(h)))
        return params.reshape(*x.shape[:-3], *params.shape[1:])

    def extra_repr(self) -> str:
        return f"{self.inputs} → {len(self.blocks)} blocks of {self.norm.num_channels} → {self.outputs}"


class GatedBlock(nn.Module):
    """h + a ⊙ σ(b)."""

    def __init__(self, width: int, context_dim: int):
        super().__init__()
        self.norm = nn.GroupNorm(1, width)
        self.look = convolution(width, width)
        self.context = nn.Linear(context_dim, width) if context_dim else None
        self.gate = convolution(width, 2 * width)

    def forward(self, h: Tensor, context: Tensor | None) -> Tensor:
        """h (N, width, H, W), context (N, context_dim) -> (N, width, H, W)."""
        inner = self.look(elu(self.norm(h)))
        if self.context is not None:
            inner = inner + self.context(context)[..., None, None]
        a, b = self.gate(elu(inner)).chunk(2, -3)
        return h + a * torch.sigmoid(b)


class GlowNet(nn.Module):
    """Three convolutions, 3 × 3, 1 × 1 and 3 × 3, with ReLU between them: shallow, because a Glow has many.

    Args:
        inputs, outputs: channels.
        width: channels inside; the paper has 512.
        context_dim: size of the context, 0 for none.

    Paper: Kingma and Dhariwal (2018), Glow, section 3.3, arXiv 1807.03039 (the last layer starts at zero).

    >>> GlowNet(2, 4, width=8)(torch.zeros(5, 2, 6, 6)).shape
    torch.Size([5, 4, 6, 6])
    """

    def __init__(self, inputs: int, outputs: int, width: int = 64, context_dim: int = 0):
        super().__init__()
        self.inputs, self.outputs = check_count("GlowNet", "inputs", inputs), check_count("GlowNet", "outputs", outputs)
        self.context_dim = check_count("GlowNet", "context_dim", context_dim, 0)
        self.first = convolution(inputs, check_count("GlowNet", "width", width))
        self.context = nn.Linear(context_dim, width) if context_dim else None
        self.middle = nn.Conv2d(width, width, 1)
        self.last = start_at_zero(convolution(width, outputs))

    def forward(self, x: Tensor, context: Tensor | None = None) -> Tensor:
        images, context = as_one_batch(x, context, self.context_dim)
        h = self.first(images)  # (N, width, H, W)
        if self.context is not None:
            h = h + self.context(context)[..., None, None]
        params = self.last(relu(self.middle(relu(h))))
        return params.reshape(*x.shape[:-3], *params.shape[1:])

    def extra_repr(self) -> str:
        return f"{self.inputs} → {self.middle.in_channels} → {self.middle.out_channels} → {self.outputs}"


def convolution(inputs: int, outputs: int) -> nn.Conv2d:
    """3 × 3, with zeros around the image, so that it keeps its size."""
    return nn.Conv2d(inputs, outputs, 3, padding=1)


def as_one_batch(x: Tensor, context: Tensor | None, context_dim: int) -> tuple[Tensor, Tensor | None]:
    """x (..., C, H, W) as (N, C, H, W), and the context of each image, (N, context_dim)."""
    images = x.reshape(-1, *x.shape[-3:])
    if check_context(context, context_dim) is None:
        return images, None
    return images, context.to(x.dtype).expand(*x.shape[:-3], context_dim).reshape(-1, context_dim)


class PixelNet(nn.Module):
    """Two convolutions of one kernel size with a ReLU between them, for couplings of feature maps.

    Of kernel 1 it looks at each pixel alone, of kernel 3 at its neighbors within two pixels; there is no norm over the
    image, so a defect changes the answer in its own neighborhood only.

    Args:
        inputs, outputs: channels.
        width: channels inside.
        kernel: 1 or 3.

    Paper: Yu et al. (2021), FastFlow, section 3.2, arXiv 2111.07677 (3 × 3 and 1 × 1 in turns).

    >>> PixelNet(2, 4, width=8, kernel=1)(torch.zeros(5, 2, 6, 6)).shape
    torch.Size([5, 4, 6, 6])
    """

    def __init__(self, inputs: int, outputs: int, width: int = 32, kernel: int = 3):
        super().__init__()
        if kernel not in (1, 3):
            raise ValueError(f"PixelNet: kernel must be 1 or 3; got {kernel!r}.")
        self.inputs, self.outputs = (
            check_count("PixelNet", "inputs", inputs),
            check_count("PixelNet", "outputs", outputs),
        )
        self.first = nn.Conv2d(inputs, check_count("PixelNet", "width", width), kernel, padding=kernel // 2)
        self.last = start_at_zero(nn.Conv2d(width, outputs, kernel, padding=kernel // 2))

    def forward(self, x: Tensor, context: Tensor | None = None) -> Tensor:
        images, _ = as_one_batch(x, context, 0)
        params = self.last(relu(self.first(images)))
        return params.reshape(*x.shape[:-3], *params.shape[1:])

    def extra_repr(self) -> str:
        kernel = self.last.kernel_size[0]
        return f"{self.inputs} → {self.last.in_channels} → {self.outputs}, {kernel} × {kernel}"
