"""A detector judged on test pictures whose defects are known, or used on new ones of which nothing is known: what
`flowlib evaluate RUN` and `flowlib evaluate RUN --data FOLDER` do.

A folder in the layout of MVTec AD is a test. Any other is one of new pictures, those in its subfolders among them.

    RUN/evaluation/scores.csv              each test picture: its name, its kind, its score, whether it is an alarm
    RUN/evaluation/heat/KIND/NAME.png      the picture, the score of each pixel, the mask
    RUN/evaluation-FOLDER/scores.csv       each new picture: its name, its score, whether it is an alarm
    RUN/evaluation-FOLDER/heat/NAME.png    the picture, the score of each pixel
"""

import csv
import io
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from torch import Tensor

from flowlib.datasets import mvtec
from flowlib.datasets.own import PICTURES, pictures
from flowlib.models.checkpoint import write
from flowlib.training.defects import PixelTest
from flowlib.training.detection import Interval, auroc, interval
from flowlib.training.detector import Detector, read_detector

ROWS, NAMED = 32, 5  # pictures in memory at once; how many of the oddest a report names
Draw = Callable[[Tensor, Tensor, Tensor | None, float], bytes]


@dataclass(frozen=True)
class Report:
    """How a detector did on the test pictures of a folder; areas are None where no picture has a defect."""

    out: Path
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


@dataclass(frozen=True)
class NewReport:
    """What a detector said of new pictures; `oddest`: names and scores, the highest first."""

    out: Path
    images: int
    alarms: int
    threshold: float
    quantile: float
    held_out: int
    oddest: tuple[tuple[str, float], ...]

    def __str__(self) -> str:
        named = ", ".join(f"{name} {score:.4f}" for name, score in self.oddest)
        return (
            f"{self.alarms} of {self.images} pictures above the threshold, {self.threshold:.4f}; of the "
            f"{self.held_out} held-out normal pictures at most {100 * (1 - self.quantile):g} % are\n"
            f"the oddest: {named}"
        )


def evaluate_detector(folder: str | Path, data: str | Path | None, draw: Draw) -> Report | NewReport:
    """Score the pictures of a folder, write a table and heat maps, and judge the scores if the defects are known.

    Args:
        folder: of a run; the results go into a folder in it.
        data: another folder of pictures than that of the card.
        draw: picture (C, H, W), scores (H, W), mask (H, W) if there is one, threshold -> PNG.

    Raises:
        FileNotFoundError: there is no such folder, or no picture in it. ValueError: see `Detector.opened`.
    """
    folder, detector = Path(folder).expanduser(), read_detector(folder)
    source = Path(data or detector.card["data"]).expanduser()
    if not source.is_dir():
        whose = "" if data else f", where the card of {folder} has its pictures,"
        raise FileNotFoundError(f"evaluate: {source}{whose} is no folder. Name a folder of pictures: --data.")
    if (source / "test").is_dir() or (source / "train" / "good").is_dir():
        return of_test(detector, source, folder / "evaluation", draw)
    return of_new(detector, source, folder / f"evaluation-{source.resolve().name}", draw)


def of_test(detector: Detector, source: Path, out: Path, draw: Draw) -> Report:
    """The pictures in `test`, whose defects have masks."""
    data = mvtec(source, detector.card["size"])
    test = (~data.train).nonzero().flatten()
    scores = detector.score(data.images[test])
    bad, masks, alarms = data.anomalous[test], data.masks[test], scores.images > detector.threshold
    rows = []
    forget(out)
    for k, row in enumerate(test.tolist()):
        name, kind = data.names[row], data.kinds[data.labels[row]]
        rows.append([name, kind, f"{float(scores.images[k]):.4f}", int(alarms[k])])
        write(heat_path(out, name), draw(data.images[row], scores.pixels[k], masks[k], detector.threshold))
    write_table(out, ["picture", "kind", "score", "alarm"], rows)
    groups = data.groups[test]
    areas = None if bad.all() or not bad.any() else areas_of(scores.images, scores.pixels, bad, masks, groups.numpy())
    found, false = int((alarms & bad).sum()), int((alarms & ~bad).sum())
    return Report(out, len(test), int(bad.sum()), found, false, areas, len(groups.unique()))


def of_new(detector: Detector, source: Path, out: Path, draw: Draw) -> NewReport:
    """All pictures in a folder and in the folders in it, of which nothing is known."""
    inner = (child for child in sorted(source.rglob("*")) if child.is_dir())
    paths = [path for each in (source, *inner) if not hidden(each.relative_to(source)) for path in pictures(each)]
    if not paths:
        raise FileNotFoundError(f"{source} holds no pictures ({', '.join(PICTURES)}), nor do the folders in it.")
    for path in paths:
        detector.opened([path])  # one that is broken, or of another kind, is named before the work
    scored, rows = [], []
    forget(out)
    for start in range(0, len(paths), ROWS):
        part = paths[start : start + ROWS]
        images = detector.opened(part)
        scores = detector.score(images)
        for k, path in enumerate(part):
            name, score = path.relative_to(source).as_posix(), float(scores.images[k])
            scored.append((name, score))
            rows.append([name, f"{score:.4f}", int(score > detector.threshold)])
            write(heat_path(out, name), draw(images[k], scores.pixels[k], None, detector.threshold))
    write_table(out, ["picture", "score", "alarm"], rows)
    oddest = sorted(scored, key=lambda each: -each[1])[:NAMED]
    alarms = sum(score > detector.threshold for _, score in scored)
    card = detector.card
    return NewReport(out, len(paths), alarms, detector.threshold, card["quantile"], card["held_out"], tuple(oddest))


def hidden(path: Path) -> bool:
    """Whether a folder of this path has a name that begins with a dot.

    >>> hidden(Path("a/.thumbnails")), hidden(Path("."))
    (True, False)
    """
    return any(part.startswith(".") for part in path.parts)


def heat_path(out: Path, name: str) -> Path:
    """The file of a picture's heat map: another one for a.jpg than for a.png.

    >>> [heat_path(Path("out"), name).as_posix() for name in ("test/crack/a.png", "line 2/a.jpg")]
    ['out/heat/crack/a.png', 'out/heat/line 2/a.jpg.png']
    """
    return out / "heat" / (name if name.lower().endswith(".png") else f"{name}.png").removeprefix("test/")


def forget(out: Path) -> None:
    """Remove the table of an earlier evaluation, and the heat maps of the pictures in it: these may be others."""
    if (out / "scores.csv").is_file():
        with (out / "scores.csv").open(newline="", encoding="utf-8") as file:
            for row in csv.DictReader(file):
                heat_path(out, row["picture"]).unlink(missing_ok=True)
        (out / "scores.csv").unlink()


def write_table(out: Path, head: list[str], rows: Iterable[list]) -> None:
    """OUT/scores.csv."""
    table = io.StringIO()
    csv.writer(table, lineterminator="\n").writerows([head, *rows])
    write(out / "scores.csv", table.getvalue().encode())


def areas_of(scores: Tensor, maps: Tensor, bad: Tensor, masks: Tensor, groups: np.ndarray) -> dict[str, Interval]:
    """The areas under curves of images and pixels, with 95 % intervals over the objects."""
    pixels = PixelTest(maps.numpy(), masks.numpy())
    return {
        "image AUROC": interval(lambda rows: auroc(scores[rows][~bad[rows]], scores[rows][bad[rows]]), groups),
        "pixel AUROC": interval(pixels.auroc, groups),
        "AU-PRO": interval(pixels.au_pro, groups),
    }
