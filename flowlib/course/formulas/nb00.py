"""The rows of notebook 00: the one formula, the name, the directions."""

import torch

from flowlib.bases import StandardNormal
from flowlib.core import Compose, Flow, Inverse
from flowlib.course.formulas.proving import draw, gap, worst
from flowlib.course.formulas.row import Rows
from flowlib.transforms.elementwise import ElementwiseAffine
from flowlib.transforms.planar import Planar
from flowlib.transforms.radial import Radial

ROWS = Rows("00_start_here")


@ROWS.formula(
    "a sample of the data",
    r"z \sim p_Z,\quad x = f(z)",
    section="1. What a normalizing flow is",
    at="tutorial 9, chef 5, lecture 17.1",
    code="Flow.sample",
    exercise="00_sample_log_prob",
)
def sample() -> float:
    """a sample with its density, and `log_prob` of the sample"""
    flow = Flow(Compose([Planar(3), Radial(3)]), StandardNormal(3))
    x, log_prob = flow.sample_with_log_prob(50)
    return gap(log_prob, flow.log_prob(x))


@ROWS.formula(
    "there and back",
    r"f^{-1}(f(z)) = z,\quad \log\lvert\det \partial f^{-1}/\partial x\rvert = "
    r"-\log\lvert\det \partial f/\partial z\rvert",
    section="4. Notation, and which way is forward",
    at="tutorial 9, review 10",
    code="Inverse",
    exercise="00_sample_log_prob",
)
def there_and_back() -> float:
    """a map and the same map turned round"""
    f, z = Planar(3), draw(20, 3)
    x, log_det = f(z)
    z_again, log_det_back = Inverse(f)(x)
    return max(gap(z_again, z), gap(log_det_back, -log_det))


@ROWS.claim(
    "either direction may be written first",
    "yes",
    "with the log-determinant of the call that is made; the two are opposite",
    section="4. Notation, and which way is forward",
    at="review 10",
    code="Inverse",
    exercise="00_sample_log_prob",
)
def either_direction() -> float:
    """log p with the inverse's log-determinant and with the forward one's"""
    flow = Flow(Planar(3), StandardNormal(3))
    z = draw(20, 3)
    x, log_det = flow.transform(z)
    return gap(flow.log_prob(x), flow.base.log_prob(z) - log_det)


@ROWS.claim(
    "a flow: a simple density and a sequence of simple invertible maps",
    "yes",
    "four planar maps make an S of a round cloud",
    section="3. The tour, in pictures",
    at="chef 1, review 1, tutorial 1, tutorial 10",
    code="Compose",
    exercise="00_two_log_det",
)
def simple_maps() -> float:
    """every claim of a stack of four, against autograd"""
    return worst(Compose([Planar(2) for _ in range(4)]))


@ROWS.claim(
    "does the name mean the map, or the map with its base?",
    "a convention",
    "here the map is a transform, and transform and base together are a flow",
    section="2. The name",
    at="wiki 1",
    code="Flow",
)
def map_and_base() -> float:
    """the flow's density from its two parts"""
    flow, x = Flow(Radial(3), StandardNormal(3)), draw(20, 3)
    z, log_det = flow.transform.inverse(x)
    return gap(flow.log_prob(x), flow.base.log_prob(z) + log_det)


@ROWS.claim(
    "a gradient flow is one; all that is needed is a smooth bijection, adding a constant for example",
    "yes",
    "a shift has log-determinant 0 and is a flow; notebook 10 has the other kind",
    section="2. The name",
    at="wiki 2, chef 4",
    code="transforms.ElementwiseAffine",
)
def a_shift() -> float:
    """every claim of a shift, and its log-determinant 0"""
    shift = ElementwiseAffine(3, shift=[1.0, -2.0, 0.5])
    return max(worst(shift), gap(shift(draw(5, 3))[1], torch.zeros(5)))
