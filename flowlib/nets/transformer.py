"""Causal transformers: the parameters of each coordinate by attention over the coordinates before it."""

import math

import torch
from torch import Tensor, nn
from torch.nn.functional import gelu

from flowlib.nets.mlp import start_at_zero
from flowlib.support.checks import check_context, check_count


class CausalDecoder(nn.Module):
    """Causal attention over a vector x (..., D) that is cut into T tokens of P numbers, D = T P.

    Token t carries the numbers of token t − 1 (zeros for the first), so attention to itself and the tokens before it
    makes h_t from what precedes token t in x. One token at a time keeps the keys and values of the tokens so far.
    A subclass says how h_t becomes parameters, all at once (`params`) and step by step (`begin`, `step`).

    Args:
        tokens, size: T and P.
        n_params: parameters per number, `law.n_params`.
        width: size of h_t, a multiple of heads.
        heads, depth: attention heads; blocks.
        context_dim: size of the context that every token may see.
        reverse: from the last number to the first.

    Paper: Vaswani et al. (2017), Attention is all you need, section 3, arXiv 1706.03762.
    """

    def __init__(
        self, tokens: int, size: int, n_params: int, width: int, heads: int, depth: int, context_dim: int, reverse: bool
    ):
        super().__init__()
        owner = type(self).__name__
        self.tokens, self.size = check_count(owner, "tokens", tokens), check_count(owner, "size", size)
        self.dim, self.n_params = tokens * size, check_count(owner, "n_params", n_params)
        self.context_dim = check_count(owner, "context_dim", context_dim, 0)
        if check_count(owner, "width", width) % check_count(owner, "heads", heads):
            raise ValueError(f"{owner}: width must be a multiple of heads = {heads}; got {width}.")
        self.order = range(self.dim)[::-1] if reverse else range(self.dim)
        self.embed = nn.Linear(size, width)
        self.position = nn.Parameter(torch.randn(tokens, width) / math.sqrt(width))
        self.context = nn.Linear(context_dim, width) if context_dim else None
        self.blocks = nn.ModuleList(Block(width, heads) for _ in range(check_count(owner, "depth", depth)))
        self.norm = nn.LayerNorm(width)

    def params(self, values: Tensor, h: Tensor) -> Tensor:
        """Numbers (..., T, P) and h (..., T, width) -> parameters (..., D, n_params)."""
        raise NotImplementedError(f"{type(self).__name__} must define params(values, h).")

    def attend(self, carried: Tensor, first: int, context: Tensor | None, caches: list) -> tuple[Tensor, list]:
        """Tokens that carry these numbers (..., t, P), the first of them token `first` -> h (..., t, width), caches."""
        h, grown = self.embed(carried) + self.position[first : first + carried.shape[-2]], []
        if check_context(context, self.context_dim) is not None:
            h = h + self.context(context.to(h.dtype)).unsqueeze(-2)
        for block, cache in zip(self.blocks, caches, strict=True):
            h, cache = block(h, cache)
            grown.append(cache)
        return self.norm(h), grown

    def forward(self, x: Tensor, context: Tensor | None = None) -> Tensor:
        reverse = self.order[0] > 0
        values = (x.flip(-1) if reverse else x).unflatten(-1, (self.tokens, self.size))  # (..., T, P)
        carried = torch.cat([torch.zeros_like(values[..., :1, :]), values[..., :-1, :]], -2)
        h, _ = self.attend(carried, 0, context, [None] * len(self.blocks))
        params = self.params(values, h)  # (..., D, n_params)
        return params.flip(-2) if reverse else params

    def extra_repr(self) -> str:
        tokens = f"{self.tokens} tokens of {self.embed.out_features}"
        return f"{tokens}, {len(self.blocks)} blocks → {self.dim} × {self.n_params}"


class CausalTransformer(CausalDecoder):
    """A decoder whose tokens are coordinates: the parameters of x_i come from attention over x_1, ..., x_{i−1}.

    Args:
        dim: D.
        n_params: parameters per coordinate, `law.n_params`.
        width: size of a token, a multiple of heads.
        heads, depth: attention heads; blocks.
        context_dim: size of the context that every token may see.
        reverse: the tokens run from the last coordinate to the first.

    Paper: Vaswani et al. (2017), arXiv 1706.03762; as a flow, Patacchiola et al. (2024), Transformer neural
    autoregressive flows, arXiv 2401.01855, and Zhai et al. (2024), TarFlow, arXiv 2412.06329.

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
        tokens = check_count("CausalTransformer", "dim", dim)
        super().__init__(tokens, 1, n_params, width, heads, depth, context_dim, reverse)
        self.head = start_at_zero(nn.Linear(width, n_params))

    def params(self, values: Tensor, h: Tensor) -> Tensor:
        return self.head(h)

    def begin(self, x: Tensor, context: Tensor | None = None) -> tuple:
        """Before the first step, x (N, D): what its token carries (N, 1), the context, an empty cache a block."""
        return torch.zeros_like(x[..., :1]), context, [None] * len(self.blocks)

    def step(self, state: tuple, i: int, previous: Tensor | None) -> tuple[Tensor, tuple]:
        """The parameters (N, n_params) of the i-th coordinate in `order`, once the one before it (N,) is known."""
        zero, context, caches = state
        carried = zero if i == 0 else previous.unsqueeze(-1)
        h, caches = self.attend(carried.unsqueeze(-2), i, context, caches)
        return self.head(h).squeeze(-2), (zero, context, caches)


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
        mixed = scores.masked_fill(later, -torch.inf).softmax(-1) @ v
        h = h + self.out(mixed.transpose(-2, -3).flatten(-2))
        return h + self.down(gelu(self.up(self.norm_2(h)))), (k, v)
