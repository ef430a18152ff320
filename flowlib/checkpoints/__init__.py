"""Small trained flows that take longer to train than a page may take.

planar_energies    planar flows of length 2, 8, 32 on the energies u1 to u4, by `tools/train_planar_energies.py`

Each folder here is an image model for `flowlib.load`, with a card that says what it is, how good, and the command that
made it.
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
