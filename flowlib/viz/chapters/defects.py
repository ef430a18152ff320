"""Pictures of inspection: a scratch drawn on a normal tile with the score of each pixel, a threshold, real defects."""

import base64
import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor

from flowlib.datasets import scratch
from flowlib.models import FastFlow, Features
from flowlib.training import auroc
from flowlib.viz.chapters.mosaics import show_images
from flowlib.viz.engine.controls import Point, Slider
from flowlib.viz.engine.explorer import Explorer
from flowlib.viz.engine.picture import Picture
from flowlib.viz.engine.scene import Area, Heat, Lines, Panel, Scene


def on_pixels(values: Tensor, size: int, title: str, role: str) -> Panel:
    """Numbers from 0 to 1, (h, w), as an image on a square of `size`, row 0 at the top."""
    shown = values.clamp(0, 0.99).flip(0)
    heat = Heat(shown / (1 - shown), role, scale=1.0)
    return Panel((0, size), (0, size), title, [heat], xticks=False, yticks=False)


def inject_defect(model: FastFlow, features: Features, image: Tensor, alarm: float) -> Explorer:
    """A scratch whose ends are dragged on an image (H, W) in [0, 1], and the heat map of the flow beside it.

    Args:
        model: trained on the maps of `features`.
        features: what turns images into maps.
        image: (H, W), without a defect.
        alarm: the threshold of an image's score.
    """
    size = len(image)
    normal = model.score(features(image[None, None])).pixels

    def draw(values: dict[str, Any], fine: bool) -> Scene:
        ends = [(x, size - y) for x, y in (values["a"].tolist(), values["b"].tolist())]  # a panel's y runs upwards
        scratched, _ = scratch(image, *ends, light=values["light"])
        scratched = scratched.clamp(0, 1)
        scores = model.score(features(scratched[None, None]))
        shown = (scores.pixels - normal.mean()) / (2 * (alarm - float(normal.mean())))  # alarm: half
        panels = [on_pixels(scratched, size, "the tile", "data"), on_pixels(shown[0], size, "−log p", "base")]
        worst = float(scores.images)
        numbers = [("worst pixel", f"{worst:.2f}"), ("alarm above", f"{alarm:.2f}")]
        return Scene(panels, numbers, (worst <= alarm, "no alarm" if worst <= alarm else "alarm"))

    controls = {
        "light": Slider(0.3, 0.0, 0.5, 0.02),
        "a": Point((16.0, 44.0), 2, size - 2, panel=0),
        "b": Point((44.0, 24.0), 2, size - 2, panel=0),
    }
    return Explorer(draw, controls, alt="a tile with a scratch, and the score of each pixel")


def choose_alarm(normal: Tensor, anomalous: Tensor, start: float) -> Explorer:
    """A threshold on scores of normal (n,) and anomalous images (m,), from `start`: the histogram and the ROC curve."""
    both = torch.cat([normal, anomalous])
    low = float(both.min())
    high = low + 4 * float(normal.max() - low)  # what lies beyond stands in the last bar
    area = auroc(normal, anomalous)
    edges = torch.linspace(low, high, 25)
    cuts = torch.cat([both.sort().values, both.max()[None] + 1])
    curve = torch.stack([torch.stack([(part >= cut).float().mean() for part in (normal, anomalous)]) for cut in cuts])

    def bars(scores: Tensor, color: str) -> list[Area]:
        shares = torch.histogram(scores.clamp(low, high), edges).hist / len(scores)
        return [
            Area([a, b], 0.0, float(share), color, 0.5) for a, b, share in zip(edges, edges[1:], shares, strict=False)
        ]

    def draw(values: dict[str, Any], fine: bool) -> Scene:
        cut = values["t"]
        false, found = ((part >= cut).float().mean().item() for part in (normal, anomalous))
        line = Lines([[[cut, 0.0], [cut, 1.0]]], width=2.0)
        shown = [*bars(normal, "data"), *bars(anomalous, "base"), line]
        roc = [Lines(curve[None], color="base", width=2.0), Lines([[[0, 0], [1, 1]]], dash=True)]
        roc += [Lines([[[false, 0.0], [false, found], [0.0, found]]], width=2.0)]
        left = Panel((low, high), (0, 0.6), "scores: normal, anomalous", shown, equal=False, xlabel="score")
        right = Panel((0, 1.02), (0, 1.02), "ROC", roc, equal=False, xlabel="false alarms", ylabel="found")
        numbers = [("false alarms", f"{false:.0%}"), ("found", f"{found:.0%}"), ("AUROC", f"{area:.2f}")]
        return Scene([left, right], numbers)

    return Explorer(
        draw,
        {"t": Slider(start, low, high, (high - low) / 200)},
        alt="a threshold on two histograms and on the ROC curve",
    )


def square(text: str) -> Tensor:
    """A square of grey levels that was stored as bytes in base 64, (1, side, side) in [0, 1].

    >>> square(base64.b64encode(bytes([0, 255, 255, 0])).decode())[0]
    tensor([[0., 1.],
            [1., 0.]])
    """
    levels = np.frombuffer(base64.b64decode(text), np.uint8)
    return torch.tensor(levels.reshape(1, math.isqrt(len(levels)), -1), dtype=torch.float32) / 255


def show_defects(shown: Sequence[Mapping[str, Any]], text: str) -> Picture:
    """Photographs of defects with mask and score, those that score highest above those that score lowest.

    Args:
        shown: of each photograph "which", "highest" or "lowest", and "photograph", "mask" and "score" as squares.
        text: what the picture shows, in words.
    """
    rows = {
        f"{which} score:\n{part}": torch.stack([square(each[part]) for each in shown if each["which"] == which])
        for which in ("highest", "lowest")
        for part in ("photograph", "mask", "score")
    }
    return show_images(rows, text)
