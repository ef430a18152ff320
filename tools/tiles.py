"""Anomalies on the magnetic tiles, on an honest split and on the published one, for notebook 11a.

    python -m tools.tiles     writes notebooks/data/tiles.json; needs FLOWLIB_DATA and the extra `anomaly`

Features are those of EfficientNet-Lite0 at 128², maps of 16² and 8²; the training images are seen in four flips. All
methods get the same maps. `tiles`: whole tiles are in one part, training has tiles without a defect alone. `published`:
the split of the literature, whose test shows tiles of its training part. In both, an eighth of the training tiles is
held out to choose the step at which a flow is kept. Intervals: 95 %, 200 resamples of the tiles of the test.
The two scales and the size of the flow were chosen after a look at results on a similar split of the same tiles.
`epochs`: the image AUROC at states of the flow along the training, by log p and by z² alone.
"""

import json
import time
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from flowlib.datasets import Inspection, magnetic_tiles, split_by_group
from flowlib.models import (
    FastFlow,
    NearestPatches,
    PixelGaussians,
    Scores,
    WholeGaussian,
    efficientnet_lite0,
    fast_flow,
)
from flowlib.models.anomaly import blown_up
from flowlib.training import PixelTest, auroc, fit, interval

OUT = Path(__file__).resolve().parent.parent / "notebooks" / "data" / "tiles.json"
FLIPS = ((), (-1,), (-2,), (-2, -1))
COUPLINGS, WIDTH, STEPS, BATCH, LR, LOOKS, MEMBERS = 8, 64, 600, 16, 2e-3, 13, 500
Maps = list[Tensor]


def maps_of(images: Tensor, flips: tuple = FLIPS[:1]) -> Maps:
    """The maps of 16² and 8²; with several flips, one after the other."""
    features = efficientnet_lite0()
    parts = [features(images.flip(dims) if dims else images)[1:] for dims in flips]
    return [torch.cat(of_scale) for of_scale in zip(*parts, strict=True)]


def measures(scores: Scores, data: Inspection, test: Tensor) -> dict:
    """Image AUROC, pixel AUROC and AU-PRO, each with its interval over tiles."""
    bad, groups, images = data.anomalous[test].numpy(), data.groups[test].numpy(), scores.images.numpy()
    found = {"image_auroc": interval(lambda rows: auroc(images[rows[~bad[rows]]], images[rows[bad[rows]]]), groups)}
    if scores.pixels is not None:
        blown = blown_up(scores.pixels, data.masks.shape[-2:])
        pixels = PixelTest(blown.numpy(), data.masks[test].numpy())
        found |= {"pixel_auroc": interval(pixels.auroc, groups), "au_pro": interval(pixels.au_pro, groups)}
    return {name: [round(each.value, 4), round(each.low, 4), round(each.high, 4)] for name, each in found.items()}


def trained(maps: Maps, held_out: Maps) -> tuple[FastFlow, list[dict]]:
    """A flow, and its states along the training."""
    torch.manual_seed(0)
    model, states = fast_flow([each.shape[1:] for each in maps], COUPLINGS, WIDTH), []
    for flow, own, held in zip(model.flows, maps, held_out, strict=True):
        settings = {"steps": STEPS, "batch": BATCH, "lr": LR, "snapshots": LOOKS}
        states.append(fit(flow, own, held_out=(held,), **settings).snapshots)
    return model, states


def epochs(model: FastFlow, states: list[dict], maps: Maps, bad: np.ndarray) -> list[dict]:
    """The image AUROC by log p and by z² at each state; the model is left as it was."""
    last, found = [{k: v.clone() for k, v in flow.state_dict().items()} for flow in model.flows], []
    for step in sorted(states[0]):
        for flow, of_flow in zip(model.flows, states, strict=True):
            flow.load_state_dict(of_flow[step])
        scores = {by: model.score(maps, by).images.numpy() for by in ("log_prob", "z2")}
        found.append({"step": step} | {by: round(auroc(score[~bad], score[bad]), 4) for by, score in scores.items()})
    for flow, state in zip(model.flows, last, strict=True):
        flow.load_state_dict(state)
    return found


def compared(data: Inspection, every: Maps, train: Tensor, held: Tensor, test: Tensor) -> dict:
    """All methods on one split."""
    own, held_out = maps_of(data.images[train], FLIPS), [each[held] for each in every]
    tested = [each[test] for each in every]
    model, states = trained(own, held_out)
    results = {
        "flow, log p": model.score(tested),
        "flow, z² alone": model.score(tested, "z2"),
        "PaDiM": PixelGaussians(own).score(tested),
        "PatchCore": NearestPatches(own, MEMBERS).score(tested),
        "one Gaussian": WholeGaussian(own).score(tested),
    }
    rows = [{"method": name, **measures(scores, data, test)} for name, scores in results.items()]
    for row in rows:
        print(row, flush=True)
    shared = torch.isin(data.groups[test & ~data.anomalous], data.groups[train | held]).sum().item()
    counts = {
        "train": train.sum(),
        "held_out": held.sum(),
        "test": test.sum(),
        "normal": (test & ~data.anomalous).sum(),
    }
    return {
        **{name: int(count) for name, count in counts.items()},
        "normal_test_images_of_training_tiles": shared,
        "rows": rows,
        "epochs": epochs(model, states, tested, data.anomalous[test].numpy()),
    }


def main() -> None:
    torch.set_num_threads(1)
    started, data = time.process_time(), magnetic_tiles()
    every = maps_of(data.images)
    honest = split_by_group(data, parts=(0.6, 0.1))
    tiles = data.groups[data.train].unique()
    order = torch.randperm(len(tiles), generator=torch.Generator().manual_seed(0))
    held = data.train & torch.isin(data.groups, tiles[order[: len(tiles) // 8]])
    published = data.train & ~held, held, ~data.train
    found = {"command": "python -m tools.tiles", "steps": STEPS, "batch": BATCH, "couplings": COUPLINGS, "width": WIDTH}
    for name, split in (("tiles", honest), ("published", published)):
        found[name] = compared(data, every, *split)
        found["cpu_seconds"] = round(time.process_time() - started)
        OUT.write_text(json.dumps(found, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")
        print(name, found["cpu_seconds"], "CPU seconds", flush=True)


if __name__ == "__main__":
    main()
