"""`prove(transform)`: every claim that a transform makes, checked against autograd in front of the reader.

A transform claims four things: its inverse is its inverse, its log_det is that of its Jacobian, the two directions
have opposite log-dets, and the density it makes has mass 1. Each is checked in float64 on a copy in eval mode, so
neither the transform nor the random state of the caller changes.
"""

import copy
import math
from collections.abc import Callable, Iterable
from dataclasses import dataclass

import torch
from torch import Tensor

from flowlib.bases import Base, StandardNormal
from flowlib.core import Flow, Given, Transform
from flowlib.support.checks import check_event
from flowlib.support.tables import Report, Table

TOLERANCE = 1e-8
MASS_TOLERANCE = 1e-3
POINTS = 64
ROWS = 4096  # of Jacobians: each point has D of them


@dataclass(frozen=True)
class Check:
    """One line of a proof: the claim, what was found, and whether the claim holds."""

    claim: str
    found: str
    holds: bool


class Proof(Report):
    """What `prove` found: prints as a short table, shows as one in a notebook; `.holds` is True if every line does."""

    def __init__(self, subject: str, checks: Iterable[Check]):
        self.subject = subject
        self.checks = list(checks)

    @property
    def holds(self) -> bool:
        return all(check.holds for check in self.checks)

    def table(self) -> Table:
        rows = [(f"{'✓' if check.holds else '✗'} {check.claim}", check.found) for check in self.checks]
        return Table(self.subject, rows, self.verdict)

    @property
    def verdict(self) -> str:
        return "every claim holds" if self.holds else "NOT what it claims"


