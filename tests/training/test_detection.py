"""AUROC and its interval."""

import numpy as np
import pytest
import torch

from flowlib.training import auroc, auroc_interval, interval


def test_it_is_the_share_of_pairs() -> None:
    draw = torch.Generator().manual_seed(0)
    a, b = (torch.randint(6, (n,), generator=draw).double() + up for n, up in ((40, 0), (30, 1)))
    pairs = (b[:, None] > a).double() + 0.5 * (b[:, None] == a).double()
    assert abs(auroc(a, b) - pairs.mean().item()) < 1e-12
    assert abs(auroc(b, a) + auroc(a, b) - 1) < 1e-12


def test_the_interval_covers_and_is_as_wide_as_it_should() -> None:
    """Uniform scores, b above a with probability ½: the deviation of AUROC is √((n + m + 1) / (12 n m))."""
    hits, n = 0, 60
    for seed in range(40):
        a, b = torch.rand(2, n, generator=torch.Generator().manual_seed(seed))
        found = auroc_interval(a, b, draws=200, seed=seed)
        hits += found.low <= 0.5 <= found.high
    assert hits >= 34
    assert 0.5 < (found.high - found.low) / (4 * ((2 * n + 1) / (12 * n * n)) ** 0.5) < 1.5


def test_parts_keep_their_numbers_and_objects_stay_whole() -> None:
    """Objects 0, 1, ... show 1, 2, 3, 1, 2, 3, ... rows; the first 30 rows and the others are drawn apart."""
    groups = np.repeat(np.arange(30), np.tile([1, 2, 3], 10))
    parts, seen = groups >= 15, []

    def measure(rows: np.ndarray) -> float:
        drawn = np.bincount(rows, minlength=len(groups))
        assert all(len(set(drawn[groups == each])) == 1 for each in range(30))
        seen.append(sum(drawn[np.flatnonzero(groups == each)[0]] for each in range(15)))
        return 0.0

    interval(measure, groups, draws=20, parts=parts)
    assert set(seen) == {15}


@pytest.mark.parametrize("bad", [torch.zeros(0), torch.zeros(2, 2), torch.tensor([1.0, float("nan")])])
def test_bad_scores_are_refused_in_words(bad: torch.Tensor) -> None:
    with pytest.raises(ValueError, match="outliers must be one finite score for each row"):
        auroc(torch.zeros(3), bad)
