"""Velocity fields v(t, x): which way, and how fast, a point moves that is at x at the time t."""

from collections.abc import Callable, Sequence
from itertools import pairwise

import torch
from torch import Tensor, nn
from torch.func import jvp, vmap
from torch.nn.functional import linear

from flowlib.nets.mlp import check_hidden, start_at_zero
from flowlib.support.checks import check_context, check_count

Traced = Callable[[Tensor, Tensor], tuple[Tensor, Tensor]]  # (t, x) -> v(t, x) and tr ∂v/∂x there


class Field(nn.Module):
    """What every velocity field says of itself. Subclasses write `forward`; how it varies in x is found from that.

    Args:
        dim: D.
        context_dim: size of the context, 0 for none.

    >>> class Spiral(Field):
    ...     def forward(self, t, x, context=None):
    ...         return x.flip(-1) * torch.tensor([-1.0, 1.0]) - x
    >>> Spiral(2).traced()(torch.tensor(0.0), torch.ones(2))
    (tensor([-2.,  0.]), tensor(-2.))
    """

    def __init__(self, dim: int, context_dim: int = 0):
        super().__init__()
        name = type(self).__name__
        self.dim, self.context_dim = check_count(name, "dim", dim), check_count(name, "context_dim", context_dim, 0)

    def forward(self, t: Tensor, x: Tensor, context: Tensor | None = None) -> Tensor:
        """v(t, x), (..., D): x (..., D), and t one time () for all of them or one for each (...)."""
        raise NotImplementedError(f"{type(self).__name__} must define forward(t, x, context=None) -> v.")

    def velocity(self, t: Tensor, x: Tensor, context: Tensor | None = None) -> Tensor:
        """As `forward`, and an error in words where it gives no velocity for each point."""
        v = self(t, x, context)
        if not isinstance(v, Tensor) or v.shape != x.shape:
            got = f"shape {tuple(v.shape)}" if isinstance(v, Tensor) else type(v).__name__
            raise ValueError(
                f"{type(self).__name__}: the field must return one velocity for each point, a tensor of shape "
                f"{tuple(x.shape)} for x {tuple(x.shape)}; got {got}."
            )
        return v

    def along(self, t: Tensor, x: Tensor, context: Tensor | None, tangents: Tensor) -> tuple[Tensor, Tensor]:
        """v (..., D) and what the Jacobian ∂v/∂x makes of each of n tangents (n, ..., D), by forward derivatives."""

        def one(tangent: Tensor) -> tuple[Tensor, Tensor]:
            return jvp(lambda x: self.velocity(t, x, context), (x,), (tangent.expand(x.shape),))

        return vmap(one, out_dims=(None, 0))(tangents)

    def traced(self, context: Tensor | None = None, probes: Tensor | None = None) -> Traced:
        """(t, x) -> v and tr ∂v/∂x; what stays the same during a solve is made once.

        Args:
            context: (..., C).
            probes: n random ε with E[ε εᵀ] = I, (n, ..., D). The trace is then their mean εᵀ (∂v/∂x) ε (Hutchinson
                1989); without them it is exact, Σ_i e_iᵀ (∂v/∂x) e_i.
        """

        def of(t: Tensor, x: Tensor) -> tuple[Tensor, Tensor]:
            tangents = unit_vectors(x) if probes is None else probes
            v, pushed = self.along(t, x, context, tangents)
            terms = (tangents * pushed).sum(-1)  # (n, ...)
            return v, terms.sum(0) if probes is None else terms.mean(0)

        return of


def unit_vectors(x: Tensor) -> Tensor:
    """e_1, ..., e_D for points x (..., D): (D, 1, ..., 1, D)."""
    dim = x.shape[-1]
    return torch.eye(dim, dtype=x.dtype, device=x.device).reshape(dim, *[1] * (x.dim() - 1), dim)


