"""The exercises of notebook 00: where everything starts."""

import math

import torch
from torch import Tensor

from flowlib.bases import StandardNormal
from flowlib.core import Base, Transform
from flowlib.course.exercises.exercise import Exercise
from flowlib.course.exercises.picture import Picture
from flowlib.course.exercises.shared import barred, drawn, normal_log_prob
from flowlib.transforms import Planar, Radial

POINTS = torch.tensor([[0.5, -1.0], [-0.3, 0.4], [1.5, 0.2]])
PLANAR = Planar(2, u=[1.0, 0.5], w=[1.0, 1.0], b=0.5)
RADIAL = Radial(2, z0=[0.5, 0.0], alpha=1.0, beta=2.0)
POINTS5, PLANAR5 = drawn(4, 5), Planar(5, u=drawn(5, seed=1), w=drawn(5, seed=2), b=-0.4)
RADIAL5 = Radial(5, z0=drawn(5, seed=3), alpha=0.7, beta=1.5)
WIDE = torch.linspace(-7.0, 9.0, 161)
SUMMED = "You summed over the batch: each point has its own number, so n points in, n numbers out."


# --- 0.1: a stretched bell curve


def line_log_prob(x: Tensor) -> Tensor:
    """x = 2 z + 1, z standard normal: x (n,) -> log p_X(x) (n,)."""
    return normal_log_prob((x - 1.0) / 2.0) - math.log(2.0)


line = Exercise(
    "00_line_log_prob",
    line_log_prob,
    inputs=[(torch.tensor([1.0, 3.0]),), (torch.tensor([-2.0, 0.5, 4.0]),), (drawn(7),)],
    picture=Picture(WIDE, (WIDE,), "x"),
)
line.mistake(
    "The volume term has the wrong sign: lengths double, so the same probability is spread thinner, and the log "
    "density must go down.",
    lambda x: normal_log_prob((x - 1.0) / 2.0) + math.log(2.0),
)
line.mistake(
    "You asked the normal density at the right z, but the volume term is missing: the map doubles every length.",
    lambda x: normal_log_prob((x - 1.0) / 2.0),
)
line.mistake(
    "You subtracted the factor 2 itself; the formula is in logs, so its logarithm is needed.",
    lambda x: normal_log_prob((x - 1.0) / 2.0) - 2.0,
)
line.mistake(
    "You sent x forward. The base density must be asked at the z that x came from.",
    lambda x: normal_log_prob(2.0 * x + 1.0) - math.log(2.0),
)
line.mistake(
    "You undid the two steps in the wrong order: forward doubles first and shifts last, so the way back starts with "
    "the shift.",
    lambda x: normal_log_prob(x / 2.0 - 1.0) - math.log(2.0),
)
line.mistake(
    "The constant of the standard normal is missing: its log density at zero is −½ log 2π, not 0.",
    lambda x: line_log_prob(x) + 0.5 * math.log(2.0 * math.pi),
)
line.mistake("You returned the density; the question asks for its logarithm.", lambda x: line_log_prob(x).exp())
line.mistake(SUMMED, lambda x: line_log_prob(x).sum())


# --- 0.2: which log_det is it?


def sample_log_prob(transform: Transform, base: Base, z: Tensor) -> Tensor:
    """z (n, D) -> log p_X at x = f(z) (n,), from one call of forward."""
    return base.log_prob(z) - transform(z)[1]


sample = Exercise(
    "00_sample_log_prob",
    sample_log_prob,
    inputs=[
        (PLANAR, StandardNormal(2), POINTS),
        (RADIAL, StandardNormal(2), POINTS),
        (PLANAR5, StandardNormal(5), POINTS5),
    ],
    without=barred("inverse", rule="was not to be used: one call of forward is enough."),
)
sample.mistake(
    "You added the log_det of forward. That log_det says how much forward stretches; where it stretches, the density "
    "of x gets thinner. (The formula with a plus uses the log_det of inverse.)",
    lambda transform, base, z: base.log_prob(z) + transform(z)[1],
)
sample.mistake(
    "You asked the base density at x. The base knows only z.",
    lambda transform, base, z: base.log_prob(transform(z)[0]) - transform(z)[1],
)
sample.mistake(
    "The volume term is missing: this is the density of z, not of x = f(z).",
    lambda transform, base, z: base.log_prob(z),
)
sample.mistake(
    "You took log_det from a second step, which starts at x. It must be the one of the step from z to x.",
    lambda transform, base, z: base.log_prob(z) - transform(transform(z)[0])[1],
)
sample.mistake(SUMMED, lambda transform, base, z: sample_log_prob(transform, base, z).sum())


# --- 0.3: two maps in a row


def two_log_det(first: Transform, second: Transform, z: Tensor) -> Tensor:
    """z (n, D) -> log |det| of second(first(z)) (n,)."""
    y, log_det = first(z)
    return log_det + second(y)[1]


two_maps = Exercise(
    "00_two_log_det",
    two_log_det,
    inputs=[(PLANAR, RADIAL, POINTS), (RADIAL, PLANAR, POINTS), (PLANAR5, RADIAL5, POINTS5)],
)
two_maps.mistake(
    "You took both log_dets at z. The second map never sees z: it stretches the place where the first one put the "
    "point.",
    lambda first, second, z: first(z)[1] + second(z)[1],
)
two_maps.mistake(
    "You multiplied the two logs. Stretch factors multiply, so their logarithms do something else.",
    lambda first, second, z: first(z)[1] * second(first(z)[0])[1],
)
two_maps.mistake(
    "You returned the log_det of the second map alone; the first one has stretched space too.",
    lambda first, second, z: second(first(z)[0])[1],
)
two_maps.mistake(
    "You returned the log_det of the first map alone; the second one stretches space too.",
    lambda first, second, z: first(z)[1],
)
two_maps.mistake("You applied the second map before the first.", lambda first, second, z: two_log_det(second, first, z))
two_maps.mistake(SUMMED, lambda first, second, z: two_log_det(first, second, z).sum())


EXERCISES = [line, sample, two_maps]
