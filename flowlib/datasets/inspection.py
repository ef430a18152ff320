"""Photographs for inspection: normal ones to learn from, others with a defect and a mask of it, and whose they are.

    mvtec(FOLDER)        the layout of MVTec AD: train/good, test/good, test/KIND, ground_truth/KIND/NAME_mask.png
    magnetic_tiles()     1,344 photographs of 224 magnetic tiles, where FLOWLIB_DATA has them

`split_by_group` keeps all photographs of one object on one side. The split of the magnetic tiles that the literature
uses (`published`) does not: 190 of its 191 normal test images show a tile that is also in its training part.
"""

import csv
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from flowlib.datasets.files import data_folder
from flowlib.datasets.own import channels_first, opened, pictures

TILES = ("good", "blowhole", "break", "crack", "fray", "uneven")


@dataclass(frozen=True)
class Inspection:
    """Images (n, C, H, W) uint8, masks (n, H, W) bool, labels (n,) with 0 for normal, groups (n,): which object each
    shows; the names of the labels; a training part that is given with the data, (n,) bool, if there is one; and the
    name of each image's file in the folder."""

    images: Tensor
    masks: Tensor
    labels: Tensor
    groups: Tensor
    kinds: tuple[str, ...]
    train: Tensor | None = None
    names: tuple[str, ...] = ()

    def __len__(self) -> int:
        return len(self.images)

    @property
    def anomalous(self) -> Tensor:
        return self.labels > 0


def split_by_group(data: Inspection, parts: Sequence[float] = (0.5, 0.125), seed: int = 0) -> tuple[Tensor, ...]:
    """Rows for training, for the threshold, and for the test, (n,) bool each; an object is in one of them alone.

    The first two have objects without any defect; the test has the rest of these, and all that have a defect.

    Args:
        data: what is split.
        parts: of the objects without a defect, for training and for the threshold.
        seed: of the draw.
    """
    if len(parts) != 2 or min(parts) <= 0 or sum(parts) >= 1:
        raise ValueError(f"split_by_group: parts must be two numbers above 0 with a sum below 1; got {tuple(parts)}.")
    defective = data.groups[data.anomalous].unique()
    clean = data.groups[~torch.isin(data.groups, defective)].unique()
    if len(clean) < 3:
        raise ValueError(f"split_by_group: three objects without a defect are needed, one a part; got {len(clean)}.")
    order = clean[torch.randperm(len(clean), generator=torch.Generator().manual_seed(seed))]
    first = max(1, round(parts[0] * len(clean)))
    second = first + max(1, round(parts[1] * len(clean)))
    train, held = torch.isin(data.groups, order[:first]), torch.isin(data.groups, order[first:second])
    return train, held, ~(train | held)


