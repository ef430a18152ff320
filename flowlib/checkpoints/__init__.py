"""Small trained flows that take longer to train than a page may take; the tool that made each one stands in `tools/`.

planar_energies    tools/train_planar_energies.py    planar flows of length 2, 8, 32 on the energies u1 to u4
"""

from pathlib import Path

import torch
from torch import Tensor

from flowlib.checks import check_choice

FOLDER = Path(__file__).parent
NAMES: tuple[str, ...] = tuple(sorted(path.stem for path in FOLDER.glob("*.pt")))


def load(name: str) -> dict[str, dict[str, Tensor]]:
    """Everything in the checkpoint of that name: {which flow: its state_dict}.

    >>> sorted(load("planar_energies")["u1, K = 2"])
    ['transform.b', 'transform.u', 'transform.w']
    """
    return torch.load(FOLDER / f"{check_choice('checkpoints.load', 'name', name, NAMES)}.pt", weights_only=True)
