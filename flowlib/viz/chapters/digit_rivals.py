"""Explorers of notebook 12b, all of stored samples: five trainings at once, a flow between likelihood and game, and the
nearest training digit of a sample."""

from __future__ import annotations

import base64
import math
from collections.abc import Mapping
from typing import Any

import numpy as np
import torch
from torch import Tensor

from flowlib.viz.chapters.mosaics import image_panel
from flowlib.viz.engine.controls import Choice, Slider
from flowlib.viz.engine.explorer import Explorer
from flowlib.viz.engine.scene import Dots, Label, Lines, Panel, Scene

SIDE, HIGHEST, COLUMNS = 8, 16, 4  # of a digit; value of a black pixel; digits side by side
FEW = 6  # digits of a model where five models stand beside each other
CEILING = 6.0  # bits a pixel above which a point leaves the picture
POWERS = str.maketrans("0123456789", "⁰¹²³⁴⁵⁶⁷⁸⁹")


def sheet_of(text: str) -> Tensor:
    """Stored digits, bytes in base 64, as pictures in [0, 1]: (n, 1, 8, 8).

    >>> sheet_of(base64.b64encode(bytes([16] * 128)).decode()).shape
    torch.Size([2, 1, 8, 8])
    """
    values = np.frombuffer(base64.b64decode(text), np.uint8).reshape(-1, 1, SIDE, SIDE)
    return torch.from_numpy(values / np.float32(HIGHEST))


def shown(value: float) -> str:
    """Two decimals, or the power of ten of what is too large for that.

    >>> shown(2.345), shown(3e9)
    ('2.35', '10⁹')
    """
    return f"{value:.2f}" if value < 1000 else "10" + str(int(math.log10(value))).translate(POWERS)


def scrub_digit_rivals(scrub: Mapping[str, list[dict]]) -> Explorer:
    """Samples of all models at the same share of their training, from the same noise each time.

    Args:
        scrub: {model: moments, each with "step", "sheet" and "wasserstein"}, as tools.rivals_digits stores them.

    >>> moment = {"sheet": base64.b64encode(bytes(256)).decode(), "wasserstein": 1.0}
    >>> len(scrub_digit_rivals({"flow": [{"step": k, **moment} for k in (0, 9)]}).scene.panels)
    1
    """
    count = min(len(moments) for moments in scrub.values())
    if count < 2:
        raise ValueError(f"scrub_digit_rivals: a slider needs two moments or more of each model; got {count}.")
    sheets = {name: [sheet_of(each["sheet"]) for each in moments] for name, moments in scrub.items()}

    def draw(values: dict[str, Any], fine: bool) -> Scene:
        k = values["time"]
        panels = [image_panel(each[k][:FEW], 2, name) for name, each in sheets.items()]
        numbers = [(name, f"{moments[k]['wasserstein']:.2f}") for name, moments in scrub.items()]
        share = next(iter(scrub.values()))[k]["step"] / next(iter(scrub.values()))[-1]["step"]
        return Scene(panels, [("of the training", f"{100 * share:.0f} %"), *numbers])

    return Explorer(
        draw,
        {"time": Slider(count - 1, 0, count - 1)},
        alt=f"samples of {len(scrub)} models of digits at {count} moments of their training, with distances to data",
    )


