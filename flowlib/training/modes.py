"""Which modes of a mixture samples have reached, where the truth is known."""

import torch
from torch import Tensor

from flowlib.support.checks import check_above_zero


def mode_shares(samples: Tensor, centres: Tensor, reach: float) -> Tensor:
    """The share of samples within `reach` of each centre, and at last of those that are near none.

    Args:
        samples: (n, D).
        centres: (K, D); no two of them nearer than 2 · reach, so that no sample counts twice.
        reach: how far from its centre a mode goes, 4 standard deviations say.

    Returns:
        (K + 1,) float64, with sum 1.

    >>> mode_shares(torch.tensor([[0.1], [5.2], [4.9], [2.0]]), torch.tensor([[0.0], [5.0]]), 1.0)
    tensor([0.2500, 0.5000, 0.2500], dtype=torch.float64)
    """
    reach = check_above_zero("mode_shares", "reach", reach)
    if samples.dim() != 2 or centres.dim() != 2 or samples.shape[1] != centres.shape[1] or not len(samples):
        raise ValueError(
            "mode_shares expects samples (n, D) and centres (K, D) as rows; got "
            f"{tuple(samples.shape)} and {tuple(centres.shape)}."
        )
    distance, nearest = torch.cdist(samples.double(), centres.double()).min(1)  # (n,), to the nearest centre
    mode = torch.where(distance < reach, nearest, len(centres))
    return torch.bincount(mode, minlength=len(centres) + 1).double() / len(samples)
