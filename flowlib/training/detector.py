"""A detector of defects, learned from normal pictures: `flowlib train --model fast_flow` makes one.

    detector = read_detector("runs/parts-fast_flow")
    images = detector.opened(["monday/001.png", "monday/002.png"])      # (n, C, H, W), as those of the training were
    detector.score(images).images > detector.threshold                  # (n,), or detector.alarms(images)
    detector.score(images).pixels                                       # (n, H, W): where

The folder to learn from has the layout of MVTec AD (`datasets.mvtec`). Of its normal pictures an eighth, ten at least,
are held out; where groups.csv says which pictures show one object, whole objects are. These choose the step at which
each flow is kept, and the threshold, a quantile of their scores. The test chooses none.

    OUT/model.json, model-….safetensors    the flows, the threshold, and all that the features are made from
    OUT/scale-0, OUT/scale-1, ...          states of the fits: the same command goes on where it was interrupted
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from flowlib.datasets import mvtec
from flowlib.datasets.own import channels_first, opened
from flowlib.models import FastFlow, Features, Scores, efficientnet_lite0, fast_flow, texture_features
from flowlib.models.anomaly import blown_up
from flowlib.models.checkpoint import Card, fill, read, save
from flowlib.support.checks import check_above_zero, check_choice, check_count
from flowlib.training.defects import threshold
from flowlib.training.fit import fit
from flowlib.training.seeds import seeded

FEATURES: dict[str, Callable[..., Features]] = {"texture": texture_features, "efficientnet_lite0": efficientnet_lite0}
ARGUMENTS = {
    "couplings": 8, "width": 32, "per_pixel": False,
    "features": "texture", "features_size": None, "blocks": None, "leveled": False,  # None: as the features have it
    "quantile": 0.95,
}  # fmt: skip
DEFAULTS = {"steps": 600, "batch": 16, "lr": 2e-3, "clip": 5.0}  # where they differ from those of image models
TAKEN = ("data", "size", "model", "arguments", "steps", "batch", "lr", "clip", "seed")
NEEDED = ("shapes", "couplings", "width", "features", "size", "threshold")  # of a card
FEWEST, HELD_OUT, SHARE = 20, 10, 8  # normal pictures; held out of them: so many at least, one of so many


@dataclass(frozen=True, eq=False)
class Detector:
    """What says how odd pictures are, and where: features, a flow over them, and a threshold.

    Attributes:
        model: the flows over the maps.
        features: what makes maps of images.
        card: all that is known of it; "threshold", and "picture_shape", that of the images it learned from.

    >>> card = {"threshold": 1.5, "size": None, "picture_shape": [1, 64, 64]}
    >>> detector = Detector(fast_flow([(16, 32, 32), (32, 16, 16)]), texture_features(), card)
    >>> images = torch.randint(0, 256, (5, 1, 64, 64), dtype=torch.uint8)
    >>> detector.score(images).images.shape, detector.score(images).pixels.shape, detector.alarms(images).shape
    (torch.Size([5]), torch.Size([5, 64, 64]), torch.Size([5]))
    """

    model: FastFlow
    features: Features
    card: Card

    @property
    def threshold(self) -> float:
        """The score above which a picture is an alarm."""
        return self.card["threshold"]

    def opened(self, paths: Sequence[str | Path]) -> Tensor:
        """Files of pictures as images (n, C, H, W), uint8, cropped and scaled as those of the training were.

        Raises:
            ValueError: one is no picture, is grey and not in colour or the reverse, or has another size.
        """
        if isinstance(paths, str | Path) or not len(paths):
            raise ValueError(f"opened: expected a list of files, one or more; got {paths!r}.")
        images = []
        for path in map(Path, paths):
            image = channels_first(np.asarray(opened(path, self.card["size"]))[None], path)[0]  # (C, H, W)
            self.check(str(path), image.shape, images[0].shape if images else image.shape)
            images.append(image)
        return torch.from_numpy(np.stack(images))

    def score(self, images: Tensor) -> Scores:
        """Images (n, C, H, W), uint8 or floats from 0 to 1 -> their scores (n,) and those of their pixels (n, H, W).

        An image's score is that of its worst pixel on the grid of the finest maps; `pixels` are that grid blown up to
        the size of the image.
        """
        if not isinstance(images, Tensor) or not (images.dtype == torch.uint8 or images.is_floating_point()):
            came = f"a tensor of {images.dtype}" if isinstance(images, Tensor) else type(images).__name__
            raise TypeError(f"score: expected a tensor of uint8, or of floats from 0 to 1; got {came}.")
        if images.dim() != 4 or not len(images):
            raise ValueError(f"score: images must be (n, C, H, W), n at least 1; got {tuple(images.shape)}.")
        if images.is_floating_point() and not (images.min() >= 0 and images.max() <= 1):
            span = f"{images.min():g} to {images.max():g}"
            raise ValueError(f"score: floats must be from 0 to 1; got {span}. Divide by 255, or give uint8.")
        self.check("score", images.shape[1:], images.shape[1:])
        found = self.model.score(self.features(images if images.dtype == torch.uint8 else images.float()))
        return Scores(found.images, blown_up(found.pixels, images.shape[-2:]))

    def alarms(self, images: Tensor) -> Tensor:
        """Whether each image (n, C, H, W) is above the threshold, (n,) bool."""
        return self.score(images).images > self.threshold

    def check(self, owner: str, shape: Sequence[int], otherwise: Sequence[int]) -> None:
        """Raise unless images of this shape are of the kind that the detector learned from; of older cards, which do
        not say what kind that was, unless they are as `otherwise`."""
        shape, expected = tuple(shape), tuple(self.card.get("picture_shape", otherwise))
        if shape == expected:
            return
        advice = "Bring them to this size, or train with --size, which crops and scales all pictures to one square."
        if shape[0] != expected[0]:
            advice = "Save them as those were, or train a detector on pictures such as these."
        raise ValueError(
            f"{owner}: the detector learned from other pictures: {kind(expected)}; got {kind(shape)}. {advice}"
        )


def kind(shape: Sequence[int]) -> str:
    """The words for pictures of a shape (C, H, W).

    >>> kind((1, 48, 64))
    'grey, 64 × 48 pixels'
    """
    colour = {1: "grey", 3: "colour"}.get(shape[0], f"{shape[0]} channels")
    return f"{colour}, {shape[2]} × {shape[1]} pixels"


def train_detector(chosen: dict[str, Any], out: Path) -> Card:
    """Train on the normal pictures of a folder, and write the detector.

    Args:
        chosen: the settings that were given: data and, where other than by default, size, steps, batch, lr, clip, seed,
            and as arguments couplings, width and per_pixel of `fast_flow`, features ("texture" or
            "efficientnet_lite0") with features_size, blocks and leveled, and quantile.
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
    settings, arguments = {**DEFAULTS, "seed": 0, "size": None, **chosen}, {**ARGUMENTS, **given}
    check_settings(settings, arguments)
    features = features_of("train", arguments)
    arguments |= {"features_size": features.size, "blocks": list(getattr(features.module, "after", ())) or None}
    data = mvtec(settings["data"], settings["size"])
    normal = data.train.nonzero().flatten()
    if len(normal) < FEWEST:
        raise ValueError(
            f"{settings['data']}/train/good holds {len(normal)} pictures; {FEWEST} are needed, some of them held out."
        )
    held, own = dealt(normal, data.groups[normal], settings["seed"])
    maps, held_maps = features(data.images[own]), features(data.images[held])
    with seeded(settings["seed"], torch.device("cpu")):
        shapes = [each.shape[1:] for each in maps]
        model = fast_flow(shapes, arguments["couplings"], arguments["width"], arguments["per_pixel"])
    if arguments["per_pixel"]:
        model.learn_pixels(maps)
    of_fit = {name: settings[name] for name in ("steps", "lr", "clip", "seed")}
    of_fit["batch"] = min(settings["batch"], len(own))
    for k, (flow, rows, held_rows) in enumerate(zip(model.flows, maps, held_maps, strict=True)):
        if fit(flow, rows, held_out=(held_rows,), checkpoint=out / f"scale-{k}", **of_fit).stopped:
            raise KeyboardInterrupt  # what is done so far is in its checkpoint
    alarm = threshold(model.score(held_maps).images.numpy(), arguments["quantile"])
    card = {"model": "fast_flow", "data": str(settings["data"]), "size": settings["size"], **arguments, **of_fit}
    card |= {"picture_shape": list(data.images.shape[1:]), "shapes": [list(shape) for shape in shapes]}
    return save(out, "model", model.state_dict(), card | {"threshold": alarm, "held_out": len(held)})