class VelocityMLP(Field):
    """A plain network of x, of the time and of a context, with tanh between its linear layers.

    It is smooth, so that a solver may take long steps, and bounded, so that no point runs away. The time enters as
    τ = 2t − 1 and τ². The last layer starts at zero: nothing moves.

    Args:
        dim: D.
        hidden: sizes of the hidden layers, at least one.
        context_dim: size C of the context, 0 for none.

    >>> VelocityMLP(2, hidden=[8])(torch.tensor(0.5), torch.zeros(5, 2)).shape
    torch.Size([5, 2])
    """

    def __init__(self, dim: int, hidden: Sequence[int] = (64, 64), context_dim: int = 0):
        super().__init__(dim, context_dim)
        sizes = check_hidden("VelocityMLP", hidden)
        if not sizes:
            raise ValueError("VelocityMLP: hidden must hold at least one size, e.g. [64, 64]; got [].")
        self.of_point = nn.Linear(dim, sizes[0], bias=False)
        self.of_time = nn.Linear(2, sizes[0])
        self.of_context = nn.Linear(context_dim, sizes[0], bias=False) if context_dim else None
        self.between = nn.ModuleList(nn.Linear(before, after) for before, after in pairwise(sizes))
        self.last = start_at_zero(nn.Linear(sizes[-1], dim))

    def given(self, context: Tensor | None) -> Tensor | None:
        """What the context adds to the first layer, (..., H)."""
        if check_context(context, self.context_dim) is None:
            return None
        return self.of_context(context.to(self.of_context.weight.dtype))

    def first(self, t: Tensor, x: Tensor, given: Tensor | None) -> Tensor:
        """The first hidden layer, (..., H)."""
        time = 2.0 * t - 1.0
        bias = self.of_time(torch.stack([time, time.square()], -1))
        return torch.tanh(self.of_point(x) + (bias if given is None else bias + given))

    def forward(self, t: Tensor, x: Tensor, context: Tensor | None = None) -> Tensor:
        h = self.first(t, x, self.given(context))
        for layer in self.between:
            h = torch.tanh(layer(h))
        return self.last(h)

    def along(self, t: Tensor, x: Tensor, context: Tensor | None, tangents: Tensor) -> tuple[Tensor, Tensor]:
        """As in `Field`, with tanh' = 1 − tanh² written out."""
        h, pushed = self.first(t, x, self.given(context)), self.of_point(tangents)
        for layer in self.between:
            pushed = linear(pushed * (1.0 - h.square()), layer.weight)
            h = torch.tanh(layer(h))
        return self.last(h), linear(pushed * (1.0 - h.square()), self.last.weight)

    def traced(self, context: Tensor | None = None, probes: Tensor | None = None) -> Traced:
        """As in `Field`. With two hidden layers the exact trace takes one matrix product, whatever D is: for
        v = W₃ tanh(W₂ tanh(W₁ x)), and s₁, s₂ the slopes of the two tanh,

            tr ∂v/∂x = tr(W₃ diag(s₂) W₂ diag(s₁) W₁) = s₂ᵀ (W₂ ⊙ (W₁ W₃)ᵀ) s₁.
        """
        if probes is not None or len(self.between) != 1:
            return super().traced(context, probes)
        (middle,), given = self.between, self.given(context)
        mixed = middle.weight * (self.of_point.weight @ self.last.weight).mT  # (H₂, H₁)
        total = mixed.sum(-1)

        def of(t: Tensor, x: Tensor) -> tuple[Tensor, Tensor]:
            h = self.first(t, x, given)
            slopes = linear(h.square(), -mixed, total)  # of the second tanh: mixed @ (1 − h²)
            h = torch.tanh(middle(h))
            return self.last(h), (slopes * (1.0 - h.square())).sum(-1)

        return of

    def extra_repr(self) -> str:
        layers = [self.of_point, *self.between, self.last]
        return " → ".join(str(layer.in_features) for layer in layers) + f" → {self.dim}"
