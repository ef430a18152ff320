"""A run that takes seconds, as words for the command line and as settings, and what it leaves."""

import os
from pathlib import Path

from flowlib.__main__ import main, prepared
from flowlib.training.settings import Settings
from flowlib.training.trainer import Trainer

TINY = ["--data", "digits", "--model", "glow", "--set", "scales=1", "steps=2", "width=8", "--batch", "32"]
SMALL = {"arguments": {"scales": 1, "steps": 2, "width": 8}, "batch": 32, "draws": 2}
RUN = [*TINY, "--steps", "60", "--checkpoint-every", "5", "--evaluate-every", "30", "--draws", "2"]
ENVIRONMENT = {**os.environ, "PYTHONPATH": str(Path(__file__).parents[3]), "OMP_NUM_THREADS": "1"}


def flowlib(*words: object) -> int:
    """The exit code of the command `flowlib` with these words."""
    return main([str(word) for word in words])


def losses_of(folder: Path) -> list[str]:
    """The lines of the losses that the run in this folder wrote."""
    return (folder / "losses.csv").read_text().splitlines()


def trainer_of(settings: Settings, out: Path) -> Trainer:
    """Before its first step."""
    return Trainer(settings, *prepared(settings), out)
