"""The flow families, one a file, in the order of the course."""

from flowlib.transforms.amortized import Amortized
from flowlib.transforms.autoregressive import Autoregressive
from flowlib.transforms.continuous import Continuous
from flowlib.transforms.coupling import Coupling
from flowlib.transforms.density_ascent import DensityAscent
from flowlib.transforms.elementwise import ActNorm, ElementwiseAffine, LeakyReLU, Logit, Sigmoid
from flowlib.transforms.gaussianization import Gaussianization, Marginals, Whitening
from flowlib.transforms.glow import GlowStep
from flowlib.transforms.linear import Conv1x1, Linear, Permutation, Rotation
from flowlib.transforms.multiscale import MultiScale
from flowlib.transforms.neighbours import CausalFilter, PerPixel
from flowlib.transforms.partition import Channels, Checkerboard, Partition
from flowlib.transforms.planar import Planar, admissible
from flowlib.transforms.radial import Radial
from flowlib.transforms.rearrange import Flatten, Patches, Squeeze, Unflatten
from flowlib.transforms.residual import Residual
from flowlib.transforms.series import Exact, PowerSeries, Roulette
from flowlib.transforms.stacks import stacked
from flowlib.transforms.sylvester import Sylvester
from flowlib.transforms.units import InContextUnits, Units

__all__ = [
    "ActNorm",
    "Amortized",
    "Autoregressive",
    "CausalFilter",
    "Channels",
    "Checkerboard",
    "Continuous",
    "Conv1x1",
    "Coupling",
    "DensityAscent",
    "ElementwiseAffine",
    "Exact",
    "Flatten",
    "Gaussianization",
    "GlowStep",
    "InContextUnits",
    "LeakyReLU",
    "Linear",
    "Logit",
    "Marginals",
    "MultiScale",
    "Partition",
    "Patches",
    "PerPixel",
    "Permutation",
    "Planar",
    "PowerSeries",
    "Radial",
    "Residual",
    "Rotation",
    "Roulette",
    "Sigmoid",
    "Squeeze",
    "Sylvester",
    "Unflatten",
    "Units",
    "Whitening",
    "admissible",
    "stacked",
]
