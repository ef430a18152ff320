"""Anomalies on the magnetic tiles, on an honest split and on the published one, for notebook 11a.

    python -m tools.tiles              writes notebooks/data/tiles.json; needs FLOWLIB_DATA and the extra `anomaly`
    python -m tools.tiles --choose     the development that the settings come from; adds it to the same file

Features are those of EfficientNet-Lite0 at 192² of leveled photographs, after blocks 11 and 14: maps of 12² and 6². The
training images are seen in four flips. All methods get the same maps. `tiles`: whole tiles are in one part, training
has tiles without a defect alone. `published`: the split of the literature, whose test shows tiles of its training part.
In both, some of the training tiles are held out to choose the step at which a flow is kept.

Settings were chosen on development tiles: a third of the tiles of each kind of defect, and the tiles of the training
part, two quarters of them in turn against the rest. Reported tests leave these tiles with defects out;
`with_development` is the image AUROC with them. Intervals: 95 %, 200 resamples of the
tiles of the test. `epochs`: the image AUROC at states of the flow along the training, by log p and by z² alone, of all
scales and of the finest. `shown`: of each kind of defect the photograph that the flow scores highest and the one that
it scores lowest, with its mask and its map (grey from the median of normal pixels to the threshold of a photograph).
`python -m tools.tile_labels` adds what labels would give.
"""

import argparse
import base64
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
from flowlib.models.anomaly import GaussianPixels, blown_up
from flowlib.training import PixelTest, auroc, fit, interval, threshold
from tools.parts import write_parts

OUT = Path(__file__).resolve().parent.parent / "notebooks" / "data" / "tiles.json"
FLIPS = ((), (-1,), (-2,), (-2, -1))
SIZE, BLOCKS, RIDGE = 192, (11, 14), 0.1
COUPLINGS, WIDTH, STEPS, BATCH, LR, LOOKS, MEMBERS = 4, 64, 200, 16, 1e-3, 9, 500
CHOICES = [(128, 5, False), (128, 11, False), (192, 11, False), (192, 11, True), (192, 14, False), (192, 14, True)]
Maps = list[Tensor]


def kinds_of(data: Inspection, tiles: Tensor) -> Tensor:
    """The kind of defect that each tile has on any photograph, 0 for none: (m,) -> (m,)."""
    return torch.stack([data.labels[data.groups == tile].max() for tile in tiles])