def check_settings(settings: Mapping[str, Any], arguments: Mapping[str, Any]) -> None:
    """Raise, before any picture is read, if a setting makes no sense; those of the features `features_of` checks."""
    if "data" not in settings:
        raise ValueError("train: fast_flow learns from a folder of pictures, with train/good in it. Name it: --data.")
    for name in ("steps", "batch"):
        check_count("train", name, settings[name])
    check_count("train", "seed", settings["seed"], 0)
    for name in ("lr", "clip"):
        check_above_zero("train", name, settings[name])
    if settings["size"] is not None:
        check_count("train", "size", settings["size"])
    for name in ("couplings", "width"):
        check_count("train", name, arguments[name])
    check_choice("train", "per_pixel", arguments["per_pixel"], (True, False))
    if not (isinstance(arguments["quantile"], float) and 0 < arguments["quantile"] < 1):
        raise ValueError(f"train: quantile must be above 0 and below 1; got {arguments['quantile']}.")


def features_of(owner: str, settings: Mapping[str, Any]) -> Features:
    """The features that settings or a card name; what older cards say nothing of is as by default."""
    name, chosen = check_choice(owner, "features", settings["features"], tuple(FEATURES)), {}
    chosen["leveled"] = check_choice(owner, "leveled", settings.get("leveled", False), (True, False))
    if settings.get("features_size") is not None:
        chosen["size"] = check_count(owner, "features_size", settings["features_size"])
    if (blocks := settings.get("blocks")) is not None:
        if name != "efficientnet_lite0":
            raise ValueError(
                f"{owner}: blocks are those of efficientnet_lite0, and the features {name!r} have none; got blocks = "
                f"{blocks!r}. Leave blocks out, or take features=efficientnet_lite0."
            )
        listed = blocks if isinstance(blocks, Sequence) and not isinstance(blocks, str) else (blocks,)
        chosen["blocks"] = tuple(check_count(owner, "each of blocks", each) for each in listed)
    return FEATURES[name](**chosen)


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


def read_detector(folder: str | Path) -> Detector:
    """The detector that a run has written.

    Raises:
        FileNotFoundError, ValueError: it is not there, damaged, or no detector.
    """
    folder = Path(folder).expanduser()
    card, tensors = read(folder, "model")
    if card.get("model") != "fast_flow":
        raise ValueError(f"{folder} holds no detector but a model of {card.get('model')}: flowlib.load reads it.")
    if missing := [name for name in NEEDED if name not in card]:
        raise ValueError(f"{folder}: the card says nothing of {', '.join(missing)}, so the detector cannot be built.")
    model = fast_flow(card["shapes"], card["couplings"], card["width"], card.get("per_pixel", False))
    fill(model, tensors, str(folder))
    return Detector(model.eval(), features_of(str(folder), card), card)
