"""Continuous flows: infinitely many small steps, an ordinary differential equation from noise to data.

Chen et al. (2018, arXiv 1806.07366), Neural ordinary differential equations; Grathwohl et al. (2019, arXiv 1810.01367),
FFJORD.
"""

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable

from flowlib.core import Cost, Transform
from flowlib.nets.field import Field, unit_vectors
from flowlib.nets.mlp import describe
from flowlib.support.checks import check_above_zero, check_context, check_count
from flowlib.support.precision import full_precision

State = tuple[Tensor, ...]  # a point (..., D), and what adds up on its way, (...)
MOST_STEPS = 500  # of an adaptive solve


class WordsBackwards(torch.autograd.Function):
    """make(start), differentiated as ever, but what goes wrong on the way back is said in the words of a context.

    Args of `apply`: make, words (a context manager), start, and all other tensors whose gradients are wanted.
    """

    @staticmethod
    def forward(ctx, make: Callable[[Tensor], Tensor], words: AbstractContextManager, start: Tensor, *others: Tensor):
        with torch.enable_grad():
            ctx.start = start.detach().requires_grad_()
            ctx.words, ctx.others, ctx.end = words, others, make(ctx.start)
        return ctx.end.detach()

    @staticmethod
    @once_differentiable
    def backward(ctx, grad: Tensor):
        wanted = [each for each in (ctx.start, *ctx.others) if each.requires_grad]
        with ctx.words:
            found = iter(torch.autograd.grad(ctx.end, wanted, grad, retain_graph=True, allow_unused=True))
        return None, None, *(next(found) if each.requires_grad else None for each in (ctx.start, *ctx.others))


