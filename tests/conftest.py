"""One thread a process, so that two test workers on two cores do not fight; no display."""

import os

os.environ.setdefault("OMP_NUM_THREADS", "1")
os.environ.setdefault("MPLBACKEND", "agg")

import pytest
import torch


@pytest.fixture(autouse=True)
def seeded():
    """Every test draws the same numbers, whichever tests its worker ran before."""
    torch.manual_seed(0)


@pytest.fixture
def double():
    """Everything that a test builds is float64."""
    torch.set_default_dtype(torch.float64)
    yield
    torch.set_default_dtype(torch.float32)
