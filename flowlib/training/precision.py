"""Mixed precision where it can do no harm: in the networks, which only propose parameters.

Whatever they round to, the flow is invertible and its log-determinant is right; the laws, the base and all sums stay in
float32. An evaluation does not round at all, and where float32 is asked for, so is a GPU's convolution: by default it
would read its numbers in TF32, with ten bits of 23 (`exact_convolutions`).

Paper: Micikevicius et al. (2018), Mixed precision training, arXiv 1710.03740; Kalamkar et al. (2019), A study of
bfloat16 for deep learning training, arXiv 1905.12322.
"""

import torch
from torch import nn

from flowlib.transforms import Autoregressive, Coupling


def networks_precision(asked: str, device: torch.device) -> str:
    """What the networks compute in: as asked for; where that is "auto", bfloat16 on a GPU that has it in hardware."""
    has = device.type == "cuda" and torch.cuda.is_bf16_supported(including_emulation=False)
    return asked if asked != "auto" else "bfloat16" if has else "float32"


def networks_in_bfloat16(model: nn.Module) -> None:
    """From now on the networks of all couplings and autoregressive layers compute in bfloat16 while they train."""
    for module in model.modules():
        if isinstance(module, Autoregressive | Coupling):
            module.mixed_precision = True


def exact_convolutions() -> None:
    """From now on cuDNN convolves float32 in float32, and sums in the same order each time."""
    torch.backends.cudnn.allow_tf32 = False
    torch.backends.cudnn.deterministic = True
