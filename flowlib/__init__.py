"""flowlib: normalizing flows, small enough to read. Start with `flowlib.core`."""

from flowlib.core import Compose, Flow, Inverse, Transform
from flowlib.pretrained import load
from flowlib.proof import prove

__all__ = ["Compose", "Flow", "Inverse", "Transform", "load", "prove"]
