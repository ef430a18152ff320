"""A masked network: the parameters of each coordinate from the coordinates before it."""

from collections.abc import Sequence
from itertools import pairwise
from typing import NamedTuple

import torch
from torch import Tensor, nn
from torch.nn.functional import linear, relu

from flowlib.nets.mlp import check_hidden, start_at_zero, with_context
from flowlib.support.checks import check_count


class MADE(nn.Module):
    """An MLP whose weights are masked so that the parameters of x_i depend on x_1, ..., x_{i−1} alone.

    Every unit has a degree: input i has degree i, context 0, hidden units take the degrees between in equal shares, in
    ascending order. A hidden unit is connected to units of at most its degree, the parameters of x_i to units below i.

    Args:
        dim: D.
        n_params: parameters per coordinate, `law.n_params`.
        hidden: sizes of the hidden layers.
        context_dim: size of the context that every coordinate may see.
        reverse: count the degrees of the coordinates from the last one: x_i looks at x_{i+1}, ..., x_D alone.

    Paper: Germain et al. (2015), MADE, arXiv 1502.03509; Papamakarios et al. (2017), Masked autoregressive flow,
    arXiv 1705.07057.

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
        rank = torch.tensor(self.order, device="cpu")  # its own inverse
        lowest = 0 if context_dim or dim == 1 else 1
        degrees = [torch.cat([torch.zeros(context_dim, device="cpu"), rank + 1])]
        for size in check_hidden("MADE", hidden):
            degrees.append(lowest + torch.arange(size, device="cpu") * (dim - lowest) // size)
        degrees += [rank.repeat_interleave(n_params)]  # of the parameters of x_i: i − 1
        self.layers = nn.ModuleList()
        for k, (before, after) in enumerate(pairwise(degrees)):
            self.layers.append(nn.Linear(len(before), len(after)))
            mask = (after[:, None] >= before[None, :]).to(self.layers[k].weight)
            self.register_buffer(f"mask_{k}", mask, persistent=False)
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

    def begin(self, x: Tensor, context: Tensor | None = None) -> "PartialSums":
        """Before the first step: x (N, D)."""
        weights = [self.weight(k).T.contiguous() for k in range(len(self.layers))]
        biases = [layer.bias for layer in self.layers]
        if self.order[0] > 0:
            of_context, of_x = weights[0].split([self.context_dim, self.dim])
            weights[0] = torch.cat([of_context, of_x.flip(0)])
            weights[-1], biases[-1] = (
                out.unflatten(-1, (self.dim, self.n_params)).flip(-2).flatten(-2) for out in (weights[-1], biases[-1])
            )
        sums = [x.new_zeros(x.shape[0], 1) + bias for bias in biases]
        if self.context_dim:
            c = with_context(x[:, :0], context, self.context_dim, first=True)  # (N, context_dim)
            sums[0] = sums[0] + c @ weights[0][: self.context_dim]
        return PartialSums(weights, sums)

    def step(self, state: "PartialSums", i: int, previous: Tensor | None) -> tuple[Tensor, "PartialSums"]:
        """The parameters (N, n_params) of the i-th coordinate in `order`, once the one before it (N,) is known.

        That coordinate has degree i. It completes the pre-activations of degree i in the first layer; their activations
        complete those in the second; and so on to the parameters.
        """
        complete = None if i == 0 else previous.unsqueeze(-1)  # what has degree i in the layer below: first, an input
        row, left = self.context_dim + i - 1, []
        for weight, sums, below in zip(*state, self.below, strict=True):
            first, end = below[i], below[i + 1]  # the units of degree i; those before them are complete
            if complete is not None:
                sums = add_product(sums, complete, weight[row : row + complete.shape[-1], first:])
            params, sums = sums.split([end - first, sums.shape[-1] - end + first], -1)
            complete, row = relu(params), first
            left.append(sums)
        return params, PartialSums(state.weights, left)


class PartialSums(NamedTuple):
    """A MADE on its way through the D steps: of each pre-activation that is not complete yet, the terms so far.

    Degrees ascend, so each layer is completed from its first unit to its last, and every weight is needed exactly once:
    D steps cost one full pass.
    """

    weights: list[Tensor]  # of each layer, masked, (inputs, outputs), both in the order of the steps
    sums: list[Tensor]  # of each layer, (N, outputs that are not complete); at first the biases and the context's terms


def add_product(sums: Tensor, inputs: Tensor, weight: Tensor) -> Tensor:
    """sums + inputs @ weight: (N, o), (N, i), (i, o) -> (N, o). In place where no gradient needs the sums before."""
    if inputs.shape[-1] == 1:  # an outer product is no work for a matrix multiplication
        return torch.addcmul(sums, inputs, weight) if torch.is_grad_enabled() else sums.addcmul_(inputs, weight)
    return torch.addmm(sums, inputs, weight) if torch.is_grad_enabled() else sums.addmm_(inputs, weight)
