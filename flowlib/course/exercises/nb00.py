"""The exercises of notebook 00."""

import math
from collections.abc import Callable

import torch
from torch import Tensor

from flowlib.bases import Base, StandardNormal
from flowlib.core import Transform
from flowlib.course.exercises.exercise import Exercise
from flowlib.transforms import Planar, Radial

HALF_LOG_2PI = 0.5 * math.log(2.0 * math.pi)


def normal_log_prob(z: Tensor) -> Tensor:
    """log N(z; 0, 1), (n,) -> (n,)."""
    return -0.5 * z.square() - HALF_LOG_2PI


def line_log_prob(x: Tensor) -> Tensor:
    """x = 2 z + 1, z standard normal: x (n,) -> log p_X(x) (n,)."""
    return normal_log_prob((x - 1.0) / 2.0) - math.log(2.0)


def line_wrong_sign(x: Tensor) -> Tensor:
    return normal_log_prob((x - 1.0) / 2.0) + math.log(2.0)


def line_no_volume(x: Tensor) -> Tensor:
    return normal_log_prob((x - 1.0) / 2.0)


def line_factor_not_log(x: Tensor) -> Tensor:
    return normal_log_prob((x - 1.0) / 2.0) - 2.0


def line_other_direction(x: Tensor) -> Tensor:
    return normal_log_prob(2.0 * x + 1.0) - math.log(2.0)


def line_wrong_order(x: Tensor) -> Tensor:
    return normal_log_prob(x / 2.0 - 1.0) - math.log(2.0)


def line_no_constant(x: Tensor) -> Tensor:
    return line_log_prob(x) + HALF_LOG_2PI


def line_density(x: Tensor) -> Tensor:
    return line_log_prob(x).exp()


def line_sum(x: Tensor) -> Tensor:
    return line_log_prob(x).sum()


def sample_log_prob(transform: Transform, base: Base, z: Tensor) -> Tensor:
    """z (n, D) -> log p_X at x = f(z) (n,), from one call of forward."""
    return base.log_prob(z) - transform(z)[1]


def sample_wrong_sign(transform: Transform, base: Base, z: Tensor) -> Tensor:
    return base.log_prob(z) + transform(z)[1]


def sample_base_at_x(transform: Transform, base: Base, z: Tensor) -> Tensor:
    x, log_det = transform(z)
    return base.log_prob(x) - log_det


def sample_no_volume(transform: Transform, base: Base, z: Tensor) -> Tensor:
    return base.log_prob(z)


def sample_det_at_x(transform: Transform, base: Base, z: Tensor) -> Tensor:
    return base.log_prob(z) - transform(transform(z)[0])[1]


def sample_sum(transform: Transform, base: Base, z: Tensor) -> Tensor:
    return sample_log_prob(transform, base, z).sum()


def two_log_det(first: Transform, second: Transform, z: Tensor) -> Tensor:
    """z (n, D) -> log |det| of second(first(z)) (n,)."""
    y, log_det = first(z)
    return log_det + second(y)[1]


def two_both_at_z(first: Transform, second: Transform, z: Tensor) -> Tensor:
    return first(z)[1] + second(z)[1]


def two_product(first: Transform, second: Transform, z: Tensor) -> Tensor:
    y, log_det = first(z)
    return log_det * second(y)[1]


def two_only_last(first: Transform, second: Transform, z: Tensor) -> Tensor:
    return second(first(z)[0])[1]


def two_wrong_order(first: Transform, second: Transform, z: Tensor) -> Tensor:
    return two_log_det(second, first, z)


def two_sum(first: Transform, second: Transform, z: Tensor) -> Tensor:
    return two_log_det(first, second, z).sum()


POINTS = torch.tensor([[0.5, -1.0], [-0.3, 0.4], [1.5, 0.2]])
PLANAR = Planar(2, u=[1.0, 0.5], w=[1.0, 1.0], b=0.5)
RADIAL = Radial(2, z0=[0.5, 0.0], alpha=1.0, beta=2.0)
SUMMED: str = "You summed over the batch: each point has its own number, so n points in, n numbers out."

LINE_MISTAKES: list[tuple[str, Callable]] = [
    ("The volume term has the wrong sign: lengths double, so the same probability is spread thinner, and the log "
     "density must go down.", line_wrong_sign),
    ("You asked the normal density at the right z, but the volume term is missing: the map doubles every length.",
     line_no_volume),
    ("You subtracted the factor 2 itself; the formula is in logs, so its logarithm is needed.", line_factor_not_log),
    ("You sent x forward. The base density must be asked at the z that x came from.", line_other_direction),
    ("You undid the two steps in the wrong order: forward doubles first and shifts last, so the way back starts with "
     "the shift.", line_wrong_order),
    ("The constant of the standard normal is missing: its log density at zero is −½ log 2π, not 0.", line_no_constant),
    ("You returned the density; the question asks for its logarithm.", line_density),
    (SUMMED, line_sum),
]  # fmt: skip

SAMPLE_MISTAKES: list[tuple[str, Callable]] = [
    ("You added the log_det of forward. That log_det says how much forward stretches; where it stretches, the density "
     "of x gets thinner. (The formula with a plus uses the log_det of inverse.)", sample_wrong_sign),
    ("You asked the base density at x. The base knows only z.", sample_base_at_x),
    ("The volume term is missing: this is the density of z, not of x = f(z).", sample_no_volume),
    ("You took log_det from a second step, which starts at x. It must be the one of the step from z to x.",
     sample_det_at_x),
    (SUMMED, sample_sum),
]  # fmt: skip

TWO_MISTAKES: list[tuple[str, Callable]] = [
    ("You took both log_dets at z. The second map never sees z: it stretches the place where the first one put the "
     "point.", two_both_at_z),
    ("You multiplied the two logs. Stretch factors multiply, so their logarithms do something else.", two_product),
    ("You returned the log_det of the second map alone; the first one has stretched space too.", two_only_last),
    ("You applied the second map before the first.", two_wrong_order),
    (SUMMED, two_sum),
]  # fmt: skip

EXERCISES: list[Exercise] = [
    Exercise(
        name="00_line_log_prob",
        answer=line_log_prob,
        inputs=[(torch.tensor([1.0, 3.0]),), (torch.tensor([-2.0, 0.5, 4.0]),)],
        mistakes=LINE_MISTAKES,
    ),
    Exercise(
        name="00_sample_log_prob",
        answer=sample_log_prob,
        inputs=[(PLANAR, StandardNormal(2), POINTS), (RADIAL, StandardNormal(2), POINTS)],
        mistakes=SAMPLE_MISTAKES,
    ),
    Exercise(
        name="00_two_log_det",
        answer=two_log_det,
        inputs=[(PLANAR, RADIAL, POINTS), (RADIAL, PLANAR, POINTS)],
        mistakes=TWO_MISTAKES,
    ),
]
