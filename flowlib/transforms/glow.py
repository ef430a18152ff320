"""Glow: the step of which it is made."""

from collections.abc import Sequence

from torch import nn

from flowlib.core import Compose, Inverse
from flowlib.laws import Law
from flowlib.transforms.coupling import Coupling
from flowlib.transforms.elementwise import ActNorm
from flowlib.transforms.linear import Conv1x1
from flowlib.transforms.partition import Channels


class GlowStep(Compose):
    """One step of Glow, read from the data: ActNorm, a 1 × 1 convolution, a coupling of channels.

    Map: a `Compose` of these three, from noise to data: the coupling, the mixing of channels, the units.
    Log-determinant: their sum. Invertible because each part is. The convolution is turned round, as in the paper: from
    data to noise, where maximum likelihood runs, it multiplies.

    Args:
        shape: (C, H, W), C at least 2.
        law: how a number moves in the coupling.
        conditioner: the network of the coupling, as `Coupling` takes it; the first ⌈C / 2⌉ channels stay.
        context_dim: size of the context that the network sees, 0 for none.

    Paper: Kingma and Dhariwal (2018, arXiv 1807.03039), Glow, figure 2a and table 1.

    >>> import torch
    >>> from flowlib.nets.convolutional import GlowNet
    >>> from flowlib.laws import Affine
    >>> x, log_det = GlowStep((4, 2, 2), Affine(), GlowNet(2, 4))(torch.zeros(5, 4, 2, 2))
    >>> x.shape, log_det.shape
    (torch.Size([5, 4, 2, 2]), torch.Size([5]))
    """

    def __init__(self, shape: Sequence[int], law: Law, conditioner: nn.Module, context_dim: int = 0):
        coupling = Coupling(law, conditioner, Channels(shape), context_dim)
        super().__init__([coupling, Inverse(Conv1x1(shape)), ActNorm(shape)])