def prove(
    subject: Transform | Flow, z: Tensor | None = None, *, x: Tensor | None = None, context: Tensor | None = None
) -> Proof:
    """Check a transform, or a flow with its own base, at the points z and return the report.

    Args:
        subject: a Transform (its density is that of a standard normal base) or a Flow.
        z: points to check at, (N, *event_shape). If not given, 64 samples of the base, fewer where D > 64.
        x: data to check at instead, (N, *data_shape). How near they come back in the precision of the subject is told
            too: where a map squeezes much, rounding hides what was there, and the claims hold all the same.
        context: the context (C,) of a conditional map.

    Raises:
        TypeError, ValueError: if the subject or z is not of that kind; errors of the transform itself pass through.

    >>> from flowlib.transforms import Permutation
    >>> prove(Permutation([2, 0, 1]))
    Permutation: every claim holds
      ✓ log_det is one number a point  (64,) for 64 points
      ✓ inverse(forward(z)) = z        error below 1e-12
      ✓ forward(inverse(x)) = x        error below 1e-12
      ✓ forward log_det = autograd's   error below 1e-12
      ✓ inverse log_det = autograd's   error below 1e-12
      ✓ the two log_dets are opposite  error below 1e-12
      ✓ gradients are finite           z and 0 parameters
    """
    if not isinstance(subject, Transform | Flow):
        raise TypeError(f"prove expects a Transform or a Flow; got {type(subject).__name__}.")
    if subject.context_dim and context is None:
        dim = subject.context_dim
        raise ValueError(f"prove: the map depends on a context of {dim} numbers. Give it one: prove(..., context=...).")
    if context is not None:
        subject = subject.given(context) if isinstance(subject, Flow) else Given(subject, context)
    own, subject = copy.deepcopy(subject).eval(), copy.deepcopy(subject).double().requires_grad_().eval()
    if isinstance(subject, Flow):
        transform, base = subject.transform, subject.base
    else:
        transform, base = subject, StandardNormal(subject.event_shape.numel()).double()
    with torch.random.fork_rng():
        torch.manual_seed(0)
        if z is None:
            shape = transform.event_shape
            n = max(2, min(POINTS, ROWS // shape.numel()))
            z = base.sample(n).reshape(n, *shape)
        if x is not None:
            check_event("prove", x, transform.data_shape)
            z = transform.inverse(x.detach().double())[0]
        check_event("prove", z, transform.event_shape)
        z = z.detach().double()
        checks = list(pointwise_checks(transform, z))
        if x is not None:
            checks.append(comes_back(own.transform if isinstance(own, Flow) else own, x))
        if z.shape[1:] in [(1,), (2,)]:
            checks.append(mass_check(transform, base))
    return Proof(type(transform).__name__, checks)


def pointwise_checks(transform: Transform, z: Tensor) -> Iterable[Check]:
    """The claims that can be checked point by point, z (N, *event_shape)."""
    x, log_det = transform(z)
    yield Check(
        "log_det is one number a point", f"{tuple(log_det.shape)} for {len(z)} points", log_det.shape == z.shape[:1]
    )
    if log_det.shape != z.shape[:1]:
        return
    z_again, log_det_back = transform.inverse(x)
    yield small("inverse(forward(z)) = z", relative(z_again, z))
    yield small("forward(inverse(x)) = x", relative(transform(z_again)[0], x))
    yield small("forward log_det = autograd's", log_det - autograd_log_det(transform.forward, z))
    yield small("inverse log_det = autograd's", log_det_back - autograd_log_det(transform.inverse, x))
    yield small("the two log_dets are opposite", log_det + log_det_back)
    z = z.clone().requires_grad_()
    x, log_det = transform(z)
    parameters = list(transform.parameters())
    gradients = torch.autograd.grad(x.sum() + log_det.sum(), [z, *parameters], allow_unused=True)
    finite = all(gradient is None or gradient.isfinite().all() for gradient in gradients)
    yield Check("gradients are finite", f"z and {len(parameters)} parameters", bool(finite))


@torch.no_grad()
def comes_back(transform: Transform, x: Tensor) -> Check:
    """How near data come back in the precision of the transform: not a claim, but where its use ends."""
    dtype = next((parameter.dtype for parameter in transform.parameters()), x.dtype)
    x = x.to(dtype)
    worst = relative(transform(transform.inverse(x)[0])[0], x).abs().amax().item()
    bound = f"{10.0 ** math.ceil(math.log10(max(worst, 1e-16))):.0e}" if math.isfinite(worst) else "nothing"
    return Check(f"these x come back in {str(dtype).removeprefix('torch.')}", f"to {bound} of 1 + |x|", worst < 1e-2)


def autograd_log_det(call: Callable, points: Tensor) -> Tensor:
    """log |det J| of `call` at each point by torch.func: (N, *event_shape) -> (N,)."""
    jacobian = torch.func.vmap(torch.func.jacrev(lambda point: call(point)[0]))(points)
    size = points[0].numel()
    return torch.linalg.slogdet(jacobian.reshape(-1, size, size)).logabsdet


def mass_check(transform: Transform, base: Base) -> Check:
    """∫ p_X(x) dx over the box that 100,000 samples span, on a grid refined until the answer stands still."""
    flow = Flow(transform, base)
    with torch.no_grad():
        x = flow.sample(100_000)
        box = x.amin(0), x.amax(0)
        mass, change, n = density_mass(flow, box, 128), 1.0, 128
        while change > MASS_TOLERANCE / 5 and n < 1024:
            n *= 2
            finer = density_mass(flow, box, n)
            mass, change = finer, abs(finer - mass)
    return Check("the density has mass 1", f"{mass:.3f}", abs(mass - 1.0) < MASS_TOLERANCE)


def density_mass(flow: Flow, box: tuple[Tensor, Tensor], n: int) -> float:
    """The mass of p_X on n midpoints a side (n² of them in 1-D) of the box (low, high), by the midpoint rule."""
    low, high = box
    n = n * n if len(low) == 1 else n
    step = (high - low) / n
    axes = [a + s * (torch.arange(n, dtype=a.dtype, device=a.device) + 0.5) for a, s in zip(low, step, strict=True)]
    grid = torch.cartesian_prod(*axes).reshape(-1, len(axes))
    return float(flow.log_prob(grid).exp().sum() * step.prod())


def relative(value: Tensor, expected: Tensor) -> Tensor:
    """The error of `value`, relative where `expected` is large."""
    return (value - expected) / (1.0 + expected.abs())


def small(claim: str, error: Tensor) -> Check:
    """The claim that an error vanishes; printed as a bound, so that the text is the same on every machine."""
    worst = error.abs().max().item() if error.numel() else 0.0
    bound = next((bound for bound in ("1e-12", "1e-10", "1e-08") if worst < float(bound)), None)
    return Check(claim, f"error below {bound}" if bound else f"error {worst:.0e}", bound is not None)
