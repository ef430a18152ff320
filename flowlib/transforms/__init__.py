"""The flow families, one a file, in the order of the course."""

from flowlib.transforms.elementwise import ElementwiseAffine, LeakyReLU, Logit, Sigmoid
from flowlib.transforms.linear import Linear, Permutation, Rotation
from flowlib.transforms.planar import Planar
from flowlib.transforms.radial import Radial
from flowlib.transforms.sylvester import Sylvester

__all__ = [
    "ElementwiseAffine",
    "LeakyReLU",
    "Linear",
    "Logit",
    "Permutation",
    "Planar",
    "Radial",
    "Rotation",
    "Sigmoid",
    "Sylvester",
]
