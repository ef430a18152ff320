"""The rows of notebook 11a: anomalies."""

import torch

from flowlib.bases import StandardNormal
from flowlib.core import Compose, Flow
from flowlib.course.formulas.proving import bell, draw, gap, shaken
from flowlib.course.formulas.row import Rows
from flowlib.course.stored import stored
from flowlib.laws import Affine
from flowlib.nets.convolutional import PixelNet
from flowlib.transforms.coupling import Coupling
from flowlib.transforms.partition import Channels
from flowlib.transforms.rearrange import Unflatten

ROWS = Rows("11a_anomalies")


@ROWS.system(
    "FastFlow",
    r"\log p(x) = \sum_{h,w} \log p_{hw},"
    r"\quad \log p_{hw} = \sum_c [-\tfrac12 z_{chw}^2 - \tfrac12\log 2\pi + s_{chw}]",
    section="2. Features, and a flow over them",
    at="review 28",
    code="models.fast_flow",
    exercise="11a_pixel_score",
)
def fast_flow() -> float:
    """a coupling of convolutions on a map: the sum over its pixels, and log p of the flow"""
    part = Channels((4, 3, 5))
    layer = shaken(Coupling(Affine(1.0), PixelNet(part.kept, 2 * part.moved, 6, 3), part))
    flow, x = Flow(Compose([Unflatten((4, 3, 5)), layer]), StandardNormal(60)), draw(6, 4, 3, 5)
    kept, moved = part.split(x)
    back, log_slopes = layer.law.inverse(moved, layer.params(kept, None))
    pixels = bell(part.join(kept, back)).log().sum(1) + log_slopes.sum(1)  # (6, 3, 5)
    return gap(pixels.sum((1, 2)), flow.log_prob(x))


@ROWS.formula(
    "AUROC",
    r"P(\text{anomalous} > \text{normal}) + \tfrac12 P(\text{equal})",
    section="4. A threshold",
    code="training.auroc",
    exercise="11a_auroc",
)
def auroc() -> float:
    """over pairs, and the area under the steps of the ROC curve"""
    good, bad = draw(30), draw(20) + 1.0
    pairs = (bad[:, None] > good[None, :]).double().mean()
    ranks = torch.cat([good, bad]).argsort().argsort()[30:] + 1.0
    return gap(pairs, (ranks.sum() - 20.0 * 21.0 / 2.0) / 600.0)


def of(split: str, score: str) -> dict[str, list[float]]:
    """Value and interval of each method, as `python -m tools.tiles` measured them."""
    return {row["method"]: row[score] for row in stored("tiles")[split]["rows"] if row.get(score)}


def on_both_splits() -> str:
    tiles, published = (
        "; ".join(f"{method} {value:.2f}" for method, (value, *_) in of(split, "image_auroc").items())
        for split in ("tiles", "published")
    )
    return f"image AUROC by tile: {tiles}. On the published split, which leaks: {published}. MVTec AD was not to be had"


def with_and_without() -> str:
    pairs = [
        [of(split, "au_pro")[f"flow, {by}"][0] for by in ("log p", "z² alone")] for split in ("tiles", "published")
    ]
    return "AU-PRO with the log-determinant and without, same weights: " + ", ".join(
        f"{a:.2f} and {b:.2f}" for a, b in pairs
    )


@ROWS.claim(
    "FastFlow is the best at industrial defects (MVTec AD)",
    "not settled here",
    on_both_splits,
    section="5. Real tiles: the honest table",
    at="review 28",
    code="models.fast_flow",
    exercise="11a_split",
    bound=0.01,
)
def on_tiles() -> float:
    """how far the best image AUROC on the split by tile lies above the interval of the flow: nothing"""
    scores = of("tiles", "image_auroc")
    return max(max(value for value, *_ in scores.values()) - scores["flow, log p"][2], 0.0)


@ROWS.claim(
    "a flow's density finds outliers",
    "yes, and with its log-determinant it finds where they are",
    with_and_without,
    section="6. log p against z² alone",
    at="review 3",
    code="models.FastFlow.score",
    exercise="11a_pixel_score",
    bound=0.01,
)
def with_log_det() -> float:
    """how far AU-PRO of z² alone lies above that of log p on either split: nothing"""
    scores = [of(split, "au_pro") for split in ("tiles", "published")]
    return max(max(each["flow, z² alone"][0] - each["flow, log p"][0] for each in scores), 0.0)