class Continuous(Transform):
    """Points drift along a velocity field: dz/dt = v(t, z), noise at t = 0, data at t = 1.

    Map: x = z(1) for z(0) = z. Log-determinant: d log_det / dt = tr ∂v/∂z along the way, the instantaneous change of
    variables: only a trace, so that the field may be any network.
    Invertible if v is Lipschitz in z: paths never meet. The inverse is the same equation from t = 1 back to 0.

    By default the time is cut into `steps` equal steps of a Runge–Kutta method of fourth order. Then no point knows of
    the others in its batch. With a `tolerance` the steps are as long as it allows (Dormand and Prince, by torchdiffeq):
    all points of a batch share them, and the most difficult one decides, so what comes out for a point in another batch
    is the same to the tolerance only. There is no per-point choice of steps: a batch would then take as many passes
    through the network as it has points.

    Args:
        field: v, a `Field` such as `VelocityMLP(D)`.
        steps: how many steps, each of four evaluations of v.
        tolerance: of an adaptive solve, absolute and relative, instead of `steps`; RuntimeError where it cannot be met.
        probes: 0 for the exact trace; n to estimate it from n random directions ε as the mean of εᵀ (∂v/∂z) ε, for
            large D. They are drawn once for a solve (an estimate that changes on the way has no log-determinant), anew
            for each call in training mode; in eval mode they are always the same ones.
        adjoint: find gradients by solving backwards in time once more, in constant memory; right to the error of the
            solver, and without second derivatives. Otherwise autograd goes back through the steps.

    Paper: Chen et al. (2018, arXiv 1806.07366), equation 8 and section 2; Grathwohl et al. (2019, arXiv 1810.01367),
    sections 3.1 and 3.2; Hutchinson (1989) for the estimate.

    >>> from flowlib.nets import VelocityMLP
    >>> x, log_det = Continuous(VelocityMLP(3))(torch.zeros(5, 3))
    >>> x.shape, log_det.shape
    (torch.Size([5, 3]), torch.Size([5]))
    """

    def __init__(
        self,
        field: Field,
        steps: int = 32,
        tolerance: float | None = None,
        probes: int = 0,
        adjoint: bool = False,
    ):
        if not isinstance(field, Field):
            raise TypeError(
                f"Continuous expects a Field, a module with forward(t, x, context=None) such as VelocityMLP(2); got "
                f"{type(field).__name__}."
            )
        super().__init__([field.dim])
        self.field, self.context_dim, self.adjoint = field, field.context_dim, adjoint
        self.steps = check_count("Continuous", "steps", steps)
        self.tolerance = None if tolerance is None else check_above_zero("Continuous", "tolerance", tolerance)
        shape = (check_count("Continuous", "probes", probes, 0), field.dim)
        signs = torch.randint(2, shape, generator=torch.Generator().manual_seed(0))
        self.register_buffer("probes", 2.0 * signs - 1.0, persistent=False)  # those of eval mode
        cost = Cost(f"{4 * self.steps} evaluations of the field", 4 * self.steps)
        if self.tolerance is not None:
            cost = Cost("evaluations of the field until a tolerance is met", 100)
        self.costs = (cost, cost)

    @full_precision
    def forward(self, z: Tensor, context: Tensor | None = None) -> tuple[Tensor, Tensor]:
        return self.solve(z, context, 0.0, 1.0)

    @full_precision
    def inverse(self, x: Tensor, context: Tensor | None = None) -> tuple[Tensor, Tensor]:
        return self.solve(x, context, 1.0, 0.0)

    @full_precision
    def generate(self, z: Tensor, context: Tensor | None = None) -> Tensor:
        if self.tolerance is not None:  # steps are chosen by the error of point and log-determinant together
            return super().generate(z, context)
        self.check_input(z)
        check_context(context, self.context_dim)
        *_, (x,) = steps_of(lambda t, x: (self.field.velocity(t, x, context),), (z,), 0.0, 1.0, self.steps)
        return x

    def solve(self, start: Tensor, context: Tensor | None, t0: float, t1: float) -> tuple[Tensor, Tensor]:
        """Where points are at t1 that are at `start` (..., D) at t0, and ∫ tr ∂v/∂z dt from t0 to t1, (...)."""
        self.check_input(start)
        check_context(context, self.context_dim)
        velocity = self.field.traced(context, self.directions(start))
        state = (start, start.new_zeros(start.shape[:-1]))
        if (self.tolerance is None and not self.adjoint) or start.numel() == 0 or start.is_meta:
            *_, end = steps_of(velocity, state, t0, t1, self.steps)
            return end
        return self.by_torchdiffeq(velocity, state, context, t0, t1)

    def directions(self, points: Tensor) -> Tensor | None:
        """The probes of one solve: for each point its own while training, (n, ..., D)."""
        if len(self.probes) == 0:
            return None
        if self.training:
            return torch.randint_like(points.expand(len(self.probes), *points.shape), 2) * 2.0 - 1.0
        return self.probes.reshape(len(self.probes), *[1] * (points.dim() - 1), points.shape[-1])

    def trace(self, z: Tensor, context: Tensor | None = None) -> Iterator[tuple[Tensor, Tensor]]:
        """Yield (z(t), ∫ tr ∂v/∂z) for t = 0, 1 / steps, ..., 1: the path of each point, for pictures."""
        self.check_input(z)
        check_context(context, self.context_dim)
        state = (z, z.new_zeros(z.shape[:-1]))
        yield state
        yield from steps_of(self.field.traced(context, self.directions(z)), state, 0.0, 1.0, self.steps)

    def effort(self, x: Tensor, context: Tensor | None = None) -> tuple[Tensor, Tensor]:
        """∫ ‖v‖² dt and ∫ ‖∂v/∂z‖² dt (squared Frobenius norm) along the way of each x, (...) both: how far a point
        goes and how much its neighbours part. Least where paths are straight, which few steps solve.

        Paper: Finlay et al. (2020, arXiv 2002.02798), How to train your neural ODE, equation 11.
        """
        self.check_data(x)
        tangents = unit_vectors(x) if len(self.probes) == 0 else self.directions(x)
        share = 1.0 if len(self.probes) == 0 else 1.0 / len(self.probes)

        def rates(t: Tensor, x: Tensor) -> State:
            v, pushed = self.field.along(t, x, context, tangents)
            return v, -v.square().sum(-1), -share * pushed.square().sum((0, -1))  # time runs backwards

        zero = x.new_zeros(x.shape[:-1])
        *_, (_, energy, bending) = steps_of(rates, (x, zero, zero), 1.0, 0.0, self.steps)
        return energy, bending

    def by_torchdiffeq(
        self,
        velocity: Callable[[Tensor, Tensor], State],
        state: State,
        context: Tensor | None,
        t0: float,
        t1: float,
    ) -> tuple[Tensor, Tensor]:
        """The solve with steps of its own choice, or with gradients by the adjoint equation, or both."""
        from torchdiffeq import odeint, odeint_adjoint  # brings SciPy, which takes a while

        joined = torch.cat([state[0], state[1].unsqueeze(-1)], -1)  # (..., D + 1)
        finite = joined.isfinite().all(-1, keepdim=True)  # one nan would end the solve for all

        def rates(t: Tensor, joined: Tensor) -> Tensor:
            v, rate = velocity(t, joined[..., :-1])
            return torch.cat([v, rate.unsqueeze(-1)], -1)

        arguments = {"method": "rk4", "options": {"grid_constructor": self.grid}}
        if self.tolerance is not None:
            options = {"norm": largest, "max_num_steps": MOST_STEPS}
            arguments = {"method": "dopri5", "options": options, "rtol": self.tolerance, "atol": self.tolerance}
        times = torch.tensor([t0, t1], dtype=joined.dtype, device=joined.device)
        start = torch.where(finite, joined, 0.0)
        with self.in_words(t0, t1, joined.dtype):
            if not self.adjoint:
                end = odeint(rates, start, times, **arguments)[-1]
            else:
                arguments["adjoint_params"] = (*self.field.parameters(), *([] if context is None else [context]))
                backwards = self.in_words(t1, t0, joined.dtype, " backwards for the gradient")
                end = WordsBackwards.apply(
                    lambda start: odeint_adjoint(rates, start, times, **arguments)[-1],
                    backwards,
                    start,
                    *arguments["adjoint_params"],
                )
        end = torch.where(finite, end, torch.nan)
        return end[..., :-1], end[..., -1]

    @contextmanager
    def in_words(self, t0: float, t1: float, dtype: torch.dtype, why: str = "") -> Iterator[None]:
        """RuntimeError that says what to do, where torchdiffeq says in its own way that steps have become too short."""
        try:
            yield
        except AssertionError as error:
            raise RuntimeError(
                f"Continuous: the solver cannot reach the tolerance {self.tolerance:g} on the way from t = {t0:g} to "
                f"t = {t1:g}{why} ({str(error)[:60]}). The field is too steep or grows without bound, or {dtype} "
                "has too few digits. Take a larger tolerance, or tolerance=None for equal steps."
            ) from error

    def grid(self, func: Callable, start: Tensor, times: Tensor) -> Tensor:
        """The ends of equal steps, as torchdiffeq asks for them."""
        return torch.linspace(float(times[0]), float(times[-1]), self.steps + 1).to(times)

    def describe(self) -> str:
        steps = f"{self.steps} steps" if self.tolerance is None else f"steps by tolerance {self.tolerance:g}"
        trace = f"trace by {len(self.probes)} probes" if len(self.probes) else "exact trace"
        return f"Continuous: {describe(self.field)}, {steps}, {trace}{', adjoint' * self.adjoint}"


