"""A step of Glow reads as in the paper."""

from flowlib.laws import Affine
from flowlib.nets import GlowNet
from flowlib.transforms import ActNorm, Conv1x1, Coupling, GlowStep


def test_a_step_reads_as_in_the_paper() -> None:
    coupling, turned, norm = GlowStep((4, 2, 2), Affine(), GlowNet(2, 4)).transforms
    assert isinstance(coupling, Coupling) and isinstance(turned.transform, Conv1x1) and isinstance(norm, ActNorm)
