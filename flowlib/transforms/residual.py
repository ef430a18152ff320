"""Residual flows: every point moves by g(z), where g is a network that brings points closer together.

Behrmann et al. (2019, arXiv 1811.00995), Invertible residual networks; Chen et al. (2019, arXiv 1906.02735), Residual
flows for invertible generative modeling.
"""

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from flowlib.core import ONE_PASS, Cost, Transform
from flowlib.nets.lipschitz import Anywhere, LipschitzNet
from flowlib.nets.mlp import describe
from flowlib.support.checks import check_context, check_count, check_size
from flowlib.support.precision import full_precision
from flowlib.transforms.series import Exact, LogDet, Network, Roulette, jacobian

SMALL = 8  # up to this D a Jacobian costs less than a series, and Newton's method less than a fixed point
STEPS, BLIND = 2000, 16  # of the solver: at most; and where values cannot be looked at
FIXED_POINT = Cost("a fixed point in every layer", 10)


class Residual(Transform):
    """A step along g(z), which may push any coordinate by any other: the Jacobian is not triangular.

    Map: x = z + g(z). Log-determinant: log |det (I + J)|, J the Jacobian of g, in one of the ways of `series`.
    Invertible if g is a contraction, ‖g(z) − g(z')‖ ≤ c ‖z − z'‖ with c < 1, which the networks of `nets.lipschitz`
    are by construction. The inverse is the fixed point of z ← x − g(z): each step multiplies the distance to it by c at
    most (Banach). Up to D = 8 steps of Newton's method are tried first, and kept where they come closer. A network that
    is seen to bring two points further apart raises an ArithmeticError, and so does a fixed point that is not reached.
    Gradients come from the implicit function theorem.

    In eval mode the log-determinant is the same each time: where the way of training is random, it is exact instead, D
    tangents a point.

    Args:
        net: g, a LipschitzMLP or a LipschitzConvNet; or any other network, whose Lipschitz constant is yours to keep.
        log_det: Exact(), PowerSeries(terms), Roulette(); if not given, exact up to D = 8 and a roulette beyond.
        size: D, or the shape of a point, where the network does not say.
        context_dim: size of the context C, g(z, context), where the network does not say.

    Paper: Behrmann et al. (2019, arXiv 1811.00995), theorem 1 and algorithm 1; Chen et al. (2019, arXiv 1906.02735),
    section 3. Some lecture notes print the series with Tr(J)^k: it is tr(J^k).

    >>> from flowlib.nets import LipschitzMLP
    >>> flow, z = Residual(LipschitzMLP(2)).double(), torch.ones(2, dtype=torch.float64)
    >>> bool((flow.inverse(flow(z)[0])[0] - z).abs().max() < 1e-12)
    True
    """

    costs = (ONE_PASS, FIXED_POINT)

    def __init__(
        self,
        net: nn.Module,
        log_det: LogDet | None = None,
        size: int | Sequence[int] | None = None,
        context_dim: int = 0,
    ):
        if isinstance(net, LipschitzNet):
            size, context_dim = net.event_shape, net.context_dim
        elif size is None:
            raise ValueError(
                f"Residual: a {type(net).__name__} does not say on which points it works; give size=D, or the shape of "
                "an image."
            )
        super().__init__(check_size("Residual", size))
        if log_det is not None and not isinstance(log_det, LogDet):
            raise TypeError(
                f"Residual: log_det must be Exact(), PowerSeries(terms) or Roulette(); got {type(log_det).__name__}."
            )
        self.net, self.context_dim = net, check_count("Residual", "context_dim", context_dim, 0)
        self.dim = self.event_shape.numel()
        self.log_det = log_det or (Exact() if self.dim <= SMALL else Roulette())
        if not isinstance(net, LipschitzNet):
            self.check_shape()

    def check_shape(self) -> None:
        """Raise unless the network gives what it takes."""
        like = next(self.net.parameters(), torch.empty(0))
        context = like.new_zeros(2, self.context_dim) if self.context_dim else None
        with torch.no_grad():
            given = self.at(context)(like.new_zeros(2, *self.event_shape)).shape[1:]
        if given != self.event_shape:
            raise ValueError(
                f"Residual: z + g(z) needs a g(z) of the shape of z; the {type(self.net).__name__} gives points of "
                f"shape {tuple(given)} for points of shape {tuple(self.event_shape)}."
            )

    def describe(self) -> str:
        return f"Residual: {describe(self.net)}, {self.log_det}"

    def at(self, context: Tensor | None) -> Network:
        """g at one context, or at one for each point: a function of z."""
        if isinstance(self.net, LipschitzNet):
            return self.net.at(context)
        return Anywhere(self.net, check_context(context, self.context_dim))

    def pushed(self, g: Network, z: Tensor) -> tuple[Tensor, Tensor]:
        """g(z) and log |det (I + J)|."""
        way = self.log_det if self.training or self.log_det.settled else Exact()
        return way(g, z, self.event_dims)

    @full_precision
    def forward(self, z: Tensor, context: Tensor | None = None) -> tuple[Tensor, Tensor]:
        self.check_input(z)
        step, log_det = self.pushed(self.at(context), z)
        return z + step, log_det

    @full_precision
    def inverse(self, x: Tensor, context: Tensor | None = None) -> tuple[Tensor, Tensor]:
        self.check_input(x)
        g = self.at(context)
        z = settle(g, x.detach(), self.event_dims)
        if torch.is_grad_enabled():
            z = with_gradients(g, z, x, self.event_dims)
        return z, -self.pushed(g, z)[1]

    @torch.no_grad()
    def fixed_point(self, x: Tensor, steps: int, context: Tensor | None = None) -> Tensor:
        """The way of z ← x − g(z) from z = x to the inverse: (steps + 1, ..., *event), to see how fast it is."""
        self.check_input(x)
        g, path = self.at(context), [x]
        for _ in range(check_count("Residual.fixed_point", "steps", steps, 0)):
            path.append(x - g(path[-1]))
        return torch.stack(path)

    def extra_repr(self) -> str:
        return f"{super().extra_repr()}, {self.log_det}"


