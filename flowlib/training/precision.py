"""Mixed precision where it can do no harm: in the networks, which only propose parameters.

Whatever they round to, the flow is invertible and its log-determinant is right; the laws, the base and all sums stay in
float32. An evaluation does not round at all.
"""

from collections.abc import Callable

import torch
from torch import Tensor, nn


def networks_in_bfloat16(model: nn.Module) -> None:
    """From now on the networks of all couplings compute in bfloat16 while they train."""
    for network in [module.conditioner for module in model.modules() if hasattr(module, "conditioner")]:
        network.forward = in_bfloat16(network, network.forward)


def in_bfloat16(network: nn.Module, forward: Callable[..., Tensor]) -> Callable[..., Tensor]:
    def call(x: Tensor, *context: Tensor) -> Tensor:
        if not network.training:
            return forward(x, *context)
        with torch.autocast(x.device.type, torch.bfloat16):
            return forward(x, *context).to(x.dtype)

    return call
