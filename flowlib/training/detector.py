"""A detector of defects from a folder of pictures: what `flowlib train --model fast_flow` and `flowlib evaluate` do.

The folder has the layout of MVTec AD (`datasets.mvtec`). Of its normal pictures an eighth, ten at least, are held out;
where groups.csv says which pictures show one object, whole objects are, and intervals are over objects.
These choose the step at which each flow is kept, and the threshold, a quantile of their scores. The test chooses none.

    OUT/model.json, model-….safetensors    the flows, the name of the features, the threshold
    OUT/scale-0, OUT/scale-1, ...          states of the fits: the same command goes on where it was interrupted
    OUT/evaluation/scores.csv              each test picture: its name, its kind, its score, whether it is an alarm
    OUT/evaluation/heat/KIND/NAME.png      the picture, the score of each pixel, the mask
"""

import csv
import io
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from flowlib.datasets import mvtec
from flowlib.models import FastFlow, Features, efficientnet_lite0, fast_flow, texture_features
from flowlib.models.anomaly import blown_up
from flowlib.models.checkpoint import Card, fill, read, save, write
from flowlib.support.checks import check_choice, check_count
from flowlib.training.defects import PixelTest, threshold
from flowlib.training.detection import Interval, auroc, interval
from flowlib.training.fit import fit
from flowlib.training.seeds import seeded

FEATURES: dict[str, Callable[[], Features]] = {"texture": texture_features, "efficientnet_lite0": efficientnet_lite0}
ARGUMENTS = {"couplings": 8, "width": 32, "features": "texture", "quantile": 0.95}
DEFAULTS = {"steps": 600, "batch": 16, "lr": 2e-3, "clip": 5.0}  # where they differ from those of image models
TAKEN = ("data", "size", "model", "arguments", "steps", "batch", "lr", "clip", "seed")
FEWEST, HELD_OUT, SHARE = 20, 10, 8  # normal pictures; held out of them: so many at least, one of so many
Draw = Callable[[Tensor, Tensor, Tensor, float], bytes]


@dataclass(frozen=True)
class Report:
    """How a detector did on the test pictures of a folder; areas are None where no picture has a defect."""

    images: int
    defective: int
    found: int
    false_alarms: int
    areas: dict[str, Interval] | None
    objects: int

    def __str__(self) -> str:
        good = self.images - self.defective
        lines = [f"{self.found} of {self.defective} defective pictures found, {self.false_alarms} of {good} good ones"]
        lines[0] += " called defective, at the threshold of the held-out normal pictures"
        if self.areas is None:
            lines.append("no areas under curves: the test pictures are all of one kind, good or defective")
        else:
            lines += [f"{name:12} {area}" for name, area in self.areas.items()]
            known = self.objects < self.images
            over = f"the {self.objects} objects of groups.csv" if known else "pictures, each an object of its own"
            lines.append(f"in brackets: 95 % intervals over {over}")
        return "\n".join(lines)


def train_detector(chosen: dict[str, Any], out: Path) -> Card:
    """Train on the normal pictures of a folder, and write the detector.

    Args:
        chosen: the settings that were given: data and, where other than by default, size, steps, batch, lr, clip, seed,
            and as arguments couplings, width, features ("texture" or "efficientnet_lite0") and quantile.
        out: the folder of the run.

    Raises:
        KeyboardInterrupt: it was stopped; nothing but the states of the fits is written.
    """
    if extra := sorted(set(chosen) - set(TAKEN)):
        raise ValueError(
            f"train: fast_flow takes {', '.join(name for name in TAKEN if name != 'model')}; got {', '.join(extra)}."
        )
    given = chosen.get("arguments", {})
    if unknown := sorted(set(given) - set(ARGUMENTS)):
        raise ValueError(f"train: fast_flow takes {', '.join(ARGUMENTS)}; got {', '.join(unknown)}.")
    settings, arguments = {**DEFAULTS, "seed": 0, **chosen}, {**ARGUMENTS, **given}
    if "data" not in chosen:
        raise ValueError("train: fast_flow learns from a folder of pictures, with train/good in it. Name it: --data.")
    check_choice("train", "features", arguments["features"], tuple(FEATURES))
    check_count("train", "steps", settings["steps"])
    if not 0 < arguments["quantile"] < 1:
        raise ValueError(f"train: quantile must be above 0 and below 1; got {arguments['quantile']}.")
    data = mvtec(settings["data"], settings.get("size"))
    normal = data.train.nonzero().flatten()
    if len(normal) < FEWEST:
        raise ValueError(
            f"{settings['data']}/train/good holds {len(normal)} pictures; {FEWEST} are needed, some of them held out."
        )
    held, own = dealt(normal, data.groups[normal], settings["seed"])
    features = FEATURES[arguments["features"]]()
    maps, held_maps = features(data.images[own]), features(data.images[held])
    with seeded(settings["seed"], torch.device("cpu")):
        model = fast_flow([each.shape[1:] for each in maps], arguments["couplings"], arguments["width"])
    of_fit = {name: settings[name] for name in ("steps", "lr", "clip", "seed")}
    of_fit["batch"] = min(settings["batch"], len(own))
    for k, (flow, rows, held_rows) in enumerate(zip(model.flows, maps, held_maps, strict=True)):
        if fit(flow, rows, held_out=(held_rows,), checkpoint=out / f"scale-{k}", **of_fit).stopped:
            raise KeyboardInterrupt  # what is done so far is in its checkpoint
    alarm = threshold(model.score(held_maps).images.numpy(), arguments["quantile"])
    card = {"model": "fast_flow", "data": str(settings["data"]), "size": settings.get("size"), **arguments, **of_fit}
    card |= {"shapes": [list(each.shape[1:]) for each in maps], "threshold": alarm, "held_out": len(held)}
    return save(out, "model", model.state_dict(), card)


