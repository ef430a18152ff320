"""A conditioner for images that are read patch by patch: a causal transformer over patches, a MADE inside each."""

import math
from collections.abc import Sequence

import torch
from torch import Tensor, nn

from flowlib.nets.made import MADE
from flowlib.nets.transformer import Block, check_heads
from flowlib.support.checks import check_context, check_count


class PatchTransformer(nn.Module):
    """The parameters of a number come from all earlier patches by attention, and from earlier numbers of its own patch.

    The vector x (..., D) is T patches of P numbers, as `Patches` makes it: D = T P. Token t carries patch t − 1 (zeros
    for the first), so causal attention makes h_t from the patches before t. A MADE with the context h_t, the same one
    for all patches, makes the parameters of patch t; without it, numbers of one patch could not look at each other.

    It has the two faces of all autoregressive conditioners (`flowlib.nets`). One number at a time, the transformer is
    asked once a patch, and keeps the keys and values of the patches so far.

    Args:
        tokens, size: T and P.
        n_params: parameters per number, `law.n_params`.
        width: size of a token, a multiple of heads.
        heads, depth: attention heads; blocks.
        hidden: hidden layers of the MADE.
        context_dim: size of the context that every token may see.
        reverse: from the last number to the first.

    Paper: Zhai et al. (2024), TarFlow, section 3 (patches, affine law, alternating order); there the numbers of one
    patch do not see each other. Germain et al. (2015), MADE.

    >>> PatchTransformer(tokens=4, size=9, n_params=2, width=8, heads=2)(torch.zeros(5, 36)).shape
    torch.Size([5, 36, 2])
    """

    def __init__(
        self,
        tokens: int,
        size: int,
        n_params: int,
        width: int = 128,
        heads: int = 4,
        depth: int = 2,
        hidden: Sequence[int] = (128,),
        context_dim: int = 0,
        reverse: bool = False,
    ):
        super().__init__()
        self.tokens, self.size = check_count("PatchTransformer", "tokens", tokens), size
        self.dim, self.n_params = tokens * check_count("PatchTransformer", "size", size), n_params
        self.context_dim = check_count("PatchTransformer", "context_dim", context_dim, 0)
        check_heads("PatchTransformer", width, heads)
        self.order = range(self.dim)[::-1] if reverse else range(self.dim)
        self.embed = nn.Linear(size, width)
        self.position = nn.Parameter(torch.randn(tokens, width) / math.sqrt(width))
        self.told = nn.Linear(context_dim, width) if context_dim else None
        self.blocks = nn.ModuleList(Block(width, heads) for _ in range(check_count("PatchTransformer", "depth", depth)))
        self.norm = nn.LayerNorm(width)
        self.made = MADE(size, n_params, hidden, context_dim=width)

    def attend(self, patches: Tensor, first: int, context: Tensor | None, caches: list) -> tuple[Tensor, list]:
        """Tokens that carry these patches (..., t, P), the first of them token `first` -> h (..., t, width), caches."""
        h = self.embed(patches) + self.position[first : first + patches.shape[-2]]
        if check_context(context, self.context_dim) is not None:
            h = h + self.told(context).unsqueeze(-2)
        seen = []
        for block, cache in zip(self.blocks, caches, strict=True):
            h, cache = block(h, cache)
            seen.append(cache)
        return self.norm(h), seen

    def forward(self, x: Tensor, context: Tensor | None = None) -> Tensor:
        reverse = self.order[0] > 0
        patches = (x.flip(-1) if reverse else x).unflatten(-1, (self.tokens, self.size))  # (..., T, P)
        carried = torch.cat([torch.zeros_like(patches[..., :1, :]), patches[..., :-1, :]], -2)
        h, _ = self.attend(carried, 0, context, [None] * len(self.blocks))
        params = self.made(patches, h).flatten(-3, -2)  # (..., D, n_params)
        return params.flip(-2) if reverse else params

    def begin(self, x: Tensor, context: Tensor | None = None) -> tuple:
        """Nothing seen yet: x (N, D) tells how many rows. The numbers of the patch so far, context, caches, MADE."""
        return [x.new_zeros(len(x))] * self.size, context, [None] * len(self.blocks), None

    def step(self, state: tuple, i: int, previous: Tensor | None) -> tuple[Tensor, tuple]:
        """The parameters (N, n_params) of the i-th number in `order`, once the one before it (N,) is known."""
        patch, context, caches, made = state
        t, j = divmod(i, self.size)
        patch = patch if i == 0 else [*patch[1:], previous]  # the newest P numbers
        if j == 0:
            carried = torch.stack(patch, -1)  # (N, P)
            h, caches = self.attend(carried.unsqueeze(-2), t, context, caches)
            made = self.made.begin(carried, h.squeeze(-2))
        params, made = self.made.step(made, j, previous if j else None)
        return params, (patch, context, caches, made)

    def extra_repr(self) -> str:
        tokens = f"{self.tokens} tokens of {self.embed.out_features}"
        return f"{self.size} → {tokens}, {len(self.blocks)} blocks → {self.dim} × {self.n_params}"