def steps_of(
    rates: Callable[[Tensor, Tensor], State], state: State, t0: float, t1: float, steps: int
) -> Iterator[State]:
    """Yield the state after each of so many equal steps from t0 to t1: Runge and Kutta's method of fourth order, in the
    form of the 3/8 rule (Kutta 1901). `rates(t, x)` is dx/dt and how fast each sum grows there."""
    (x, *sums), h = state, (t1 - t0) / steps
    times = torch.linspace(t0, t1, 3 * steps + 1, dtype=x.dtype, device=x.device).unbind()
    for k in range(steps):
        a, *rates_a = rates(times[3 * k], x)
        b, *rates_b = rates(times[3 * k + 1], torch.add(x, a, alpha=h / 3))
        c, *rates_c = rates(times[3 * k + 2], torch.add(x, torch.sub(b, a, alpha=1 / 3), alpha=h))
        d, *rates_d = rates(times[3 * k + 3], torch.add(x, a - b + c, alpha=h))
        x = torch.add(x, torch.add(a + d, b + c, alpha=3), alpha=h / 8)
        stages = zip(sums, rates_a, rates_b, rates_c, rates_d, strict=True)
        sums = [total + h / 8 * torch.add(p + s, q + r, alpha=3) for total, p, q, r, s in stages]
        yield (x, *sums)


def largest(errors: Tensor) -> Tensor:
    """The norm of an adaptive solve: not the mean, in which many easy points would hide a difficult one."""
    return errors.abs().max()
