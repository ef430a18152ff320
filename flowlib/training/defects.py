"""How well maps of scores find defects: areas under curves, whose intervals `interval` finds over groups.

    au_pro    the mean part of each defect that is found, averaged over false positive rates of pixels up to a limit
    threshold a quantile of the scores of normal images that were held out; the test set never sees it

Images of one object are no independent draws, so an interval resamples objects (groups) and not images.
"""

import numpy as np
from scipy.ndimage import label


class PixelTest:
    """Score maps against masks, counted once at many thresholds, so that resamples of images cost nothing more.

    The thresholds are quantiles of the pixels without a defect: equal steps of the false positive rate. A region is a
    connected piece of a mask, diagonal neighbors among them; each counts alike, small or large.

    Args:
        maps: scores (n, H, W).
        masks: (n, H, W), true on defects.
        steps: of the false positive rate.
    """

    def __init__(self, maps: np.ndarray, masks: np.ndarray, steps: int = 1000):
        maps, masks = np.asarray(maps, np.float64), np.asarray(masks, bool)
        if maps.shape != masks.shape:
            raise ValueError(
                f"PixelTest: a mask must have the size of its score map; got {masks.shape} for {maps.shape}."
            )
        if not masks.any() or masks.all():
            raise ValueError("PixelTest: it needs pixels on a defect and pixels on none.")
        thresholds = np.quantile(maps[~masks], np.linspace(0.0, 1.0, steps + 1))
        normal, defect, overlap, owner = [], [], [], []
        for row, (scores, mask) in enumerate(zip(maps, masks, strict=True)):
            normal.append(above(scores[~mask], thresholds))
            defect.append(above(scores[mask], thresholds))
            regions, count = label(mask, np.ones((3, 3)))
            for k in range(1, count + 1):
                overlap.append(above(scores[regions == k], thresholds) / (regions == k).sum())
                owner.append(row)
        self.normal, self.defect = np.array(normal), np.array(defect)  # (n, steps + 1) pixels above each threshold
        self.pixels, self.defects = (~masks).sum((1, 2)), masks.sum((1, 2))  # (n,) without and with a defect
        self.overlap, self.owner = np.array(overlap), np.array(owner)  # (regions, steps + 1), (regions,)

    def rates(self, counts: np.ndarray, weights: np.ndarray) -> np.ndarray:
        """The weighted mean of rows, from the highest threshold to the lowest, with the ends (0 and 1)."""
        return np.concatenate([[0.0], (weights @ counts)[::-1], [1.0]])

    def false_positives(self, images: np.ndarray) -> np.ndarray:
        return self.rates(self.normal, images / (images @ self.pixels))

    def weights(self, rows: np.ndarray | None) -> np.ndarray:
        """How often each image occurs among these rows; None: once."""
        n = len(self.normal)
        images = np.ones(n) if rows is None else np.bincount(rows, minlength=n).astype(float)
        if not images[self.owner].any():
            raise ValueError("PixelTest: these images have no defect.")
        return images

    def auroc(self, rows: np.ndarray | None = None) -> float:
        """The area under the ROC curve of pixels, of these rows of images."""
        images = self.weights(rows)
        found = self.rates(self.defect, images / (images @ self.defects))
        return float(np.trapezoid(found, self.false_positives(images)))

    def au_pro(self, rows: np.ndarray | None = None, limit: float = 0.3) -> float:
        """The area under the per-region overlap up to a false positive rate of `limit`, divided by it.

        Paper: Bergmann et al. (2021), The MVTec anomaly detection dataset, IJCV 129, section 5.2 (limit 0.3).
        """
        images = self.weights(rows)
        of_regions = images[self.owner] / images[self.owner].sum()
        found, false = self.rates(self.overlap, of_regions), self.false_positives(images)
        at = np.linspace(0.0, limit, 301)
        return float(np.trapezoid(np.interp(at, false, found), at) / limit)


def above(scores: np.ndarray, thresholds: np.ndarray) -> np.ndarray:
    """How many scores reach each threshold."""
    return len(scores) - np.searchsorted(np.sort(scores), thresholds, side="left")


def au_pro(maps: np.ndarray, masks: np.ndarray, limit: float = 0.3) -> float:
    """The area under the per-region overlap of score maps (n, H, W) with masks (n, H, W); see `PixelTest.au_pro`."""
    return PixelTest(maps, masks).au_pro(limit=limit)


def threshold(normal: np.ndarray, quantile: float = 0.95) -> float:
    """The score that this part of normal images, held out from training, stays below."""
    normal = np.asarray(normal, float)
    if not len(normal) or not 0 < quantile < 1:
        raise ValueError(
            f"threshold: needs scores of normal images and a quantile in (0, 1); got {len(normal)} scores, {quantile}."
        )
    return float(np.quantile(normal, quantile, method="higher"))