def development(data: Inspection, seed: int = 0) -> Tensor:
    """The rows of tiles that settings were chosen on, a third of the tiles of each kind of defect: (n,) bool."""
    generator, chosen = torch.Generator().manual_seed(seed), []
    defective = data.groups[data.anomalous].unique()
    kind = kinds_of(data, defective)
    for each in kind.unique():
        tiles = defective[kind == each]
        chosen.append(tiles[torch.randperm(len(tiles), generator=generator)][: len(tiles) // 3])
    return torch.isin(data.groups, torch.cat(chosen))


def areas(scores: Scores, data: Inspection, test: Tensor) -> dict:
    """Image AUROC, pixel AUROC and AU-PRO, each with its interval over tiles."""
    bad, groups, images = data.anomalous[test].numpy(), data.groups[test].numpy(), scores.images.numpy()
    found = {"image_auroc": interval(lambda rows: auroc(images[rows[~bad[rows]]], images[rows[bad[rows]]]), groups)}
    if scores.pixels is not None:
        blown = blown_up(scores.pixels, data.masks.shape[-2:])
        pixels = PixelTest(blown.numpy(), data.masks[test].numpy())
        found |= {"pixel_auroc": interval(pixels.auroc, groups), "au_pro": interval(pixels.au_pro, groups)}
    return {name: [round(each.value, 4), round(each.low, 4), round(each.high, 4)] for name, each in found.items()}


def measures(scores: Scores, data: Inspection, test: Tensor) -> dict:
    """The areas on the test without the development tiles, and the image AUROC with them."""
    rest = ~development(data)[test]
    kept = Scores(scores.images[rest], None if scores.pixels is None else scores.pixels[rest])
    every = areas(Scores(scores.images, None), data, test)
    return areas(kept, data, test & ~development(data)) | {"with_development": every["image_auroc"]}


def by_kind(scores: Tensor, data: Inspection, test: Tensor) -> dict:
    """The image AUROC of each kind of defect against all normal photographs of the test, and of all defects against the
    normal photographs of tiles without a defect, and with one on another photograph."""
    rest = test & ~development(data)
    rows, bad = scores[rest[test]], data.anomalous[rest]
    found = {kind: auroc(rows[~bad], rows[data.labels[rest] == k]) for k, kind in enumerate(data.kinds) if k}
    broken = torch.isin(data.groups[rest], data.groups[data.anomalous])
    for name, normal in (("against clean tiles", ~broken), ("against good sides of broken tiles", broken & ~bad)):
        found[name] = auroc(rows[normal], rows[bad]) if normal.any() else None
    return {name: value if value is None else round(value, 4) for name, value in found.items()}


def shown(scores: Scores, alarm: float, data: Inspection, test: Tensor) -> list[dict]:
    """Of each kind of defect the photographs with the highest and the lowest score, as bytes in base 64."""
    rest = test & ~development(data)
    rows, pixels, found = scores.images[rest[test]], scores.pixels[rest[test]], []
    low = pixels[~data.anomalous[rest]].median()
    grey = (255 * ((pixels - low) / (alarm - low)).clamp(0, 1)).round().byte()
    for k, kind in enumerate(data.kinds[1:], 1):
        own = (data.labels[rest] == k).nonzero().flatten()
        for name, at in (("highest", own[rows[own].argmax()]), ("lowest", own[rows[own].argmin()])):
            row = rest.nonzero().flatten()[at]
            sheets = {"photograph": data.images[row, 0], "mask": data.masks[row].byte() * 255, "score": grey[at]}
            coded = {key: base64.b64encode(each.numpy().tobytes()).decode() for key, each in sheets.items()}
            found.append({"kind": kind, "which": name, "alarm": bool(rows[at] > alarm), **coded})
    return found


def trained(maps: Maps, held_out: Maps) -> tuple[FastFlow, list[dict]]:
    """A flow, and its states along the training."""
    torch.manual_seed(0)
    model, states = fast_flow([each.shape[1:] for each in maps], COUPLINGS, WIDTH, per_pixel=True), []
    model.learn_pixels(maps, RIDGE)
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
        row, finest = {"step": step}, FastFlow(model.flows[:1])
        for by in ("log_prob", "z2"):
            for name, part in (("", model), ("finest_", finest)):
                score = part.score(maps[: len(part.flows)], by).images.numpy()
                row[name + by] = round(auroc(score[~bad], score[bad]), 4)
        found.append(row)
    for flow, state in zip(model.flows, last, strict=True):
        flow.load_state_dict(state)
    return found


def compared(
    data: Inspection, every: list[Maps], train: Tensor, held: Tensor, test: Tensor
) -> tuple[dict, Scores, float]:
    """All methods on one split, with the flow's scores of its test and its threshold; `every`: the maps of all
    photographs, of each flip."""
    own = [torch.cat([each[train] for each in of_scale]) for of_scale in zip(*every, strict=True)]
    held_out, tested = ([each[rows] for each in every[0]] for rows in (held, test))
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
    rest = test & ~development(data)
    normal = rest & ~data.anomalous
    shared = torch.isin(data.groups[normal], data.groups[train | held]).sum().item()
    counts = {"train": train.sum(), "held_out": held.sum(), "test": rest.sum(), "normal": normal.sum()}
    found = {
        **{name: int(count) for name, count in counts.items()},
        "normal_test_images_of_training_tiles": shared,
        "rows": rows,
        "by_kind": by_kind(results["flow, log p"].images, data, test),
        "epochs": epochs(model, states, [each[rest[test]] for each in tested], data.anomalous[rest].numpy()),
    }
    return found, results["flow, log p"], threshold(model.score(held_out).images.numpy())


def choose(data: Inspection) -> list[dict]:
    """The image AUROC on the development tiles of single maps, scored by Gaussians of their pixels."""
    train, held, _ = split_by_group(data, parts=(0.6, 0.1))
    own, bad, rows = train | held, development(data) & data.anomalous, []
    tiles = data.groups[own].unique()
    quarters = tiles[torch.randperm(len(tiles), generator=torch.Generator().manual_seed(1))].tensor_split(4)[::2]
    for size, block, leveled in CHOICES:
        (maps,), found = efficientnet_lite0(size, (block,), leveled)(data.images[own | bad]), []
        for quarter in quarters:
            good = own & torch.isin(data.groups, quarter)
            gaussians = GaussianPixels(maps.shape[1:])
            gaussians.learn(maps[(own & ~good)[own | bad]], RIDGE)
            of_pixels = 0.5 * gaussians.inverse(maps)[0].square().sum(1) + gaussians.log_volumes()
            score = of_pixels.flatten(1).amax(1)
            found.append(auroc(score[good[own | bad]], score[bad[own | bad]]))
        rows.append({"size": size, "block": block, "leveled": leveled, "image_auroc": round(float(np.mean(found)), 4)})
        print(rows[-1], flush=True)
    return rows


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--choose", action="store_true", help="the development alone")
    torch.set_num_threads(1)
    started, data = time.process_time(), magnetic_tiles()
    if parser.parse_args().choose:
        write_parts(OUT, {"choices": choose(data)}, indent=1)
        return
    features = efficientnet_lite0(SIZE, BLOCKS, leveled=True)
    every = [features(data.images.flip(dims) if dims else data.images) for dims in FLIPS]
    honest = split_by_group(data, parts=(0.6, 0.1))
    tiles = data.groups[data.train].unique()
    order = torch.randperm(len(tiles), generator=torch.Generator().manual_seed(0))
    held = data.train & torch.isin(data.groups, tiles[order[: len(tiles) // 8]])
    published = data.train & ~held, held, ~data.train
    settings = {"steps": STEPS, "batch": BATCH, "couplings": COUPLINGS, "width": WIDTH}
    for name, split in (("tiles", honest), ("published", published)):
        found, scores, alarm = compared(data, every, *split)
        if name == "tiles":
            found["shown"] = shown(scores, alarm, data, split[-1])
        seconds = round(time.process_time() - started)
        write_parts(OUT, {**settings, name: found, "cpu_seconds": seconds}, indent=1)
        print(name, seconds, "CPU seconds", flush=True)


if __name__ == "__main__":
    main()
