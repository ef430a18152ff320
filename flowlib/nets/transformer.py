"""A causal transformer: the parameters of each coordinate by attention over the coordinates before it."""

import math

import torch
from torch import Tensor, nn
from torch.nn.functional import gelu

from flowlib.nets.mlp import start_at_zero, with_context
from flowlib.support.checks import check_count


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

    def extra_repr(self) -> str:
        width = self.embed.out_features
        return f"{self.dim} tokens of {width}, {len(self.blocks)} blocks → {self.dim} × {self.n_params}"

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


def check_heads(owner: str, width: int, heads: int) -> None:
    if check_count(owner, "width", width) % check_count(owner, "heads", heads):
        raise ValueError(f"{owner}: width must be a multiple of heads = {heads}; got {width}.")