def dealt(rows: Tensor, groups: Tensor, seed: int) -> tuple[Tensor, Tensor]:
    """Rows that are held out and the others, (n,) in all; whole objects are dealt until enough rows are held out."""
    objects = groups.unique()
    objects = objects[torch.randperm(len(objects), generator=torch.Generator().manual_seed(seed))]
    members = [rows[groups == each] for each in objects]
    enough, held = max(HELD_OUT, len(rows) // SHARE), 0
    while sum(map(len, members[:held])) < enough:
        held += 1
    if held == len(members):
        raise ValueError(f"train: {len(members)} objects are too few, all would be held out. Add normal objects.")
    return torch.cat(members[:held]), torch.cat(members[held:])


def read_detector(folder: str | Path) -> tuple[FastFlow, Features, Card]:
    """The flows of a run, the features that they are of, and its card, with the "threshold".

    Raises:
        FileNotFoundError, ValueError: it is not there, damaged, or no detector.
    """
    card, tensors = read(Path(folder), "model")
    if card.get("model") != "fast_flow":
        raise ValueError(f"{folder} holds no detector but a model of {card.get('model')}: flowlib.load reads it.")
    model = fast_flow(card["shapes"], card["couplings"], card["width"])
    fill(model, tensors, str(folder))
    return model.eval(), FEATURES[check_choice(str(folder), "features", card["features"], tuple(FEATURES))](), card


def evaluate_detector(folder: Path, data: str | Path | None, draw: Draw) -> Report:
    """Score the test pictures of a folder, write a table and heat maps, and judge the scores.

    Args:
        folder: of a run; the results go into its folder `evaluation`.
        data: another folder of pictures than that of the card.
        draw: picture (C, H, W), scores (H, W), mask (H, W), threshold -> PNG.
    """
    model, features, card = read_detector(folder)
    pictures = mvtec(data or card["data"], card["size"])
    test = (~pictures.train).nonzero().flatten()
    scores = model.score(features(pictures.images[test]))
    maps = blown_up(scores.pixels, pictures.images.shape[-2:])
    bad, masks, alarms = pictures.anomalous[test], pictures.masks[test], scores.images > card["threshold"]
    out, table = folder / "evaluation", io.StringIO()
    rows = csv.writer(table, lineterminator="\n")
    rows.writerow(["picture", "kind", "score", "alarm"])
    for k, row in enumerate(test.tolist()):
        name, kind = pictures.names[row], pictures.kinds[pictures.labels[row]]
        rows.writerow([name, kind, f"{float(scores.images[k]):.4f}", int(alarms[k])])
        target = (out / "heat" / Path(name).relative_to("test")).with_suffix(".png")
        target.parent.mkdir(parents=True, exist_ok=True)
        write(target, draw(pictures.images[row], maps[k], masks[k], card["threshold"]))
    write(out / "scores.csv", table.getvalue().encode())
    groups = pictures.groups[test]
    areas = None if bad.all() or not bad.any() else areas_of(scores.images, maps, bad, masks, groups.numpy())
    found, false = int((alarms & bad).sum()), int((alarms & ~bad).sum())
    return Report(len(test), int(bad.sum()), found, false, areas, len(groups.unique()))


def areas_of(scores: Tensor, maps: Tensor, bad: Tensor, masks: Tensor, groups: np.ndarray) -> dict[str, Interval]:
    """The areas under curves of images and pixels, with 95 % intervals over the objects."""
    pixels = PixelTest(maps.numpy(), masks.numpy())
    return {
        "image AUROC": interval(lambda rows: auroc(scores[rows][~bad[rows]], scores[rows][bad[rows]]), groups),
        "pixel AUROC": interval(pixels.auroc, groups),
        "AU-PRO": interval(pixels.au_pro, groups),
    }
