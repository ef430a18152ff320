"""Conditioners: the networks that supply a law with its parameters. They need not be invertible.

`MLP` makes the parameters of one part of a vector from the other part (coupling layers); `ConvNet` and `GlowNet` do so
on images. `MADE`, `CausalTransformer` and `PatchTransformer` see a whole vector and make the parameters of each
coordinate from the coordinates before it alone (autoregressive layers). `LipschitzMLP` and `LipschitzConvNet` push all
coordinates at once, by less than they lie apart (residual layers). The last layer of each starts at zero, so that a
flow starts as the identity.

An autoregressive conditioner has two faces that agree exactly:

    net(x, context) -> params (..., D, n_params)                            all coordinates in one pass
    state = net.begin(x, context)                                           x (N, D)
    params_i, state = net.step(state, i, x_{i-1})                           one coordinate at a time, nothing twice

`net.order` says which coordinate the i-th step is about.

A `Field` says which way a point moves at a time, v(t, x): the conditioner of `Continuous`; `VelocityMLP` is one.
"""

from flowlib.nets.convolutional import ConvNet, GlowNet, PixelNet
from flowlib.nets.field import Field, VelocityMLP
from flowlib.nets.lipschitz import LipschitzConv2d, LipschitzConvNet, LipschitzLinear, LipschitzMLP, LipSwish
from flowlib.nets.made import MADE
from flowlib.nets.mlp import MLP
from flowlib.nets.patches import PatchTransformer
from flowlib.nets.transformer import CausalTransformer

__all__ = [
    "MADE",
    "MLP",
    "CausalTransformer",
    "ConvNet",
    "Field",
    "GlowNet",
    "LipSwish",
    "LipschitzConv2d",
    "LipschitzConvNet",
    "LipschitzLinear",
    "LipschitzMLP",
    "PatchTransformer",
    "PixelNet",
    "VelocityMLP",
]
