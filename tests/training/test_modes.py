"""Which modes samples have reached."""

import pytest
import torch

from flowlib.datasets import toy
from flowlib.training import mode_shares


def test_the_truth_has_equal_shares_and_next_to_nothing_elsewhere() -> None:
    ring = toy.ring_of_gaussians(5, 0.2)
    shares = mode_shares(ring.sample(20_000, seed=1), ring.centres, 0.8)
    assert shares.shape == (6,) and abs(float(shares.sum()) - 1) < 1e-12
    assert (shares[:5] - 0.2).abs().max() < 0.02 and shares[5] < 0.003  # exp(−8) of it lies beyond four deviations


def test_a_dropped_mode_and_a_stray_are_seen() -> None:
    centres = torch.tensor([[0.0, 0.0], [4.0, 0.0], [0.0, 4.0]])
    samples = torch.tensor([[0.1, 0.0], [4.0, 0.9], [2.0, 0.0], [-0.3, 0.1]])
    assert mode_shares(samples, centres, 1.0).tolist() == [0.5, 0.25, 0.0, 0.25]


def test_bad_input() -> None:
    with pytest.raises(ValueError, match=r"rows; got \(3, 1\) and \(2, 2\)"):
        mode_shares(torch.zeros(3, 1), torch.zeros(2, 2), 1.0)
    with pytest.raises(ValueError, match="reach"):
        mode_shares(torch.zeros(3, 2), torch.zeros(2, 2), 0.0)
