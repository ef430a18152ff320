"""A plain network: linear layers with ReLU between them, and what all conditioners share."""

from collections.abc import Sequence
from itertools import pairwise

import torch
from torch import Tensor, nn

from flowlib.support.checks import check_context, check_count


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
        self.sizes = [*sizes, outputs]

    def extra_repr(self) -> str:
        return " → ".join(map(str, self.sizes))


def describe(net: nn.Module) -> str:
    """A network on one line: its class and its sizes, e.g. "MLP 1 → 64 → 64 → 2"."""
    return f"{type(net).__name__} {net.extra_repr()}".strip()


def ask(net: nn.Module, *inputs: Tensor | None, mixed: bool) -> Tensor:
    """What a network says, in the dtype of its first input; `mixed`, it computes in bfloat16 while it trains."""
    if not (mixed and net.training):
        return net(*inputs)
    with torch.autocast(inputs[0].device.type, torch.bfloat16):
        return net(*inputs).to(inputs[0].dtype)


def with_context(x: Tensor, context: Tensor | None, context_dim: int, first: bool = False) -> Tensor:
    """x (..., d) joined by the context (..., C), numbers of any kind; one context (C,) serves every row."""
    if check_context(context, context_dim) is None:
        return x
    context = context.to(x.dtype).expand(*x.shape[:-1], context_dim)
    return torch.cat([context, x] if first else [x, context], -1)


def check_hidden(owner: str, hidden: Sequence[int]) -> list[int]:
    if not isinstance(hidden, Sequence) or isinstance(hidden, str):
        raise ValueError(f"{owner}: hidden must be a list of sizes of hidden layers, e.g. [64, 64]; got {hidden!r}.")
    return [check_count(owner, "hidden", size) for size in hidden]


def start_at_zero(layer: nn.Linear | nn.Conv2d) -> nn.Linear | nn.Conv2d:
    """The layer with weight and bias zero, so that every law begins as the identity."""
    nn.init.zeros_(layer.weight)
    nn.init.zeros_(layer.bias)
    return layer