def mvtec(folder: str | Path, size: int | None = None) -> Inspection:
    """A folder in the layout of MVTec AD; `train` marks the images in train/good. Each is an object of its own, unless
    groups.csv in the folder says, in lines `train/good/a.png,OBJECT`, which images show the same one.

    Args:
        folder: holds train/good, test/good, test/KIND and ground_truth/KIND; groups.csv if there are objects.
        size: the side of the square that images and masks are cropped and scaled to; None: they are of one size.

    Raises:
        FileNotFoundError: no normal images to learn from, no test images, or a defect without its mask.
        ValueError: images of several sizes, a mask of another size than its image, or an image that groups.csv lacks.
    """
    folder = Path(folder).expanduser()
    normal = pictures(folder / "train" / "good") if (folder / "train" / "good").is_dir() else []
    if not normal:
        raise FileNotFoundError(f"{folder}/train/good holds no normal images; a detector learns from these alone.")
    tests = (
        sorted(child for child in (folder / "test").iterdir() if child.is_dir()) if (folder / "test").is_dir() else []
    )
    kinds = ("good", *(child.name for child in tests if child.name != "good"))
    found = [(path, "good", True) for path in normal]
    found += [(path, child.name, False) for child in tests for path in pictures(child)]
    if len(found) == len(normal):
        raise FileNotFoundError(f"{folder}/test holds no images. Put them into test/good and test/KIND.")
    images = [opened(path, size) for path, _, _ in found]
    if any(image.mode == "RGB" for image in images):
        images = [image.convert("RGB") for image in images]
    masks = []
    for (path, kind, _), image in zip(found, images, strict=True):
        if image.size != images[0].size:
            sizes = " and ".join("{} × {}".format(*each.size) for each in (images[0], image))
            raise ValueError(f"{folder}: images have several sizes, {sizes} ({path.name}). Bring them to one: size=64.")
        masks.append(
            np.zeros(image.size[::-1], bool) if kind == "good" else mask_of(folder, path, kind, size, image.size)
        )
    labels = torch.tensor([kinds.index(kind) for _, kind, _ in found])
    stacked = channels_first(np.stack([np.asarray(image) for image in images]), folder)
    train = torch.tensor([own for _, _, own in found])
    names = tuple(path.relative_to(folder).as_posix() for path, _, _ in found)
    return Inspection(
        torch.from_numpy(stacked), torch.from_numpy(np.stack(masks)), labels, groups_of(folder, names), kinds, train,
        names,
    )  # fmt: skip


def groups_of(folder: Path, names: Sequence[str]) -> Tensor:
    """Which object each image shows, (n,): by the lines of groups.csv, else each one of its own."""
    path = folder / "groups.csv"
    if not path.is_file():
        return torch.arange(len(names))
    with path.open(newline="", encoding="utf-8-sig") as file:
        objects = {row[0].strip(): row[1].strip() for row in csv.reader(file) if len(row) == 2}
    if missing := [name for name in names if name not in objects]:
        raise ValueError(
            f"{path} has no line for {len(missing)} images, the first is {missing[0]}: {missing[0]},OBJECT"
        )
    known = {each: k for k, each in enumerate(dict.fromkeys(objects[name] for name in names))}
    return torch.tensor([known[objects[name]] for name in names])


def mask_of(folder: Path, path: Path, kind: str, size: int | None, expected: tuple[int, int]) -> np.ndarray:
    """The mask of one image, (H, W) bool."""
    where = folder / "ground_truth" / kind / f"{path.stem}_mask.png"
    if not where.is_file():
        raise FileNotFoundError(f"{path} shows a defect, and its mask {where} is not there.")
    mask = opened(where, size).convert("L")
    if mask.size != expected:
        raise ValueError(
            f"{where} is {mask.size[0]} × {mask.size[1]} and its image {expected[0]} × {expected[1]}; a mask has the "
            "size of its image."
        )
    return np.asarray(mask) > 127


def magnetic_tiles() -> Inspection:
    """The magnetic tiles of FLOWLIB_DATA, 64 × 64 grey; `train` is the published training part, which leaks.

    Data: Huang et al. (2020), Surface defect saliency of magnetic tile, The Visual Computer 36.
    """
    folder = data_folder()
    if folder is None or not (folder / "anomaly" / "magnetic_tile_64.npz").is_file():
        raise FileNotFoundError(
            "the magnetic tiles are read from FLOWLIB_DATA/anomaly/magnetic_tile_64.npz, not there."
        )
    with np.load(folder / "anomaly" / "magnetic_tile_64.npz") as file:
        images, packed, labels = file["images"], file["masks"], file["label"]
    with np.load(folder / "anomaly" / "magnetic_tile_groups.npz") as file:
        groups, published = file["tile"], file["published_train"]
    masks = np.unpackbits(packed, axis=1).reshape(-1, 64, 64).astype(bool)
    return Inspection(
        torch.from_numpy(images)[:, None], torch.from_numpy(masks), torch.from_numpy(labels).long(),
        torch.from_numpy(groups).long(), TILES, torch.from_numpy(published),
    )  # fmt: skip
