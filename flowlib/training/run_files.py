"""What a training run leaves in its folder, and how it goes on from there.

    training.json, training-….safetensors    all that is needed to go on: weights, averages, moments, step, losses
    model.json, model-….safetensors          the averaged model that was best on validation images, for `flowlib.load`
    losses.csv                               the training loss of every step, in bits per dimension
    samples-000500.png                       samples at step 500

Each file is written in one step, so that a run can be killed at any moment.
"""

from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

from flowlib.models.checkpoint import Card, fill, read, read_card, save, write
from flowlib.training.evaluation import Score
from flowlib.training.settings import Settings

if TYPE_CHECKING:
    from flowlib.training.trainer import Trainer

MOMENTS = ("step", "exp_avg", "exp_avg_sq")  # of Adam


def save_run(trainer: "Trainer") -> None:
    """Write the training checkpoint, the model that is kept and the losses."""
    state = trainer.optimizer.state
    tensors = {f"model/{name}": value for name, value in trainer.model.state_dict().items()}
    tensors |= {f"averaged/{name}": value for name, value in trainer.averaged.items()}
    tensors |= {f"best/{name}": value for name, value in trainer.best.items()}
    for name, value in trainer.parameters.items():
        tensors |= {f"{moment}/{name}": state[value][moment] for moment in MOMENTS if value in state}
    tensors["losses/training"] = torch.tensor(trainer.losses, dtype=torch.float32)
    card = {
        "settings": trainer.settings.as_card(),
        "step": trainer.step,
        "seconds": trainer.seconds,
        "validation": trainer.validation,
    }
    save(trainer.out, "training", tensors, card)
    lines = [f"{step},{loss!r}\n" for step, loss in enumerate(trainer.losses, 1)]
    write(trainer.out / "losses.csv", "".join(["step,bits_per_dim\n", *lines]).encode())
    save_model(trainer)


def restore_run(trainer: "Trainer") -> None:
    """Go on where the training checkpoint in the folder was written."""
    card, tensors = read(trainer.out, "training")
    if differences := trainer.settings.differences(card.get("settings", {})):
        raise ValueError(
            f"{trainer.out} holds another run: {'; '.join(differences)}. To resume it, repeat its settings or give "
            "none; or start anew in another folder with --out."
        )
    parts: dict[str, dict[str, Tensor]] = {key: {} for key in ("model", "averaged", "best", "losses", *MOMENTS)}
    for name, value in tensors.items():
        part, _, rest = name.partition("/")
        parts.setdefault(part, {})[rest] = value
    fill(trainer.model, parts["model"], str(trainer.out))
    try:
        for name, value in trainer.parameters.items():
            trainer.averaged[name].copy_(parts["averaged"][name])
            if name in parts["exp_avg"]:
                state = trainer.optimizer.state[value]
                state["step"] = parts["step"][name].to(trainer.device)
                for moment in ("exp_avg", "exp_avg_sq"):  # laid out in memory as the weights are
                    state[moment] = torch.empty_like(value, requires_grad=False).copy_(parts[moment][name])
        trainer.best = {name: value.to(trainer.device) for name, value in parts["best"].items()}
        trainer.losses = parts["losses"]["training"].tolist()
        trainer.step, trainer.seconds, trainer.validation = card["step"], card["seconds"], card["validation"]
    except KeyError as error:
        raise ValueError(f"{trainer.out} cannot be resumed: its training checkpoint has no {error}.") from None


def resumed_settings(out: Path, given: dict[str, Any]) -> Settings:
    """The settings of the run in the folder, with those that are given now."""
    stored = read_card(out, "training").get("settings", {})
    known = {name: value for name, value in stored.items() if name in Settings.__dataclass_fields__}
    return Settings(**{**known, **given})


def kept_tensors(trainer: "Trainer") -> dict[str, Tensor]:
    """The model that is kept, in the precision in which it is stored: the best so far, or what there is."""
    dtype = getattr(torch, trainer.settings.storage)
    state = trainer.model.state_dict() | (trainer.best or trainer.averaged)
    return {name: value.to(dtype) if value.is_floating_point() else value for name, value in state.items()}


def save_model(trainer: "Trainer", test: Score | None = None) -> Card:
    """Write the model that is kept and its card, with its bits on test images if they are known."""
    device = trainer.device
    best = min(trainer.validation, key=lambda each: each["bits_per_dim"], default=None)
    card = {
        **trainer.recipe,
        "parameters": sum(value.numel() for value in trainer.parameters.values()),
        "steps": trainer.step,
        "seconds": round(trainer.seconds, 1),
        "device": torch.cuda.get_device_name(device) if device.type == "cuda" else "CPU",
        "processes": trainer.processes.count,
        "precision": trainer.precision,
        "torch": torch.__version__.partition("+")[0],
        "command": trainer.settings.command(),
        "validation": best,
        "test": test.as_card() if test else None,
    }
    return save(trainer.out, "model", kept_tensors(trainer), card)
