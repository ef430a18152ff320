"""Conditioners: the networks that supply a law with its parameters. They need not be invertible.

`MLP` looks at one part of a vector and speaks about another (coupling layers). `MADE` and `CausalTransformer` look at a
whole vector and speak about each coordinate from the coordinates before it alone (autoregressive layers). The last
layer of each starts at zero, so that a flow starts as the identity.

An autoregressive conditioner has two faces that agree exactly:

    net(x, context) -> params (..., D, n_params)                            all coordinates in one pass
    state = net.begin(x, context)                                           x (N, D)
    params_i, state = net.step(state, i, x_{i-1})                           one coordinate at a time, nothing twice

`net.order` says which coordinate the i-th step is about.
"""

import math
from collections.abc import Sequence
from itertools import pairwise

import torch
from torch import Tensor, nn
from torch.nn.functional import gelu, linear, relu

from flowlib.checks import check_count


class MLP(nn.Sequential):
    """Linear layers with ReLU between them: (..., inputs) -> (..., outputs).

    >>> MLP(3, 4, hidden=[8])(torch.zeros(5, 3)).shape
    torch.Size([5, 4])
    """

    def __init__(self, inputs: int, outputs: int, hidden: Sequence[int] = (64, 64)):
        sizes = [check_count("MLP", "inputs", inputs, 0), *check_hidden("MLP", hidden)]
        layers: list[nn.Module] = []
        for before, after in pairwise(sizes):
            layers += [nn.Linear(before, after), nn.ReLU()]
        last = nn.Linear(sizes[-1], check_count("MLP", "outputs", outputs))
        super().__init__(*layers, start_at_zero(last))


