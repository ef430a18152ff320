"""Amortized layers: a network of the context says which planar, radial or Sylvester push each point gets.

Rezende and Mohamed (2015, arXiv 1505.05770), section 4.2: the parameters of a flow as outputs of an inference network.
"""

from collections.abc import Sequence
from math import prod

from torch import Tensor
from torch.func import functional_call, vmap

from flowlib.core import Inverse, Transform, Wrapper
from flowlib.nets.mlp import MLP, describe
from flowlib.support.checks import check_context, check_count
from flowlib.support.precision import full_precision


class Amortized(Wrapper):
    """A transform whose parameters a network of the context moves, row by row.

    Map: x = f(z; θ + m(c)), with θ the parameters of f, c the context and m a network that begins at zero.
    Log-determinant and inverse are those of f at θ + m(c). Invertible if f is for all parameters, as Planar, Radial and
    Sylvester are: what is admissible they see to themselves.

    Args:
        transform: f, without a context of its own.
        context_dim: C, the size of the context, 1 or more.
        hidden: sizes of the hidden layers of m.

    Paper: Rezende and Mohamed (2015, arXiv 1505.05770), section 4.2 and algorithm 1; van den Berg et al. (2018, arXiv
    1803.05649), section 4, for Sylvester flows.

    >>> import torch
    >>> from flowlib.transforms import Planar
    >>> x, log_det = Amortized(Planar(2), context_dim=3)(torch.zeros(5, 2), torch.zeros(5, 3))
    >>> x.shape, log_det.shape
    (torch.Size([5, 2]), torch.Size([5]))
    """

    def __init__(self, transform: Transform, context_dim: int, hidden: Sequence[int] = (64, 64)):
        super().__init__(transform, transform.event_shape, transform.data_shape)
        if transform.context_dim:
            raise ValueError(f"Amortized: {transform.describe()} has a context already. Give it a layer without one.")
        self.context_dim = check_count("Amortized", "context_dim", context_dim)
        self.turned = (Inverse(transform),)  # in a tuple: its parameters are those of f, and shall not count twice
        self.net = MLP(context_dim, sum(parameter.numel() for parameter in transform.parameters()), hidden)

    def describe(self) -> str:
        return f"{self.transform.describe()}, moved by {describe(self.net)} of the context"

    def moved(self, context: Tensor) -> dict[str, Tensor]:
        """θ + m(c) for contexts (n, C): name -> (n, *shape)."""
        names, parameters = zip(*self.transform.named_parameters(), strict=True)
        moves = self.net(context).split([parameter.numel() for parameter in parameters], -1)
        pairs = zip(parameters, moves, strict=True)
        return dict(zip(names, (own + move.reshape(-1, *own.shape) for own, move in pairs), strict=True))

    def run(self, way: Transform, prefix: str, points: Tensor, context: Tensor | None) -> tuple[Tensor, Tensor]:
        """f or its inverse, in which the parameters of f are called prefix + name, row by row with θ + m(c) for θ."""
        batch = points.shape[: points.dim() - len(way.event_shape)]
        context = check_context(context, self.context_dim, batch).to(points.dtype)
        if prod(batch) == 0:
            return way(points)
        rows = context.expand(*batch, self.context_dim).reshape(-1, self.context_dim)

        def one(point: Tensor, parameters: dict[str, Tensor]) -> tuple[Tensor, Tensor]:
            return functional_call(way, {prefix + name: value for name, value in parameters.items()}, (point,))

        moved, log_det = vmap(one)(points.reshape(-1, *way.event_shape), self.moved(rows))
        return moved.reshape(*batch, *way.data_shape), log_det.reshape(batch)

    @full_precision
    def forward(self, z: Tensor, context: Tensor | None = None) -> tuple[Tensor, Tensor]:
        self.check_input(z)
        return self.run(self.transform, "", z, context)

    @full_precision
    def inverse(self, x: Tensor, context: Tensor | None = None) -> tuple[Tensor, Tensor]:
        self.check_data(x)
        return self.run(*self.turned, "transform.", x, context)
