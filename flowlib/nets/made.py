"""A masked network: the parameters of each coordinate from the coordinates before it."""

from collections.abc import Sequence
from itertools import pairwise

import torch
from torch import Tensor, nn
from torch.nn.functional import linear, relu

from flowlib.nets.mlp import check_hidden, start_at_zero, with_context
from flowlib.support.checks import check_count


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

    def extra_repr(self) -> str:
        sizes = [self.layers[0].in_features, *(layer.out_features for layer in self.layers[:-1])]
        return " → ".join([*map(str, sizes), f"{self.dim} × {self.n_params}"])

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