def mix_game_and_likelihood(rows: list[dict]) -> Explorer:
    """One flow, trained by a game with more and more likelihood beside it: samples, bits and Fréchet distance.

    Args:
        rows: from the game alone to the likelihood alone, each with "weight" (None: likelihood alone), "sheet", and
            lists over seeds "bits" and "frechet", as tools.rivals_digits stores them.
    """
    sheets = [sheet_of(row["sheet"]) for row in rows]
    at = np.arange(float(len(rows)))
    middle = {name: np.array([np.median(row[name]) for row in rows]) for name in ("bits", "frechet")}
    words = ["likelihood" if row["weight"] is None else f"{row['weight']:g}" for row in rows]
    ticks = list(zip(at.tolist(), words, strict=True))

    def curve(name: str, title: str, low: float, high: float, k: int) -> Panel:
        points = np.stack([at, np.minimum(middle[name], high)], -1)  # (K, 2)
        layers = [
            Lines([[[at[k], low], [at[k], high]]], color="light", width=1.2, alpha=0.8),
            Lines(points[None], color="data", width=1.6),
            Dots(points, "data", size=3.0, alpha=1.0),
            Dots(points[k : k + 1], "light", size=4.5, alpha=1.0),
            *[
                Label(x + 0.3, high - 0.05 * (high - low), "↑ " + shown(value), "data", align="left")
                for x, value in zip(at, middle[name], strict=True)
                if value > high
            ],
        ]
        limits = (-0.5, len(rows) - 0.5), (low, high)
        return Panel(*limits, title, layers, equal=False, xlabel="weight of the likelihood", xticks=ticks, height=280)

    def draw(values: dict[str, Any], fine: bool) -> Scene:
        k = values["mix"]
        bits, apart = middle["bits"][k], middle["frechet"][k]
        panels = [
            image_panel(sheets[k], COLUMNS, "samples"),
            curve("bits", "bits a pixel, test digits", 2.0, min(CEILING, 1.25 * middle["bits"].max()), k),
            curve("frechet", "Fréchet distance", 0.0, 1.25 * float(middle["frechet"].max()), k),
        ]
        return Scene(
            panels,
            [
                ("weight of the likelihood", "no game" if rows[k]["weight"] is None else words[k]),
                ("bits a pixel", shown(bits)),
                ("Fréchet distance", f"{apart:.1f}"),
            ],
        )

    last = len(rows) - 1
    return Explorer(
        draw,
        {"mix": Slider(last, 0, last)},
        alt="samples of one flow between game and likelihood, beside its bits a pixel and its Fréchet distance",
    )


def nearest_digits(sheets: Mapping[str, str], train: Tensor, test: Tensor) -> Explorer:
    """Samples of a model above the training digits that are nearest to them.

    Args:
        sheets: {model: stored samples}.
        train, test: digits as rows of whole numbers, (n, 64); `test` answers how near fresh digits come.
    """
    known = train.float() / HIGHEST
    rows = {name: sheet_of(text).flatten(1) for name, text in sheets.items()}
    rows["fresh digits"] = test[: len(next(iter(rows.values())))].float() / HIGHEST
    found = {name: torch.cdist(x, known).min(1) for name, x in rows.items()}

    def draw(values: dict[str, Any], fine: bool) -> Scene:
        name, k = values["model"], values["digit"]
        apart, which = found[name]
        panels = [
            image_panel(picture.reshape(-1, 1, SIDE, SIDE), 1, title)
            for picture, title in ((rows[name][k], "sample"), (known[which[k]], "nearest training digit"))
        ]
        reach = 1.1 * max(float(each.values.max()) for each in found.values())
        at = np.arange(float(len(apart)))
        order = apart.sort().values
        layers = [
            Lines(np.stack([at, found["fresh digits"].values.sort().values], -1)[None], color="light", width=1.6),
            Lines(np.stack([at, order], -1)[None], color="data", width=1.6),
            Dots([[float((order < apart[k]).sum()), float(apart[k])]], "data", size=4.5, alpha=1.0),
            Label(0.4, 0.94 * reach, "fresh digits", "light", align="left"),
            Label(0.4, 0.87 * reach, name, "data", align="left"),
        ]
        limits = (-0.5, len(apart) - 0.5), (0.0, reach)
        title = "distance to the nearest, in order"
        panels.append(Panel(*limits, title, layers, equal=False, xlabel="sample", xticks=False, height=280))
        return Scene(panels, [("distance", f"{apart[k]:.2f}"), ("mean of the model", f"{apart.mean():.2f}")])

    return Explorer(
        draw,
        {
            "digit": Slider(0, 0, len(next(iter(rows.values()))) - 1),
            "model": Choice(next(iter(rows)), list(rows), symbol="model"),
        },
        alt="a sample of a model beside the training digit that is nearest to it, and how near all samples come",
    )
