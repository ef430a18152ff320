"""A conditioner for images that are read patch by patch: a causal transformer over patches, a MADE inside each."""

from collections.abc import Sequence

import torch
from torch import Tensor

from flowlib.nets.made import MADE
from flowlib.nets.transformer import CausalDecoder


class PatchTransformer(CausalDecoder):
    """The parameters of a number come from all earlier patches by attention, and from earlier numbers of its own patch.

    The vector x (..., D) is T patches of P numbers, as `Patches` makes it, and a patch is a token of a causal decoder:
    h_t comes from the patches before t. A MADE with the context h_t, the same one for all patches, makes the parameters
    of patch t; without it, numbers of one patch could not look at each other.

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

    Paper: Zhai et al. (2024), TarFlow, section 3, arXiv 2412.06329 (patches, affine law, alternating order); there the
    numbers of one patch do not see each other. Germain et al. (2015), MADE, arXiv 1502.03509.

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
        super().__init__(tokens, size, n_params, width, heads, depth, context_dim, reverse)
        self.made = MADE(size, n_params, hidden, context_dim=width)

    def params(self, values: Tensor, h: Tensor) -> Tensor:
        return self.made(values, h).flatten(-3, -2)

    def begin(self, x: Tensor, context: Tensor | None = None) -> tuple:
        """Before the first step, x (N, D): the newest P numbers, the context, an empty cache a block, no MADE yet."""
        return [x.new_zeros(x.shape[0])] * self.size, context, [None] * len(self.blocks), None

    def step(self, state: tuple, i: int, previous: Tensor | None) -> tuple[Tensor, tuple]:
        """The parameters (N, n_params) of the i-th number in `order`, once the one before it (N,) is known."""
        newest, context, caches, made = state
        t, j = divmod(i, self.size)
        newest = newest if i == 0 else [*newest[1:], previous]
        if j == 0:  # the patch before is complete, and token t can carry it
            carried = torch.stack(newest, -1)  # (N, P)
            h, caches = self.attend(carried.unsqueeze(-2), t, context, caches)
            made = self.made.begin(carried, h.squeeze(-2))
        params, made = self.made.step(made, j, previous if j else None)
        return params, (newest, context, caches, made)

    def extra_repr(self) -> str:
        return f"{self.size} → {super().extra_repr()}"