class MADE(nn.Module):
    """An MLP whose weights are masked so that the parameters of x_i depend on x_1, ..., x_{i−1} alone.

    Every unit has a degree: input i has degree i, context 0, hidden units take the degrees between in equal shares, in
    ascending order. A hidden unit listens to units of at most its degree, the parameters of x_i to units below i.
    Because degrees ascend, one coordinate at a time needs each weight exactly once: D steps cost one full pass.

    Args:
        dim: D.
        n_params: parameters per coordinate, `law.n_params`.
        hidden: sizes of the hidden layers.
        context_dim: size of the context that every coordinate may see.
        reverse: count the degrees of the coordinates from the last one: x_i looks at x_{i+1}, ..., x_D alone.

    Paper: Germain et al. (2015), MADE; Papamakarios et al. (2017), Masked autoregressive flow.

    >>> MADE(3, 2)(torch.zeros(5, 3)).shape
    torch.Size([5, 3, 2])
    """

    def __init__(
        self,
        dim: int,
        n_params: int,
        hidden: Sequence[int] = (64, 64),
        context_dim: int = 0,
        reverse: bool = False,
    ):
        super().__init__()
        self.dim, self.n_params = check_count("MADE", "dim", dim), check_count("MADE", "n_params", n_params)
        self.context_dim = check_count("MADE", "context_dim", context_dim, 0)
        self.order = range(dim)[::-1] if reverse else range(dim)
        rank = torch.tensor(self.order)  # its own inverse
        lowest = 0 if context_dim or dim == 1 else 1
        degrees = [torch.cat([torch.zeros(context_dim), rank + 1])]
        degrees += [lowest + torch.arange(size) * (dim - lowest) // size for size in check_hidden("MADE", hidden)]
        degrees += [rank.repeat_interleave(n_params)]  # one below the coordinate they speak about
        self.layers = nn.ModuleList()
        for k, (before, after) in enumerate(pairwise(degrees)):
            self.layers.append(nn.Linear(len(before), len(after)))
            self.register_buffer(f"mask_{k}", (after[:, None] >= before[None, :]).float(), persistent=False)
        start_at_zero(self.layers[-1])
        # how many units of each layer have a degree below 0, 1, ..., dim
        self.below = [[int((layer < degree).sum()) for degree in range(dim + 1)] for layer in degrees[1:]]

    def weight(self, k: int) -> Tensor:
        """The masked weight of layer k."""
        return self.layers[k].weight * getattr(self, f"mask_{k}")

    def forward(self, x: Tensor, context: Tensor | None = None) -> Tensor:
        h = with_context(x, context, self.context_dim, first=True)
        last = len(self.layers) - 1
        for k, layer in enumerate(self.layers):
            h = linear(h, self.weight(k), layer.bias)
            h = relu(h) if k < last else h
        return h.unflatten(-1, (self.dim, self.n_params))

    def begin(self, x: Tensor, context: Tensor | None = None) -> tuple[list[Tensor], list[Tensor]]:
        """The weights (inputs, outputs), both in the order of the steps, and what each layer's units have heard so far
        (N, outputs): their biases, and the context in the first layer. x (N, D)."""
        weights = [self.weight(k).T.contiguous() for k in range(len(self.layers))]
        biases = [layer.bias for layer in self.layers]
        if self.order[0] > 0:
            told, seen = weights[0].split([self.context_dim, self.dim])
            weights[0] = torch.cat([told, seen.flip(0)])
            weights[-1], biases[-1] = (
                out.unflatten(-1, (self.dim, self.n_params)).flip(-2).flatten(-2) for out in (weights[-1], biases[-1])
            )
        heard = [x.new_zeros(len(x), 1) + bias for bias in biases]
        if self.context_dim:
            seen = with_context(x[:, :0], context, self.context_dim, first=True)
            heard[0] = heard[0] + seen @ weights[0][: self.context_dim]
        return weights, heard

    def step(self, state: tuple, i: int, previous: Tensor | None) -> tuple[Tensor, tuple]:
        """The parameters (N, n_params) of the i-th coordinate in `order`, once the one before it (N,) is known."""
        weights, heard = state
        speaks, start, left = None if i == 0 else previous.unsqueeze(-1), self.context_dim + i - 1, []
        for weight, before, below in zip(weights, heard, self.below, strict=True):
            if speaks is not None:  # to the units that have not spoken yet
                spoken = weight.shape[-1] - before.shape[-1]
                before = hear(before, speaks, weight[start : start + speaks.shape[-1], spoken:])
            start, end = below[i], below[i + 1]
            params, rest = before.split([end - start, before.shape[-1] - end + start], -1)
            speaks = relu(params)
            left.append(rest)
        return params, (weights, left)


def hear(before: Tensor, speaks: Tensor, weight: Tensor) -> Tensor:
    """before + speaks @ weight: (N, o), (N, i), (i, o) -> (N, o). In place where no gradient needs what was before."""
    if speaks.shape[-1] == 1:  # an outer product is no work for a matrix multiplication
        return torch.addcmul(before, speaks, weight) if torch.is_grad_enabled() else before.addcmul_(speaks, weight)
    return torch.addmm(before, speaks, weight) if torch.is_grad_enabled() else before.addmm_(speaks, weight)


class CausalTransformer(nn.Module):
    """A decoder whose tokens are coordinates: the parameters of x_i come from attention over x_1, ..., x_{i−1}.

    Token i carries x_{i−1} (a start token for the first), so causal attention is enough. One coordinate at a time keeps
    the keys and values of the tokens so far.

    Args:
        dim: D.
        n_params: parameters per coordinate, `law.n_params`.
        width: size of a token, a multiple of heads.
        heads, depth: attention heads; blocks.
        context_dim: size of the context that every token may see.
        reverse: the tokens run from the last coordinate to the first.

    Paper: Vaswani et al. (2017); as a flow, Patacchiola et al. (2024), Transformer neural autoregressive flows, and
    Zhai et al. (2024), TarFlow.

    >>> CausalTransformer(3, 2)(torch.zeros(5, 3)).shape
    torch.Size([5, 3, 2])
    """

    def __init__(
        self,
        dim: int,
        n_params: int,
        width: int = 64,
        heads: int = 4,
        depth: int = 2,
        context_dim: int = 0,
        reverse: bool = False,
    ):
        super().__init__()
        self.dim, self.n_params = check_count("CausalTransformer", "dim", dim), n_params
        self.context_dim = check_count("CausalTransformer", "context_dim", context_dim, 0)
        check_count("CausalTransformer", "n_params", n_params)
        check_heads("CausalTransformer", width, heads)
        self.order = range(dim)[::-1] if reverse else range(dim)
        self.embed = nn.Linear(1, width)
        self.position = nn.Parameter(torch.randn(dim, width) / math.sqrt(width))
        self.context = nn.Linear(context_dim, width) if context_dim else None
        self.blocks = nn.ModuleList(
            Block(width, heads) for _ in range(check_count("CausalTransformer", "depth", depth))
        )
        self.norm = nn.LayerNorm(width)
        self.head = start_at_zero(nn.Linear(width, n_params))

    def tokens(self, x: Tensor, positions: Tensor, context: Tensor | None) -> Tensor:
        """Values x (..., T) at their positions (T, width) as tokens (..., T, width)."""
        tokens = self.embed(x.unsqueeze(-1)) + positions
        if self.context is None:
            return tokens
        return tokens + self.context(with_context(x[..., :0], context, self.context_dim, first=True)).unsqueeze(-2)

    def forward(self, x: Tensor, context: Tensor | None = None) -> Tensor:
        reverse = self.order[0] > 0
        x = x.flip(-1) if reverse else x
        shifted = torch.cat([torch.zeros_like(x[..., :1]), x[..., :-1]], -1)  # (..., D)
        h = self.tokens(shifted, self.position, context)
        for block in self.blocks:
            h, _ = block(h, None)
        params = self.head(self.norm(h))  # (..., D, n_params)
        return params.flip(-2) if reverse else params

    def begin(self, x: Tensor, context: Tensor | None = None) -> tuple:
        """Nothing seen yet: a start value, the context, and an empty cache a block."""
        return torch.zeros_like(x[..., :1]), context, [None] * len(self.blocks)

    def step(self, state: tuple, i: int, previous: Tensor | None) -> tuple[Tensor, tuple]:
        """The parameters of coordinate i (..., n_params) once x_{i−1} (...) is known."""
        start, context, caches = state
        value = start if i == 0 else previous.unsqueeze(-1)
        h, seen = self.tokens(value, self.position[i : i + 1], context), []
        for block, cache in zip(self.blocks, caches, strict=True):
            h, cache = block(h, cache)
            seen.append(cache)
        return self.head(self.norm(h)).squeeze(-2), (start, context, seen)


class Block(nn.Module):
    """Causal self-attention and a two-layer network, each added to its input."""

    def __init__(self, width: int, heads: int):
        super().__init__()
        self.heads = heads
        self.norm_1, self.norm_2 = nn.LayerNorm(width), nn.LayerNorm(width)
        self.qkv, self.out = nn.Linear(width, 3 * width), nn.Linear(width, width)
        self.up, self.down = nn.Linear(width, 4 * width), nn.Linear(4 * width, width)

    def forward(self, h: Tensor, cache: tuple[Tensor, Tensor] | None) -> tuple[Tensor, tuple[Tensor, Tensor]]:
        """h (..., T, width), all tokens (no cache) or the newest alone -> the same shape, and keys and values."""
        q, k, v = (
            part.unflatten(-1, (self.heads, -1)).transpose(-2, -3)  # (..., heads, T, width / heads)
            for part in self.qkv(self.norm_1(h)).chunk(3, -1)
        )
        if cache is not None:
            k, v = torch.cat([cache[0], k], -2), torch.cat([cache[1], v], -2)
        scores = q @ k.mT / math.sqrt(q.shape[-1])  # (..., heads, T, tokens so far)
        later = torch.ones(scores.shape[-2:], dtype=torch.bool, device=h.device).triu(
            scores.shape[-1] - scores.shape[-2] + 1
        )
        seen = scores.masked_fill(later, -torch.inf).softmax(-1) @ v
        h = h + self.out(seen.transpose(-2, -3).flatten(-2))
        return h + self.down(gelu(self.up(self.norm_2(h)))), (k, v)


def with_context(x: Tensor, context: Tensor | None, context_dim: int, first: bool = False) -> Tensor:
    """x (..., d) joined by the context (..., C); one context (C,) serves every row."""
    if check_context(context, context_dim) is None:
        return x
    context = context.expand(*x.shape[:-1], context_dim)
    return torch.cat([context, x] if first else [x, context], -1)


def check_context(context: Tensor | None, context_dim: int) -> Tensor | None:
    """`context` if it has the size that a layer was built for; ValueError otherwise."""
    if context_dim == 0:
        if context is not None:
            raise ValueError(f"this layer takes no context; got one of shape {tuple(context.shape)}.")
    elif context is None or context.shape[-1:] != (context_dim,):
        got = "none" if context is None else f"shape {tuple(context.shape)}"
        raise ValueError(f"this layer needs a context of shape (..., {context_dim}); got {got}.")
    return context


def check_heads(owner: str, width: int, heads: int) -> None:
    if check_count(owner, "width", width) % check_count(owner, "heads", heads):
        raise ValueError(f"{owner}: width must be a multiple of heads = {heads}; got {width}.")


def check_hidden(owner: str, hidden: Sequence[int]) -> list[int]:
    return [check_count(owner, "hidden", size) for size in hidden]


def start_at_zero(layer: nn.Linear | nn.Conv2d) -> nn.Linear | nn.Conv2d:
    """The layer with weight and bias zero, so that every law begins as the identity."""
    nn.init.zeros_(layer.weight)
    nn.init.zeros_(layer.bias)
    return layer
