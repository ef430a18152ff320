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


@ROWS.claim(
    "FastFlow is the best at industrial defects (MVTec AD)",
    "not on what was measured here",
    "on magnetic tiles PaDiM has the higher image AUROC (0.814 against 0.784), the "
    "flow the highest AU-PRO (0.70); MVTec AD itself was not to be had",
    section="5. Real tiles: the honest table",
    at="review 28",
    code="models.fast_flow",
    exercise="11a_split",
    bound=0.1,
)
def on_tiles() -> float:
    """the two image AUROCs as stored, and 0.7842 and 0.8141"""
    rows = {row["method"]: row for row in stored("tiles")["tiles"]["rows"]}
    found = [rows[name]["image_auroc"][0] for name in ("flow, log p", "PaDiM")]
    return gap(torch.tensor(found), torch.tensor([0.7842, 0.8141]))


@ROWS.claim(
    "a flow's density finds outliers",
    "yes, and z² alone finds fewer",
    "AU-PRO 0.70 with the log-determinant, 0.53 without, same weights",
    section="6. log p against z² alone",
    at="review 3",
    code="models.FastFlow.score",
    exercise="11a_pixel_score",
    bound=0.1,
)
def with_log_det() -> float:
    """both AU-PROs as stored, and 0.6958 and 0.5264"""
    rows = {row["method"]: row for row in stored("tiles")["tiles"]["rows"]}
    found = [rows[name]["au_pro"][0] for name in ("flow, log p", "flow, z² alone")]
    return gap(torch.tensor(found), torch.tensor([0.6958, 0.5264]))
