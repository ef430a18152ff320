"""Maps of scores against masks: areas under curves by other ways, and intervals over groups."""

import numpy as np
import pytest

from flowlib.datasets import split_by_group, textures
from flowlib.models import fast_flow, texture_features
from flowlib.training import PixelTest, au_pro, auroc, fit, interval, threshold

RANDOM = np.random.default_rng(0)


def masks_and_maps() -> tuple[np.ndarray, np.ndarray]:
    masks = np.zeros((6, 20, 20), bool)
    masks[1, 2:6, 3:9] = masks[2, 10:14, 10:12] = masks[2, 1, 1] = masks[4, 5:18, 5:18] = True
    return masks, RANDOM.normal(size=masks.shape) + masks


def test_pixel_auroc_is_that_of_all_pixels() -> None:
    masks, maps = masks_and_maps()
    test = PixelTest(maps, masks)
    assert test.auroc() == pytest.approx(auroc(maps[~masks], maps[masks]), abs=1e-3)
    rows = np.array([0, 1, 1, 4])
    maps, masks = maps[rows], masks[rows]
    assert test.auroc(rows) == pytest.approx(auroc(maps[~masks], maps[masks]), abs=3e-3)


def test_au_pro_of_the_best_the_random_and_the_blind() -> None:
    masks = masks_and_maps()[0]
    assert au_pro(masks + 0.01 * RANDOM.random(masks.shape), masks) == pytest.approx(1.0, abs=5e-3)
    masks = np.zeros((200, 20, 20), bool)
    masks[:, 4:12, 4:12] = True
    # of scores that know nothing, the overlap is the false positive rate: 0.15 in the mean from 0 to 0.3
    assert au_pro(RANDOM.random(masks.shape), masks) == pytest.approx(0.15, abs=0.015)
    assert au_pro(0.01 * RANDOM.random(masks.shape) - masks, masks) == pytest.approx(0.0, abs=5e-3)


def test_each_region_counts_alike() -> None:
    masks = np.zeros((1, 40, 40), bool)
    masks[0, :20, :20] = masks[0, 30:32, 30:32] = True
    maps = RANDOM.random(masks.shape)
    maps[0, :20, :20] += 2.0  # the large one is found, the small one is not
    maps[0, 30:32, 30:32] -= 2.0
    assert au_pro(maps, masks) == pytest.approx(0.5, abs=5e-3)
    assert PixelTest(maps, masks).auroc() > 0.98


def test_intervals_resample_groups() -> None:
    groups = np.repeat(np.arange(20), 10)
    level = np.repeat(RANDOM.normal(size=20), 10)
    of_groups, of_rows = (interval(lambda rows: level[rows].mean(), g) for g in (groups, np.arange(200)))
    assert of_groups.low < of_groups.value < of_groups.high
    assert of_groups.high - of_groups.low > 2 * (of_rows.high - of_rows.low)


def test_bad_input() -> None:
    with pytest.raises(ValueError, match="a mask must have the size of its score map"):
        au_pro(np.zeros((2, 4, 4)), np.zeros((2, 5, 5)))
    with pytest.raises(ValueError, match="pixels on a defect"):
        au_pro(np.zeros((2, 4, 4)), np.zeros((2, 4, 4)))
    with pytest.raises(ValueError, match="threshold"):
        threshold(np.array([]))


def test_a_threshold_leaves_its_part_of_normal_images() -> None:
    normal = RANDOM.normal(size=1000)
    assert (normal > threshold(normal, 0.95)).mean() == pytest.approx(0.05, abs=0.002)


def test_a_small_flow_finds_the_defects_of_textures() -> None:
    data, extract = textures(tiles=30, defective=10, seed=3), texture_features()
    train, held, test = split_by_group(data, parts=(0.5, 0.2))
    maps = extract(data.images)
    model = fast_flow([x.shape[1:] for x in maps], couplings=2, width=16)
    for flow, x in zip(model.flows, maps, strict=True):
        fit(flow, x[train], steps=60, batch=16, lr=1e-2, held_out=(x[held],))
    scores, bad = model.score([x[test] for x in maps]).images, data.anomalous[test]
    assert auroc(scores[~bad], scores[bad]) > 0.8
    assert bad.sum() == 40