def with_gradients(g: Network, z: Tensor, x: Tensor, event_dims: int) -> Tensor:
    """z with z + g(z) = x stays, and gets its gradients: two steps z ← z − A (z + g(z) − x), A = (I + J)⁻¹ held fixed.

    At the solution a step does not move z, but autograd through it yields the implicit function theorem, ∂z = A ∂x; a
    second step makes second derivatives exact (support/roots.py).
    """
    with torch.no_grad():
        _, j = jacobian(g, z, event_dims)
        a = torch.linalg.inv_ex(torch.eye(j.shape[-1], dtype=j.dtype, device=j.device) + j).inverse
    event = z.shape[z.dim() - event_dims :]
    for _ in range(2):
        left = (z + g(z) - x).flatten(-event_dims).unsqueeze(-1)
        z = z - (a @ left).squeeze(-1).unflatten(-1, event)
    return z


def settle(g: Network, x: Tensor, event_dims: int) -> Tensor:
    """z with z + g(z) = x, to the precision of the dtype, without gradients. Rows that hold nan or inf give nan.

    Raises:
        ArithmeticError: g is no contraction, or the solution is not reached. Under torch.compile, where no value can be
            looked at, such rows are nan.
    """
    if torch.compiler.is_compiling():
        with torch.no_grad():
            return solve(g, x, event_dims)
    return Settled.apply(g, x, event_dims)


