"""The flow families, one a file, in the order of the course."""

from flowlib.transforms.autoregressive import Autoregressive
from flowlib.transforms.coupling import Coupling, CouplingStack, Partition
from flowlib.transforms.elementwise import ActNorm, ElementwiseAffine, LeakyReLU, Logit, Sigmoid
from flowlib.transforms.linear import Linear, Permutation, Rotation
from flowlib.transforms.planar import Planar, PlanarStack
from flowlib.transforms.radial import Radial
from flowlib.transforms.sylvester import Sylvester

__all__ = [
    "ActNorm",
    "Autoregressive",
    "Coupling",
    "CouplingStack",
    "ElementwiseAffine",
    "LeakyReLU",
    "Linear",
    "Logit",
    "Partition",
    "Permutation",
    "Planar",
    "PlanarStack",
    "Radial",
    "Rotation",
    "Sigmoid",
    "Sylvester",
]
