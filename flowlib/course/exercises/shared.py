"""What the exercises of several notebooks have in common."""

import torch
from torch import Tensor

from flowlib.bases import LOG_2PI

Z = torch.tensor([[0.0, 0.5], [1.0, -0.5], [-1.5, 2.0], [0.3, 0.8]])  # four points of the plane, (4, 2)
COUNT = torch.arange(16.0).reshape(1, 1, 4, 4)  # an image whose pixels are numbered in reading order


def drawn(*shape: int, seed: int = 0) -> Tensor:
    """Numbers from a normal density, to one decimal: inputs whose sizes differ from those of the others."""
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed)).mul(10).round().div(10)


INVERSE_LOG_DET = "This is the log-determinant of the inverse. The forward direction has the opposite sign."
SUMMED_LOG_DET = "You summed over the batch: a log-determinant is one number for each point, shape (n,)."
SUMMED_LOG_PROB = "You summed over the batch: each point has its own log-density."


def barred(*names: str, rule: str) -> dict[str, str]:
    """`without` of an exercise: each name with the sentence that it breaks the rule."""
    return {name: f"The numbers are right, but `{name}` {rule}" for name in names}


def normal_log_prob(z: Tensor) -> Tensor:
    """log N(z; 0, I) of n points on the line, (n,), or in D dimensions, (n, D) -> (n,)."""
    points = z.reshape(len(z), -1)
    return -0.5 * points.square().sum(-1) - 0.5 * points.shape[-1] * LOG_2PI


def log_det_of(matrix: Tensor) -> Tensor:
    """log |det A|, (D, D) -> ()."""
    return torch.linalg.slogdet(matrix).logabsdet