class Settled(torch.autograd.Function):
    """`solve`, also under vmap: a dimension more of the batch is what it takes anyway, and values can be looked at."""

    @staticmethod
    def forward(g: Network, x: Tensor, event_dims: int) -> Tensor:
        return solve(g, x, event_dims)

    @staticmethod
    def setup_context(ctx: object, inputs: tuple, output: Tensor) -> None:
        ctx.mark_non_differentiable(output)

    @staticmethod
    def vmap(info: object, in_dims: tuple, g: Network, x: Tensor, event_dims: int) -> tuple[Tensor, int]:
        return Settled.apply(g, x.movedim(in_dims[1], 0), event_dims), 0


def solve(g: Network, x: Tensor, event_dims: int) -> Tensor:
    """The steps of `settle`, each row for itself: what it does hangs on no other row.

    A trial point is taken if the residual x − z − g(z) becomes shorter. Where Newton's does not, the next trial is the
    plain step z + residual, which a contraction shortens by c at least. A row that has arrived stays where it is.
    """
    axes, event = tuple(range(-event_dims, 0)), x.shape[x.dim() - event_dims :]
    looks = not (torch.compiler.is_compiling() or x.is_meta)
    newton = event.numel() <= SMALL or not looks
    eps = torch.finfo(x.dtype).eps
    eye = torch.eye(event.numel(), dtype=x.dtype, device=x.device)

    def length(v: Tensor) -> Tensor:
        return torch.linalg.vector_norm(v, dim=axes)

    def per_row(rows: Tensor, yes: Tensor, no: Tensor) -> Tensor:
        return torch.where(rows.reshape(*rows.shape, *(1 for _ in event)), yes, no)

    def look(z: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """The residual at z, its length, and Newton's step."""
        if not newton:
            left = x - z - g(z)
            return left, length(left), left
        value, j = jacobian(g, z, event_dims)
        left = x - z - value
        step = torch.linalg.solve_ex(eye + j, left.flatten(-event_dims).unsqueeze(-1)).result
        return left, length(left), step.squeeze(-1).unflatten(-1, event)

    scale = 1.0 + length(x)
    z = x
    left, size, step = look(z)
    known = size.isfinite()
    open_, plain, stretch = known, torch.full_like(known, not newton), torch.zeros_like(size)
    for _ in range(STEPS if looks else BLIND):
        if looks and not open_.any():
            break
        move = per_row(plain, left, step)
        there = z + move
        new_left, new_size, new_step = look(there)
        moved = length(move)
        seen = length(left - new_left - move) / moved  # ‖g(there) − g(z)‖ / ‖there − z‖
        far = open_ & (moved > eps**0.5 * scale) & seen.isfinite()  # not of rounding errors
        stretch = torch.where(far, torch.maximum(stretch, seen), stretch)
        better = new_size < size
        taken = open_ & (better | plain)
        arrived = (new_size <= 4.0 * eps * scale) | (~better & (size <= 1e3 * eps * scale))
        open_ = open_ & ~arrived & (new_size.isfinite() | ~plain) & (stretch <= 1.001)
        z, left, step = (per_row(taken, a, b) for a, b in ((there, z), (new_left, left), (new_step, step)))
        size, plain = torch.where(taken, new_size, size), ~better | (not newton)
    good = (size <= 1e3 * eps * scale) & (stretch <= 1.001)
    if looks and (lost := known & ~good).any():
        raise ArithmeticError(no_inverse(lost, size, stretch))
    return per_row(good, z, torch.full_like(z, torch.nan))


def no_inverse(lost: Tensor, size: Tensor, stretch: Tensor) -> str:
    """What to say about rows whose inverse was not found."""
    return (
        f"Residual: z ← x − g(z) does not settle for {int(lost.sum())} of {lost.numel()} points. Where it ended, "
        f"x − z − g(z) is {size[lost].max().item():.2g} long, and g stretched a distance between two points by "
        f"{stretch[lost].max().item():.3g}. z + g(z) has an inverse for sure only where g stretches by less than 1: "
        "build it of layers with a bound, e.g. LipschitzMLP(2, coefficient=0.9)."
    )
