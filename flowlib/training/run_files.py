"""What a training run leaves in its folder, and how it goes on from there.

    training.json, training-….safetensors    all that is needed to go on: a `State`
    model.json, model-….safetensors          the averaged model that was best on validation images, for `flowlib.load`
    losses.csv                               the training loss of every step, in bits per dimension
    log.csv                                  what each look at the validation images found, with rate and speed
    curve.png                                both, as a picture
    samples-000500.png                       samples at step 500

Each file is written in one step, so that a run can be killed at any moment; losses.csv grows at its end, and is written
anew where a run is resumed.
"""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from filelock import FileLock, Timeout
from torch import Tensor

from flowlib.models.checkpoint import FORMAT, Card, read, read_card, save, write
from flowlib.training.loop import MOMENTS
from flowlib.training.settings import Settings


@dataclass
class State:
    """Where a run is, after a whole step.

    Args:
        step: how many steps are done.
        seconds: how long they took.
        losses: of every step, in bits per dimension.
        validation: what each look at the validation images found, as cards.
        model: the state_dict of the model.
        averaged: the averaged parameters, by name.
        best: the averaged parameters that were best on the validation images; empty before the first look.
        moments: what Adam knows: "step", "exp_avg", "exp_avg_sq" -> parameter -> tensor; empty before the first step.
    """

    step: int
    seconds: float
    losses: list[float]
    validation: list[dict[str, float]]
    model: dict[str, Tensor]
    averaged: dict[str, Tensor]
    best: dict[str, Tensor]
    moments: dict[str, dict[str, Tensor]]


def save_state(out: Path, settings: Settings, state: State) -> None:
    """Write the training checkpoint."""
    parts = {"model": state.model, "averaged": state.averaged, "best": state.best, **state.moments}
    tensors = {f"{part}/{name}": value for part, values in parts.items() for name, value in values.items()}
    tensors["losses/training"] = torch.tensor(state.losses, dtype=torch.float32)
    card = {
        "settings": settings.as_card(),
        "step": state.step,
        "seconds": state.seconds,
        "validation": state.validation,
    }
    save(out, "training", tensors, card)


def save_losses(out: Path, losses: list[float], listed: int) -> None:
    """Append to losses.csv what came after the first `listed` losses; where none are listed, write it anew."""
    lines = "".join(f"{step},{loss!r}\n" for step, loss in enumerate(losses[listed:], listed + 1))
    if listed == 0:
        return write(out / "losses.csv", f"step,bits_per_dim\n{lines}".encode())
    with open(out / "losses.csv", "a", encoding="utf-8") as file:
        file.write(lines)


def read_state(out: Path, settings: Settings) -> State:
    """The state of the run in the folder, which must be one with these settings."""
    card, tensors = read(out, "training")
    if card["format"] != FORMAT:
        raise ValueError(
            f"{out} cannot be resumed: an earlier flowlib has written it, in format {card['format']}, not {FORMAT}. "
            "Start anew in another folder with --out. `flowlib evaluate` and `flowlib sample` still read it."
        )
    if differences := settings.differences(card.get("settings", {})):
        raise ValueError(
            f"{out} holds another run: {'; '.join(differences)}. To resume it, repeat its settings or give "
            "none; or start anew in another folder with --out."
        )
    parts: dict[str, dict[str, Tensor]] = {key: {} for key in ("model", "averaged", "best", "losses", *MOMENTS)}
    for name, value in tensors.items():
        part, _, rest = name.partition("/")
        parts.setdefault(part, {})[rest] = value
    try:
        losses = parts["losses"]["training"].tolist()
        moments = {moment: parts[moment] for moment in MOMENTS}
        progress = card["step"], card["seconds"], losses, card["validation"]
    except KeyError as error:
        raise ValueError(f"{out} cannot be resumed: its training checkpoint has no {error}.") from None
    return State(*progress, parts["model"], parts["averaged"], parts["best"], moments)


def resumed_settings(out: Path, chosen: dict[str, Any]) -> Settings:
    """The settings of the run in the folder, with those that are chosen now."""
    stored = read_card(out, "training").get("settings", {})
    known = {name: value for name, value in stored.items() if name in Settings.__dataclass_fields__}
    return Settings(**{**known, **chosen})


@contextmanager
def alone(out: Path) -> Iterator[None]:
    """Nobody else trains into this folder meanwhile; where somebody does, an error. The lock ends with its process,
    also with one that was killed."""
    made = not out.exists()
    out.mkdir(parents=True, exist_ok=True)
    lock = FileLock(out / ".lock")
    try:
        lock.acquire(timeout=0)
    except Timeout:
        raise FileExistsError(
            f"{out}: another run trains into this folder right now. Name another one with --out, or wait for its end."
        ) from None
    try:
        yield
    finally:
        if made and [path.name for path in out.iterdir()] == [".lock"]:  # nothing came of it
            (out / ".lock").unlink()
            out.rmdir()
        lock.release()


def read_log(out: Path, last: int) -> list[dict[str, float]]:
    """The lines of log.csv up to the step `last`, if there are any."""
    path = out / "log.csv"
    names, *lines = path.read_text().splitlines() or [""] if path.exists() else [""]
    try:
        looks = [dict(zip(names.split(","), map(float, line.split(",")), strict=True)) for line in lines]
        return [look for look in looks if look["step"] <= last]
    except (ValueError, KeyError):
        raise ValueError(f"{path} is not as the run has written it. Delete it, and the run goes on.") from None


def save_log(out: Path, looks: list[dict[str, float]]) -> None:
    """Write log.csv: a line for each look at the validation images."""
    lines = [",".join(looks[0]), *(",".join(f"{value:.15g}" for value in look.values()) for look in looks)]
    write(out / "log.csv", ("\n".join(lines) + "\n").encode())


def save_model(out: Path, tensors: Mapping[str, Tensor], card: Card) -> None:
    """Write the model that is kept and its card."""
    save(out, "model", tensors, card)


def stored(tensors: Mapping[str, Tensor], storage: str) -> dict[str, Tensor]:
    """The tensors of a model as they are written."""
    dtype = getattr(torch, storage)
    return {name: value.to(dtype) if value.is_floating_point() else value for name, value in tensors.items()}
