"""Mixed precision where it can do no harm: in the networks, which only propose parameters.

Whatever they round to, the flow is invertible and its log-determinant is right; the laws, the base and all sums stay in
float32. An evaluation does not round at all.

Paper: Micikevicius et al. (2018), Mixed precision training, arXiv 1710.03740; Kalamkar et al. (2019), A study of
bfloat16 for deep learning training, arXiv 1905.12322.
"""

from torch import nn

from flowlib.transforms import Autoregressive, Coupling


def networks_in_bfloat16(model: nn.Module) -> None:
    """From now on the networks of all couplings and autoregressive layers compute in bfloat16 while they train."""
    for module in model.modules():
        if isinstance(module, Autoregressive | Coupling):
            module.mixed_precision = True
